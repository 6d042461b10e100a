"""What the algorithm needs before it can run: an embedding model, an index of past messages, tables.

The messages were written for this example: six teams, four topics each, and of every topic a third held out.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypedDict

from algorail.blocks import indexes
from examples.support_routing import embedder

HERE = Path(__file__).parent
PARCELS = [("51877", "was left with your neighbour"), ("50114", "arrives tomorrow before noon")]

Embeddings = Literal["trained", "minilm"]


class Message(TypedDict):
    """A message of a customer, and what it turned out to be."""

    text: str
    team: str
    topic: str
    held_out: bool


def load() -> tuple[list[Message], list[Message]]:
    """The messages to learn from, and those held out."""
    messages: list[Message] = _lines("messages.jsonl")
    return [one for one in messages if not one["held_out"]], [one for one in messages if one["held_out"]]


def prepare(learned: list[Message], home: Path, embeddings: Embeddings, step: Callable[[str], None]) -> Path:
    """Make model, index and tables under `home`; returns the folder of the packaged model."""
    folder = home / "models" / embedder.NAME
    step("training the embedding model" if embeddings == "trained" else "embedding with MiniLM")
    package = embedder.package_trained if embeddings == "trained" else embedder.package_minilm
    vectors = package([message["text"] for message in learned], folder)
    step("building the index of past messages")
    # The texts themselves stay out of the index: what is found is recorded with every run.
    payloads = [{"team": message["team"], "topic": message["topic"]} for message in learned]
    indexes.build("messages", vectors, home=home, metric="cosine", payloads=payloads)
    step("filling the tables")
    _write_tables(home / "support.db")
    return folder


def _write_tables(path: Path) -> None:
    articles = [(one["team"], one["topic"], one["reply"]) for one in _lines("articles.jsonl")]
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "CREATE TABLE articles (team TEXT, topic TEXT, reply TEXT, PRIMARY KEY (team, topic))"
        )
        connection.execute("CREATE TABLE parcels (number TEXT PRIMARY KEY, state TEXT)")
        connection.execute("CREATE TABLE incidents (what TEXT, open INT)")
        connection.executemany("INSERT INTO articles VALUES (?, ?, ?)", articles)
        connection.executemany("INSERT INTO parcels VALUES (?, ?)", PARCELS)
    connection.close()


def _lines(name: str) -> list[Any]:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]
