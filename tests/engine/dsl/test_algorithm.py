"""What the calls in an algorithm's function become."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated, TypedDict

import pytest
from pydantic import BaseModel

from algorail.engine import (
    AlgorailError,
    Cache,
    Retry,
    Vector,
    algorithm,
    algorithm_of,
    block,
    contains,
    each,
    expr,
    first_of,
    kind_of,
    length,
    options,
    placed_kind,
    plan_of,
    sub_algorithm,
    switch,
    when,
)  # fmt: skip
from algorail.engine.kind import CallContext, Effect
from algorail.engine.plan.codec import binding_to_dict
from algorail.engine.plan.document import Op, Ref, Value
from algorail.engine.plan.types import STRING, describe


class Answer(BaseModel):
    text: str
    score: float = 0.5


@dataclass
class Hit:
    text: str
    vector: Vector | None = None


class Note(TypedDict):
    text: str


@block
def find(question: str, k: int = 3) -> list[Hit]:
    """Finds hits.

    More of it."""
    return [Hit(question)] * k


@block(effect="read", version=2)
async def compose(hit: Hit, tone: str = "kind") -> Answer:
    return Answer(text=f"{tone} {hit.text}")


@block
def shorten(text: str) -> str:
    return text[:3]


def nodes(function) -> dict:
    return {node.id: node for node in plan_of(function).nodes}


def result(function) -> dict:
    return binding_to_dict(plan_of(function).result)


def test_variables_name_the_nodes():
    @algorithm
    def named(question: str) -> Answer:
        hits: list[Hit] = find(question)
        hits = find(question, k=5)
        Best = compose(hits[0])  # noqa: F841
        question = first = shorten(question)
        if (walrus := shorten(question)) is None:
            return None
        _ = shorten(text=walrus)
        chosen = options(compose, name="polite")(hits[0])  # noqa: F841
        return compose(find(first)[0])

    assert list(nodes(named)) == [
        "hits", "hits_2", "best", "question_2", "walrus", "shorten", "polite", "find", "compose",
    ]  # fmt: skip


def test_arguments_become_links_literals_and_structures():
    send = placed_kind("send@1", {"to": "there"})

    @algorithm
    def shaped(question: str, xs: list[int]) -> Answer:
        hits = find(question)
        sent = send(a=hits[0].text, b={"x": [question, 1]}, c=Hit("plain"), d=(1, 2), e=Note(text=question))
        deep = send(a=[Answer(text=sent["text"])], b=Hit(text=question))
        return Answer(text=deep.text, score=xs[0] + 1)

    sent = nodes(shaped)["sent"]
    assert sent.config == {"to": "there"}
    assert {port: binding_to_dict(item) for port, item in sent.inputs.items()} == {
        "a": {"ref": "hits", "path": [0, "text"]},
        "b": {"dict": {"x": {"list": [{"ref": "question"}, {"value": 1}]}}},
        "c": {"value": {"text": "plain", "vector": None}},
        "d": {"value": [1, 2]},
        "e": {"dict": {"text": {"ref": "question"}}},
    }
    assert binding_to_dict(nodes(shaped)["deep"].inputs["a"]) == {
        "list": [{"dict": {"text": {"ref": "sent", "path": ["text"]}, "score": {"value": 0.5}}}]
    }
    assert set(result(shaped)["dict"]) == {"text", "score"}
    assert Answer(text="models validate again after tracing").score == 0.5
    with pytest.raises(ValueError):
        Answer(text=3)


def test_operators_become_operations():
    @algorithm
    def computed(x: float, xs: list[float], flag: bool) -> bool:
        return {
            "and": (x > 0.5) & ~flag | (x > 1), "sum": 1 - x * 2, "in": contains(xs, x), "len": length(xs),
            "index": xs[x], "item": (x + 1)["a"], "abs": abs(-x), "round": round(x, 2), "cel": expr("x > 1.0", x=x),
        }  # fmt: skip

    made = plan_of(computed).result.dict
    x = Ref("x")
    greater = Op("and", (Op(">", (x, Value(0.5))), Op("not", (Ref("flag"),))))
    assert made["and"] == Op("or", (greater, Op(">", (x, Value(1)))))
    assert made["sum"] == Op("-", (Value(1), Op("*", (x, Value(2)))))
    assert made["in"] == Op("in", (x, Ref("xs")))
    assert made["len"] == Op("len", (Ref("xs"),))
    assert made["index"] == Op("[]", (Ref("xs"), x))
    assert made["item"] == Op("[]", (Op("+", (x, Value(1))), Value("a")))
    assert made["abs"] == Op("abs", (Op("neg", (x,)),))
    assert made["round"] == Op("round", (x, Value(2)))
    assert binding_to_dict(made["cel"]) == {"cel": "x > 1.0", "vars": {"x": {"ref": "x"}}}


def test_control_has_the_form_that_the_engine_runs():
    @algorithm
    def controlled(question: str, intent: str) -> str:
        hits = find(question)
        answers = each(options(compose, concurrency=2, retry=3), hits, tone="calm")
        best = when(length(hits) > 1, then=answers[0].text, otherwise="none", timeout=2.0)
        by_intent = switch(intent, {"a": best, "b": question}, default="?")
        return first_of(by_intent, question, accept="value")

    made = nodes(controlled)
    assert made["answers"].config == {"kind": "compose@2", "config": {}, "over": "hit", "concurrency": 2}
    assert set(made["answers"].inputs) == {"items", "tone"}
    assert made["answers"].retry == Retry(attempts=3)
    assert (made["best"].kind, made["best"].timeout) == ("when@1", 2.0)
    assert made["by_intent"].config == {"cases": ["a", "b"]}
    assert set(made["by_intent"].inputs) == {"value", "case_0", "case_1", "default"}
    assert made["first_of"].config == {"accept": "value"}


def test_options_by_helper_and_by_keyword_are_the_same():
    @algorithm
    def retried(question: str) -> list[Hit]:
        """Answers."""
        spare = find(question)
        a = options(find, retry=Retry(attempts=2), cache=Cache(ttl=1.0), fallback=spare, record="off")(
            question
        )
        b = find(question, retry=2, cache=Cache(ttl=1.0), fallback=spare, record="off")
        return when(a[0].text == b[0].text, then=a, otherwise=b)

    a, b = nodes(retried)["a"], nodes(retried)["b"]
    assert (a.retry, a.cache, a.fallback, a.record) == (b.retry, b.cache, b.fallback, b.record)
    assert (a.retry, a.fallback) == (Retry(attempts=2), Ref("spare"))
    assert plan_of(retried).doc == "Answers."


def test_an_algorithm_in_another_is_a_sub_algorithm():
    @algorithm
    def inner(question: str) -> Answer:
        return Answer(text=question)

    @algorithm(name="outer-one", unit="question", timeout=3.0, record="async")
    def outer(question: Annotated[str, "What is asked."], k: int = 2) -> Answer:
        a = inner(question)
        b = sub_algorithm(inner, "3")(question=a.text)
        c = sub_algorithm("elsewhere")(x=b.text)
        return c

    made = nodes(outer)
    assert made["a"].config == {"algorithm": "inner", "version": "@prod"}
    assert made["b"].config == {"algorithm": "inner", "version": "3"}
    assert made["c"].config == {"algorithm": "elsewhere", "version": "@prod"}
    assert algorithm_of(outer).algorithms["inner"] is algorithm_of(inner)
    plan = plan_of(outer)
    assert (plan.name, plan.unit, plan.timeout, plan.record.mode) == ("outer-one", "question", 3.0, "async")
    assert (plan.inputs["question"].doc, plan.inputs["k"].default) == ("What is asked.", 2)


def test_a_block_is_the_function_outside_an_algorithm():
    assert find("a", k=1) == [Hit("a")]
    assert asyncio.run(compose(Hit("b"))) == Answer(text="kind b")
    assert find.__name__ == "find"
    assert kind_of(find).summary == "Finds hits."


def test_a_block_is_a_kind_that_converts():
    kind = kind_of(compose)
    assert (kind.key, kind.effect) == ("compose@2", Effect.READ)
    runner = kind.build(kind.config(), None)
    assert runner.is_async
    assert asyncio.run(runner.call(hit={"text": "x"}, tone="t")) == {"text": "t x", "score": 0.5}
    listed = kind_of(find).build(None, None).call(question="q", k=1)
    assert listed == [{"text": "q", "vector": None}]
    assert kind_of(shorten).build(None, None).call is shorten.function
    assert describe(kind.signature(None).inputs["tone"].type) == "string"
    assert kind.signature(None).inputs["tone"].type == STRING


def test_a_block_may_ask_for_the_context_of_its_call():
    @block(effect="write", idempotent=False)
    def charge(amount: int, context: CallContext | None = None) -> str:
        return f"{amount} {context.effect_key() if context else ''}"

    class Context:
        def effect_key(self):
            return "key"

    runner = kind_of(charge).build(None, None)
    assert runner.wants_context
    assert list(kind_of(charge).signature(None).inputs) == ["amount"]
    assert runner.call(Context(), amount=3) == "3 key"
    assert not kind_of(charge).idempotent


def test_importing_the_namespace_is_light():
    heavy = ["fastapi", "celery", "faiss", "sqlalchemy", "pydantic", "numpy"]
    code = f"import sys, algorail.engine; print([name for name in {heavy!r} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_the_public_names():
    import algorail.engine

    assert algorail.engine.__all__ == [
        "AlgorailError", "Algorithm", "BlockKind", "Breaker", "Cache", "CallContext", "Effect", "Image", "Named", "Pii",
        "Plan", "RecordPolicy", "Retry", "Schema", "Secret", "Sensitive", "Table", "Vector", "algorithm", "algorithm_of",
        "block", "contains", "dim", "each", "expr", "first_of", "kind_of", "length", "operation", "options", "placed",
        "placed_kind", "plan_of", "sub_algorithm", "switch", "to_python", "when",
    ]  # fmt: skip
    assert all(getattr(algorail.engine, name) for name in algorail.engine.__all__)
    assert algorail.engine.AlgorailError is AlgorailError
