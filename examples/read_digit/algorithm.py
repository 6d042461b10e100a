"""Reads a scanned digit: its nearest neighbours and a model must agree, else a second opinion is asked.

Publish it with `algorail publish examples/read_digit/algorithm.py:read_digit`.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Annotated, Literal, TypedDict

from algorail.blocks.db_lookup import db_lookup
from algorail.blocks.model_call import model_call
from algorail.blocks.vector_search import Hit, vector_search
from algorail.engine import Vector, algorithm, block, dim, when

Pixels = Annotated[Vector, dim(64)]
"""An image of 8 × 8 pixels, row by row, 0 (white) to 16 (black)."""


class Probabilities(TypedDict):
    """What the logistic regression answers: the probability of each digit, 0 to 9."""

    probabilities: list[float]


class Scores(TypedDict):
    """What the support vector machine answers: how many duels each digit wins, 0 to 9, with a tie-break."""

    scores: list[float]


class Guess(TypedDict):
    """One opinion."""

    digit: int
    confidence: float


class Confusion(TypedDict):
    """What it turned out to be when three opinions read so in the training half."""

    truth: int
    share: float


class Reading(TypedDict):
    """The answer, and who gave it."""

    digit: int
    confidence: float
    by: Literal["first look", "second opinion"]


nearest = vector_search("digits", k=5, size=64)
logistic = model_call("digits", inputs={"pixels": Pixels}, output=Probabilities)
support_vectors = model_call("digits-svm", inputs={"pixels": Pixels}, output=Scores)
confusion = db_lookup(
    "lab",
    "SELECT truth, share FROM confusions WHERE nearest = :nearest AND first = :first AND second = :second",
    inputs={"nearest": int, "first": int, "second": int},
    row=Confusion,
    shape="one",
    missing="null",
)


@block
def most(hits: list[Hit]) -> Guess:
    """The digit that most of the neighbours show, and their share."""
    digit, count = Counter(hit["payload"]["digit"] for hit in hits).most_common(1)[0]
    return {"digit": digit, "confidence": count / len(hits)}


@block
def likeliest(answer: Probabilities) -> Guess:
    """The digit that a model finds likeliest."""
    probabilities = answer["probabilities"]
    confidence = max(probabilities)
    return {"digit": probabilities.index(confidence), "confidence": confidence}


@block
def strongest(answer: Scores) -> Guess:
    """The digit with the highest score; how far it stands out, as a softmax, is the confidence."""
    scores = answer["scores"]
    best = max(scores)
    confidence = 1 / sum(math.exp(score - best) for score in scores)
    return {"digit": scores.index(best), "confidence": confidence}


@block
def settle(neighbours: Guess, first: Guess, second: Guess, known: Confusion | None) -> Reading:
    """What was true when these three disagreed before; without such a case, the majority, then the surest."""
    if known is not None:
        return {"digit": known["truth"], "confidence": known["share"], "by": "second opinion"}
    opinions = [neighbours, first, second]
    votes = Counter(opinion["digit"] for opinion in opinions)
    best = max(opinions, key=lambda opinion: (votes[opinion["digit"]], opinion["confidence"]))
    return {"digit": best["digit"], "confidence": best["confidence"], "by": "second opinion"}


@algorithm
def second_opinion(pixels: Pixels, neighbours: Guess, first: Guess) -> Reading:
    """Asks another model, and looks up what such a disagreement meant before."""
    answer = support_vectors(pixels=pixels)
    second = strongest(answer=answer)
    known = confusion(nearest=neighbours["digit"], first=first["digit"], second=second["digit"])
    reading = settle(neighbours=neighbours, first=first, second=second, known=known)
    return reading


@algorithm
def read_digit(pixels: Pixels) -> Reading:
    """Reads a scanned digit of 8 × 8 pixels."""
    hits = nearest(vector=pixels)
    neighbours = most(hits=hits)
    answer = logistic(pixels=pixels)
    first = likeliest(answer=answer)
    sure = (neighbours["digit"] == first["digit"]) & (first["confidence"] > 0.8)
    reading = when(
        sure,
        then=Reading(digit=first["digit"], confidence=first["confidence"], by="first look"),
        otherwise=second_opinion(pixels=pixels, neighbours=neighbours, first=first),
    )
    return reading
