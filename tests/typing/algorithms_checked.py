"""Read by mypy and pyright, never run: every `assert_type` must hold, every marked line must be refused."""

from dataclasses import dataclass
from typing import assert_type

from algorail.engine import (
    Plan,
    Retry,
    algorithm,
    block,
    contains,
    each,
    first_of,
    length,
    options,
    plan_of,
    sub_algorithm,
    switch,
    when,
)


@dataclass
class Hit:
    text: str
    score: float


@block
def find(question: str, k: int = 3) -> list[Hit]:
    return [Hit(question, 1.0)] * k


@block(effect="read", version=2)
async def compose(hit: Hit, tone: str = "kind") -> str:
    return f"{tone} {hit.text}"


@block
async def refuse(question: str) -> int:
    return len(question)


@algorithm
def inner(question: str) -> Hit:
    return find(question)[0]


@algorithm(unit="question", timeout=1.0)
def outer(question: str, k: int = 3) -> str | int:
    hits = assert_type(find(question, k=k), list[Hit])
    text = assert_type(compose(hits[0], tone="calm"), str)
    slow = assert_type(options(compose, retry=Retry(attempts=3), timeout=0.5, name="slow")(hits[0]), str)
    assert_type(options(refuse, retry=3)(question), int)
    texts = assert_type(each(compose, hits, tone="calm"), list[str])
    assert_type(each(options(compose, concurrency=2), hits), list[str])
    assert_type(inner(question), Hit)
    assert_type(sub_algorithm(inner, "3")(question=question), Hit)
    assert_type(first_of(text, refuse(question)), str | int)
    assert_type(switch(text, {"a": slow, "b": texts[0]}, default=question), str)
    assert_type(contains(texts, text) & (length(texts) > 1), bool)
    return assert_type(when(hits[0].score > 0.5, then=text, otherwise=refuse(question)), str | int)


assert_type(plan_of(outer), Plan)


@algorithm
def wrong(question: str) -> int:
    find(question, kk=3)  # refused
    find(3)  # refused
    compose(question)  # refused
    each(compose, [question])  # refused
    each(compose, find(question), tone=3)  # refused
    options(find, retries=3)(question)  # refused
    options(find, timeout="1")(question)  # refused
    options(find, retry=3)(3)  # refused
    when(True, then=find(question)[0].scores, otherwise=1)  # refused
    inner(questions=question)  # refused
    return compose(find(question)[0])  # refused
