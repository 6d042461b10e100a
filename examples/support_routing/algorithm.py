"""Routes a customer's message to a team, and answers it where that is safe.

The most similar messages of the past vote on the team; without the embedding model, keywords decide. After a
sure vote the customer hears at once what helped in the closest case of that team; else a person takes over.

Publish it with `algorail publish examples/support_routing/algorithm.py:route_message`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Literal, TypedDict

from algorail.blocks import db_lookup, model_call, transform, vector_search
from algorail.blocks.vector_search import FromPort, Hit
from algorail.engine import Cache, Pii, Retry, Vector, algorithm, block, each, first_of, options, switch, when

Team = Literal["billing", "delivery", "returns", "account", "technical", "sales"]


class Embedding(TypedDict):
    """Where a message lies among all messages; its size is the model's."""

    vector: Vector


class Vote(TypedDict):
    """The team, and how much speaks for it, 0 to 1."""

    team: Team
    confidence: float


class Routed(TypedDict):
    """Who takes care of a message, and what the customer hears at once: an answer, or to wait for one."""

    team: Team
    confidence: float
    answered: bool
    reply: Pii[str]


SURE = 0.2
"""Of seven similar messages, five that are 28 % similar, or three that are 47 % similar, must agree."""
WAIT = "Thank you for your message. A colleague reads it within the hour."
KEYWORDS: dict[Team, tuple[str, ...]] = {
    "billing": ("invoice", "charge", "paid", "pay", "fee", "bill", "debit"),
    "delivery": ("parcel", "package", "deliver", "tracking", "ship", "courier"),
    "returns": ("return", "refund", "exchange", "send back", "wrong item", "swap"),
    "account": ("password", "account", "log in", "login", "e-mail", "profile"),
    "technical": ("app", "error", "connect", "crash", "battery", "update"),
    "sales": ("discount", "stock", "buy", "plan", "offer", "recommend"),
}

embed = model_call("embedder", inputs={"text": Pii[str]}, output=Embedding)
past = vector_search("messages", k=7)
past_of_team = vector_search("messages", k=1, filter={"team": FromPort("team")})
article_about = db_lookup(
    "support",
    "SELECT reply FROM articles WHERE team = :team AND topic = :topic",
    inputs={"team": str, "topic": str},
    row=str,
    shape="value",
)
article_of_team = db_lookup(
    "support",
    "SELECT reply FROM articles WHERE team = :team AND topic = ''",
    inputs={"team": str},
    row=str,
    shape="value",
)
parcel = db_lookup(
    "support",
    "SELECT 'Hello {name}, parcel ' || number || ' ' || state || '.' FROM parcels WHERE number = :number",
    inputs={"number": str | None},
    row=str,
    shape="value",
    missing="null",
)
incident = db_lookup(
    "support",
    "SELECT 'Hello {name}, we know of this problem: ' || what || '.' FROM incidents WHERE open LIMIT 1",
    row=str,
    shape="value",
    missing="null",
)
address = transform(
    'return template.replace("{name}", name)', inputs={"template": str, "name": Pii[str]}, output=Pii[str]
)


@block
def majority(hits: list[Hit]) -> Vote:
    """The team that most of the similar messages were for; each votes with how similar it is."""
    weights: defaultdict[Team, float] = defaultdict(float)
    for hit in hits:
        weights[hit["payload"]["team"]] += max(hit["score"], 0.0)
    team, weight = max(weights.items(), key=lambda item: item[1])
    return {"team": team, "confidence": weight / len(hits)}


@block
def by_keywords(text: Pii[str]) -> Vote:
    """The team with the most keywords in the text: a poor guess, but one that needs no model."""
    lowered = text.lower()
    found: dict[Team, int] = {
        team: sum(word in lowered for word in words) for team, words in KEYWORDS.items()
    }
    team, count = max(found.items(), key=lambda item: item[1])
    return {"team": team, "confidence": count / len(KEYWORDS[team])}


@block
def order_number(text: Pii[str]) -> str | None:
    """The five digits of an order, if the message names one."""
    found = re.search(r"\b\d{5}\b", text)
    return found.group() if found else None


@algorithm
def route_message(text: Pii[str], name: Pii[str] = "there") -> Routed:
    """Finds the team for a message and answers it at once where the vote is clear."""
    embedded = options(embed, retry=Retry(attempts=2), timeout=5.0, cache=Cache(ttl=600))(text=text)
    similar = past(vector=embedded["vector"])
    vote = first_of(majority(hits=similar), by_keywords(text=text))

    closest = past_of_team(vector=embedded["vector"], team=vote["team"])
    known = options(article_about, cache=Cache(ttl=60))(
        team=vote["team"], topic=closest[0]["payload"]["topic"]
    )
    general = options(article_of_team, cache=Cache(ttl=60))(team=vote["team"])
    article = first_of(known, general)

    number = order_number(text=text)
    shipped = parcel(number=number)
    tracked = first_of(shipped, article, accept="value")
    known_trouble = options(incident, timeout=1.0, fallback=None)()
    explained = first_of(known_trouble, article, accept="value")
    template = switch(vote["team"], {"delivery": tracked, "technical": explained}, default=article)

    letter = address(template=template, name=name)

    sure = vote["confidence"] >= SURE
    reply = when(sure, then=letter, otherwise=WAIT)
    return Routed(team=vote["team"], confidence=vote["confidence"], answered=sure, reply=reply)


@algorithm
def route_inbox(texts: list[Pii[str]]) -> list[Routed]:
    """Routes many messages at once, four at a time."""
    routed = each(options(route_message, concurrency=4), texts)
    return routed
