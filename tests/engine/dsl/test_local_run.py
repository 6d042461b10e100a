"""An algorithm is called like the function it looks like, and shows itself as a picture."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from algorail.engine import algorithm, algorithm_of, block, each, length, placed_kind, when
from algorail.engine.kit.errors import BlockFailed, InvalidInput, NotFound


@dataclass
class Hit:
    text: str
    score: float


@block
def find(question: str, k: int = 2) -> list[Hit]:
    return [Hit(f"{question} {number}", number / k) for number in range(k)]


@block
async def compose(hit: Hit, tone: str) -> str:
    if tone == "rude":
        raise ValueError("no")
    return f"{tone}: {hit.text}"


@algorithm
def best(question: str, k: int = 2) -> Hit:
    hits = find(question, k=k)
    return hits[1]


@algorithm(name="answer-all")
def answer_all(question: str, tone: str = "kind") -> list[str]:
    top = best(question)
    hits = find(question)
    answers = each(compose, hits, tone=tone)
    return when((top.score > 0.4) & (length(hits) == 2), then=answers, otherwise=[top.text])


def test_a_call_outside_an_algorithm_runs_it():
    assert answer_all("a") == ["kind: a 0", "kind: a 1"]
    assert best("a", k=3) == Hit("a 1", 1 / 3)


def test_it_runs_inside_a_running_loop_too():
    async def cell():
        return best(question="a")

    assert asyncio.run(cell()) == Hit("a 1", 0.5)


def test_errors_of_a_local_run():
    with pytest.raises(InvalidInput):
        best(3)
    with pytest.raises(InvalidInput, match="inputs are: question, k"):
        best(query="a")
    with pytest.raises(BlockFailed):
        answer_all("a", tone="rude")

    @algorithm
    def elsewhere(text: str) -> str:
        return placed_kind("embed@1")(text=text)

    with pytest.raises(NotFound, match="embed@1"):
        elsewhere("a")


def test_a_notebook_shows_the_picture():
    shown = algorithm_of(answer_all)
    assert shown._repr_html_().startswith("<svg")
    assert set(shown._repr_mimebundle_()) == {"text/plain", "text/html", "image/svg+xml"}
    assert "answers" in shown._repr_mimebundle_()["image/svg+xml"]
