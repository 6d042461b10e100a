"""Everything that cannot work raises where it stands and says what to write instead."""

from __future__ import annotations

import copy
import math

import pytest
from pydantic import BaseModel

from algorail.engine import Retry, algorithm, block, each, expr, first_of, options, plan_of, switch, when
from algorail.engine.kit.errors import PlanInvalid


class Reply(BaseModel):
    text: str
    score: float


@block
def shout(text: str) -> str:
    return text.upper()


@block
def answer(text: str) -> Reply:
    return Reply(text=text, score=1.0)


def loop(xs):
    for _ in xs:
        pass


def branch(x):
    if x:
        pass


def assign(x):
    x.field = 1


def put(x):
    x["key"] = 1


MISUSES = {
    "if": (lambda x, xs: branch(x), "when("),
    "and": (lambda x, xs: x and xs, "&"),
    "or": (lambda x, xs: x or xs, "|"),
    "not": (lambda x, xs: not x, "~"),
    "chained comparison": (lambda x, xs: 0 < x < 1, "(0 < x) & (x < 1)"),
    "for": (lambda x, xs: loop(xs), "each("),
    "unpacking": (lambda x, xs: [*xs], "each("),
    "f-string": (lambda x, xs: f"{x}", "@block"),
    "f-string with !s": (lambda x, xs: f"{x!s}", "@block"),
    "percent": (lambda x, xs: "%s" % x, "@block"),  # noqa: UP031
    "str": (lambda x, xs: str(x), "@block"),
    "len": (lambda x, xs: len(xs), "length("),
    "in": (lambda x, xs: x in xs, "contains("),
    "int": (lambda x, xs: int(x), "expr("),
    "float": (lambda x, xs: float(x), "expr("),
    "sqrt": (lambda x, xs: math.sqrt(x), "@block"),
    "power": (lambda x, xs: x**2, "x * x"),
    "position": (lambda x, xs: [1, 2][x], "@block"),
    "key of a dict": (lambda x, xs: {x: 1}, "switch("),
    "set": (lambda x, xs: {x}, "switch("),
    "slice": (lambda x, xs: xs[1:], "xs[0]"),
    "call": (lambda x, xs: x.upper(), "@block"),
    "assignment": (lambda x, xs: assign(x), "make a new one"),
    "item assignment": (lambda x, xs: put(x), "make a new one"),
    "copy": (lambda x, xs: copy.copy(x), "use the value itself"),
    "unknown field": (lambda x, xs: answer(x).txet, "did you mean 'text'"),
    "unknown input": (lambda x, xs: shout(txt=x), "its inputs are: text"),
    "missing input": (lambda x, xs: shout(), "its inputs are: text"),
    "function, not its result": (lambda x, xs: shout(shout), "call it: shout(…)"),
    "object": (lambda x, xs: shout(object()), "inside a @block"),
    "infinite number": (lambda x, xs: shout(math.inf), "finite"),
    "keys that are no strings": (lambda x, xs: shout({1: x}), "string keys"),
    "model without a field": (lambda x, xs: Reply(text=x), "its fields are"),
    "model with a field too many": (lambda x, xs: Reply(text=x, score=1, other=2), "its fields are"),
    "unknown option": (lambda x, xs: options(shout, retries=3)(x), "options are"),
    "wrong option": (lambda x, xs: options(shout, timeout=-1)(x), "seconds > 0"),
    "no retry": (lambda x, xs: shout(x, retry=Retry(attempts=0)), "attempts"),
    "name taken": (lambda x, xs: shout(x, name="x"), "another name"),
    "name that is none": (lambda x, xs: shout(x, name="Big Name"), "a-z"),
    "plain function in each": (lambda x, xs: each(len, xs), "@block"),
    "each over no list": (lambda x, xs: each(shout, "abc"), "each(block, items)"),
    "constant condition": (lambda x, xs: when(True, then=x, otherwise=x), "Python's if"),
    "no cases": (lambda x, xs: switch(x, {}, default=x), "at least one"),
    "no options": (lambda x, xs: first_of(), "first_of(a, b)"),
    "wrong accept": (lambda x, xs: first_of(x, accept="any"), "accept='value'"),
    "expr without text": (lambda x, xs: expr(x > 1), 'expr("a > b"'),
    "concurrency without each": (lambda x, xs: options(shout, concurrency=2)(x), "each("),
    "nothing returned": (lambda x, xs: None, "return"),
    "a module returned": (lambda x, xs: math, "JSON data"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_raises_with_the_cure(name):
    use, cure = MISUSES[name]

    def sample(x: str, xs: list[str]) -> str:
        return use(x, xs)

    with pytest.raises(PlanInvalid) as caught:
        algorithm(sample)
    assert cure in caught.value.cure
    assert caught.value.code != "plan-invalid"


def with_args(*texts: str) -> str:
    return ""


def without_annotation(text) -> str:
    return text


def without_result(text: str):
    return text


def with_a_set(text: set[str]) -> str:
    return ""


def with_a_ghost(text: Ghost) -> str:  # noqa: F821
    return ""


def _Private(text: str) -> str:
    return text


async def waiting(text: str) -> str:
    return text


DECLARATIONS = [
    (with_args, "name every parameter"),
    (without_annotation, "write text: str"),
    (without_result, "-> str"),
    (with_a_set, "list["),
    (with_a_ghost, "define it above"),
    (_Private, "name="),
]


@pytest.mark.parametrize("decorate", [algorithm, block])
@pytest.mark.parametrize(("function", "cure"), DECLARATIONS)
def test_a_wrong_declaration_raises_with_the_cure(decorate, function, cure):
    with pytest.raises(PlanInvalid) as caught:
        decorate(function)
    assert cure in caught.value.cure


def test_other_declarations():
    for make, cure in [
        (lambda: algorithm(waiting), "plain def"),
        (lambda: algorithm(len), "def"),
        (lambda: block(in_thread=True)(waiting), "in_thread"),
        (lambda: algorithm(unit="other")(plain), "inputs are"),
        (lambda: plan_of(plain), "@block"),
        (lambda: plan_of(shout), "@algorithm"),
    ]:
        with pytest.raises(PlanInvalid) as caught:
            make()
        assert cure in caught.value.cure


def plain(text: str) -> str:
    return text


def test_values_of_two_algorithms_do_not_mix():
    kept = []

    @algorithm
    def first(text: str) -> str:
        kept.append(text)
        return text

    def second(text: str) -> str:
        return shout(kept[0])

    with pytest.raises(PlanInvalid, match="text belongs to first, not to second"):
        algorithm(second)


def test_control_outside_an_algorithm():
    for use in (lambda: when(1 > 2, then=1, otherwise=2), lambda: each(shout, ["a"]), lambda: expr("1")):
        with pytest.raises(PlanInvalid) as caught:
            use()
        assert "@algorithm" in caught.value.cure
