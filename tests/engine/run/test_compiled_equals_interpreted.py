"""On random plans the compiled run does what the plain interpreter does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algorail.engine.kit.errors import BlockFailed
from algorail.engine.plan.document import DictOf, Input, ListOf, Node, Op, Plan, Ref, Value
from algorail.engine.plan.types import AnyType
from algorail.engine.run.compile import compile_plan
from algorail.engine.run.context import RunContext
from algorail.engine.run.outcome import NodeStatus
from algorail.engine.testing.fake_loop import FakeClock, run_fake
from algorail.engine.testing.fakes import FakeKinds, FakeServices, kind_of
from tests.engine.run import oracle


def number(value: Any) -> int:
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, list):
        return sum(map(number, value))
    return sum(map(number, value.values())) if isinstance(value, dict) else 0


def add(a: Any = 0, b: Any = 0, c: Any = 0) -> Any:
    return {"n": number(a) + 2 * number(b) + 3 * number(c) + 1}


async def add_at_once(a: Any = 0, b: Any = 0, c: Any = 0) -> Any:
    return add(a, b, c)


async def add_late(a: Any = 0, b: Any = 0, c: Any = 0) -> Any:
    value = add(a, b, c)
    await asyncio.sleep(number(value) % 5 / 10)
    return value


def null(a: Any = 0, b: Any = 0, c: Any = 0) -> None:
    return None


def fail(a: Any = 0, b: Any = 0, c: Any = 0) -> Any:
    raise RuntimeError("on purpose")


async def fail_late(a: Any = 0, b: Any = 0, c: Any = 0) -> Any:
    await asyncio.sleep(0.3)
    raise RuntimeError("on purpose, later")


KINDS = FakeKinds(*(kind_of(function) for function in (add, add_at_once, add_late, null, fail, fail_late)))
GOOD = ("add@1", "add_at_once@1", "add_late@1", "null@1")
BAD = ("fail@1", "fail_late@1")


@st.composite
def plans(draw: st.DrawFn, *, may_fail: bool) -> Plan:
    names = ["q"]
    nodes: list[Node] = []

    def ref() -> Ref:
        name = draw(st.sampled_from(names[-6:]))
        path = ("n",) if may_fail and name != "q" and draw(st.integers(0, 9)) == 0 else ()
        return Ref(name, path)

    def binding(depth: int = 0) -> Any:
        shape = draw(st.integers(0, 9))
        if shape == 0:
            return Value(draw(st.integers(-3, 3)))
        if shape == 1 and depth < 2:
            return ListOf(tuple(binding(depth + 1) for _ in range(draw(st.integers(0, 3)))))
        if shape == 2 and depth < 2:
            return DictOf({f"k{i}": binding(depth + 1) for i in range(draw(st.integers(0, 2)))})
        return ref()

    def condition() -> Any:
        return (
            Value(True)
            if draw(st.integers(0, 4)) == 0
            else Op(">", (Ref("q"), Value(draw(st.integers(-2, 2)))))
        )

    for position in range(draw(st.integers(1, 14))):
        shape = draw(st.sampled_from(["block"] * 5 + ["when", "switch", "first_of"]))
        config: dict[str, Any] = {}
        if shape == "block":
            kinds = GOOD * 3 + BAD if may_fail else GOOD
            kind = draw(st.sampled_from(kinds))
            ports = draw(st.lists(st.sampled_from("abc"), unique=True))
            inputs = {port: binding() for port in ports}
        elif shape == "when":
            kind, inputs = "when@1", {"condition": condition(), "then": binding(), "otherwise": binding()}
        elif shape == "switch":
            kind, cases = "switch@1", draw(st.lists(st.integers(-2, 2), min_size=1, max_size=3, unique=True))
            config = {"cases": cases}
            inputs = {"value": Ref("q"), **{f"case_{i}": binding() for i in range(len(cases))}}
            if not may_fail or draw(st.booleans()):
                inputs["default"] = binding()
        else:
            kind = "first_of@1"
            config = {"accept": draw(st.sampled_from(["success", "value"]))}
            inputs = {f"option_{i}": binding() for i in range(draw(st.integers(1, 3)))}
        fallback = binding() if draw(st.integers(0, 5)) == 0 else None
        nodes.append(Node(id=f"n{position}", kind=kind, config=config, inputs=inputs, fallback=fallback))
        names.append(f"n{position}")
    result = draw(st.sampled_from([Ref(names[-1]), ListOf(tuple(Ref(name) for name in names[-3:]))]))
    return Plan(
        name="random",
        inputs={"q": Input(type=AnyType())},
        output=AnyType(),
        nodes=tuple(nodes),
        result=result,
    )


def both(plan: Plan, q: int) -> tuple[Any, Any, RunContext]:
    async def interpreted() -> Any:
        interpreter = oracle.Interpreter(plan, KINDS, {"q": q})
        try:
            return await interpreter.run(), interpreter
        except oracle.Failed:
            return oracle.Failed, interpreter

    async def compiled(ctx: RunContext | None) -> Any:
        try:
            return await compile_plan(plan, kinds=KINDS, services=FakeServices(clock=clock)).run(
                {"q": q}, ctx
            )
        except BlockFailed as error:
            return error

    clock = FakeClock()
    context = RunContext(clock=clock)
    recorded = run_fake(compiled(context), clock)
    plain = run_fake(compiled(None), clock)
    if isinstance(recorded, BlockFailed):
        assert isinstance(plain, BlockFailed)
        assert plain.node == recorded.node
    else:
        assert plain == recorded
    return recorded, run_fake(interpreted()), context


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(plans(may_fail=False), st.integers(-2, 2))
def test_same_output_and_same_nodes(plan: Plan, q: int) -> None:
    compiled, (interpreted, interpreter), context = both(plan, q)
    assert compiled == interpreted
    record = context.trace.to_record()
    assert {block.node for block in record.blocks} == interpreter.executed
    for block in record.blocks:
        assert block.status is NodeStatus.OK
        assert block.output == interpreter.values[block.node]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(plans(may_fail=True), st.integers(-2, 2))
def test_same_failure_or_same_output(plan: Plan, q: int) -> None:
    compiled, (interpreted, interpreter), context = both(plan, q)
    record = context.trace.to_record()
    if interpreted is oracle.Failed:
        assert isinstance(compiled, BlockFailed)
        # Which of several failing branches is first is a matter of time, but it must be one that fails.
        failed = {block.node for block in record.blocks if block.status is NodeStatus.FAILED}
        assert compiled.node in failed | {""}
    else:
        assert compiled == interpreted
        # In an option that fails, other nodes may have run before the failure than in the interpreter.
        if not interpreter.failures:
            assert {block.node for block in record.blocks} == interpreter.executed


@pytest.mark.parametrize("pinned", ["n0", "n1"])
def test_pinned_node_needs_nothing(pinned: str) -> None:
    nodes = (
        Node(id="n0", kind="fail@1", inputs={"a": Ref("q")}),
        Node(id="n1", kind="add@1", inputs={"a": Ref("n0")}),
    )
    plan = Plan(
        name="pins", inputs={"q": Input(type=AnyType())}, output=AnyType(), nodes=nodes, result=Ref("n1")
    )
    context = RunContext(overrides={pinned: 5})
    result = asyncio.run(compile_plan(plan, kinds=KINDS, services=FakeServices()).run({"q": 0}, context))
    assert result == ({"n": 6} if pinned == "n0" else 5)
    pins = [block.node for block in context.trace.to_record().blocks if block.status is NodeStatus.PINNED]
    assert pins == [pinned]
