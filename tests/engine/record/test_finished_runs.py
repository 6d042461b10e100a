"""The short way from a finished run to bytes says the same as the long one."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from algorail.engine.plan.document import Input, Node, Plan, Ref, Value
from algorail.engine.plan.types import INTEGER, AnyType, ListType, ScalarType
from algorail.engine.record.codec import RecordEncoder, RecordOptions, RecordShape, decode
from algorail.engine.record.finished import FinishedRun
from algorail.engine.run.compile import compile_plan
from algorail.engine.run.context import RunContext
from algorail.engine.run.outcome import RunStatus
from algorail.engine.testing.fakes import FakeKinds, FakeServices, kind_of


def double(x):
    return x * 2


async def later(x):
    await asyncio.sleep(0)
    return [x]


def total(a, b):
    return {"total": a + b[0]}


def fragile(x):
    raise ValueError(f"no {x}")


ANY = AnyType()
KINDS = FakeKinds(*map(kind_of, (double, later, total, fragile)))


def node(name, kind, /, **rest):
    inputs = {port: Ref(value) if isinstance(value, str) else value for port, value in rest.items()}
    return Node(id=name, kind=f"{kind}@1", inputs=inputs)


def plan_of(*nodes, given=ANY, result=None, unit=""):
    return Plan(
        name="faq",
        inputs={"x": Input(type=given)},
        output=AnyType(),
        nodes=nodes,
        result=result or Ref(nodes[-1].id),
        unit=unit,
    )


def finished(plan, x, *, labels=None, **context):
    compiled = compile_plan(plan, kinds=KINDS, services=FakeServices())
    used = RunContext("run_01m83ker0qfskjwa5mrr6mf5a1", **context)
    asyncio.run(compiled.run({"x": x}, used))
    return FinishedRun(used, 3, "hash", "prod", "b", "split", "u1", "ab" * 16, labels or {})


def shape_of(plan, **types):
    return RecordShape.of(plan, {one.id: types.get(one.id, AnyType()) for one in plan.nodes})


DIAMOND = (node("a", "double", x="x"), node("b", "later", x="x"), node("c", "total", a="a", b="b"))
BRANCH = (
    node("a", "double", x="x"),
    node("b", "fragile", x="x"),
    node("w", "when", condition=Value(True), then="a", otherwise="b"),
)
RESCUED = (Node(id="a", kind="fragile@1", inputs={"x": Ref("x")}, fallback=Value("calm")),)
MODES = (
    Node(id="a", kind="double@1", inputs={"x": Ref("x")}, record="digest"),
    Node(id="b", kind="double@1", inputs={"x": Ref("a")}, record="off"),
    Node(id="c", kind="double@1", inputs={"x": Ref("b")}),
)
SECRET = ScalarType("string", sensitivity="secret")
SENSITIVE = (node("a", "double", x="x"), node("b", "later", x="a"))


@pytest.mark.parametrize(
    ("plan", "x", "types", "options"),
    [
        (plan_of(*DIAMOND), 4, {}, {}),
        (plan_of(*DIAMOND, result=Ref("b", (0,))), 4, {}, {}),
        (plan_of(*DIAMOND), 4, {}, {"labels": {"split": "3", "odd": "\ud800"}}),
        (plan_of(*DIAMOND), 4, {}, {"overrides": {"a": 9}}),
        (plan_of(*BRANCH), 4, {}, {}),
        (plan_of(*RESCUED), 4, {}, {}),
        (plan_of(*SENSITIVE), 4, {"a": ScalarType("integer", sensitivity="pii")}, {}),
        (plan_of(*SENSITIVE, given=ScalarType("string", sensitivity="pii")), "swordfish", {}, {}),
        (plan_of(*SENSITIVE, unit="x"), "u1", {"b": ListType(SECRET)}, {"labels": {"unit": "u1"}}),
        (plan_of(*MODES), 4, {}, {}),
        (plan_of(*SENSITIVE), 2**70, {}, {}),
        (plan_of(*SENSITIVE), "x" * 40_000, {}, {}),
        (plan_of(*SENSITIVE), np.arange(3_000, dtype=np.float32), {}, {}),
        (plan_of(node("a", "double", x="x"), given=INTEGER), 1, {}, {}),
    ],
    ids=["diamond", "path", "labels", "pinned", "branch", "rescued", "sensitive", "sensitive-input",
         "sensitive-items", "modes", "huge", "large", "array", "typed"],
)  # fmt: skip
def test_both_ways_say_the_same(plan, x, types, options):
    run, shape = finished(plan, x, **options), shape_of(plan, **types)
    encoder = RecordEncoder(RecordOptions(salt=b"salt"))
    short, long = encoder.encode(run, shape), encoder.encode(run.record(), shape)
    moved = short.head._replace(started_ns=long.head.started_ns)
    assert moved == long.head
    assert abs(short.head.started_ns - long.head.started_ns) < 5e9
    assert (short.body, short.values) == (long.body, long.values)
    back = decode(short, shape, dict(short.values).__getitem__)
    assert back.status is RunStatus.SUCCEEDED
    assert [block.node for block in back.blocks] == [block.node for block in run.record().blocks]


def test_what_is_sensitive_never_takes_the_short_way():
    plan = plan_of(*SENSITIVE, given=ScalarType("string", sensitivity="secret"))
    shape = shape_of(plan, a=ScalarType("string", sensitivity="secret"))
    assert not shape.is_plain
    encoded = RecordEncoder().encode(finished(plan, "swordfish"), shape)
    back = decode(encoded, shape)
    assert (back.inputs["x"].kind, back.blocks[0].output.kind) == ("masked", "masked")
