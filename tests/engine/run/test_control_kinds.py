"""when, switch, first_of, each, sub_algorithm; errors of bindings; names that must not become code."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from algorail.engine.kind import CallContext
from algorail.engine.kit.errors import BlockFailed, ConfigInvalid, LimitExceeded, PlanInvalid
from algorail.engine.plan.document import Cel, Input, ListOf, Node, Op, Plan, Ref, Value
from algorail.engine.plan.types import AnyType
from algorail.engine.run.outcome import NodeStatus
from algorail.engine.testing.fakes import kind_of
from tests.engine.run.graphs import Bench, Script, node, plan


def double(x: Any) -> Any:
    return x * 2


async def wait(x: Any) -> Any:
    await asyncio.sleep(x)
    return x


def boom(x: Any = None) -> Any:
    raise RuntimeError("boom")


@pytest.fixture
def bench() -> Bench:
    return Bench(kind_of(double), kind_of(wait), kind_of(boom))


def each(kind: str, items: Any = "q", **config: Any) -> Node:
    return Node(
        id="all",
        kind="each@1",
        config={"kind": f"{kind}@1", "over": "x", **config},
        inputs={"items": Ref(items) if isinstance(items, str) else items},
    )


def test_each_keeps_the_order_and_bounds_what_is_under_way(bench: Bench) -> None:
    result, _ = bench.record(plan(each("wait", concurrency=2)), [3, 1, 1, 1])
    assert result == [3, 1, 1, 1]
    assert bench.clock.monotonic() == 3
    result, _ = bench.record(plan(each("wait", concurrency=1)), [3, 1])
    assert bench.clock.monotonic() == 7


@pytest.mark.parametrize(("on_error", "expected"), [("null", [2, None, 6]), ("skip", [2, 6])])
@pytest.mark.parametrize("is_async", [True, False])
def test_each_goes_on_after_an_item_that_fails(on_error: str, expected: list[Any], is_async: bool) -> None:
    def picky(x: Any) -> Any:
        if x == 2:
            raise ValueError(x)
        return x * 2

    async def picky_async(x: Any) -> Any:
        return picky(x)

    bench = Bench(kind_of(picky_async if is_async else picky, "picky"))
    assert bench.record(plan(each("picky", on_error=on_error)), [1, 2, 3])[0] == expected
    failure, _ = bench.record(plan(each("picky")), [1, 2, 3])
    assert isinstance(failure, BlockFailed)
    assert "item 1" in str(failure)


def test_each_refuses_what_is_no_list_and_bad_settings(bench: Bench) -> None:
    assert "needs a list" in str(bench.record(plan(each("double")), "text")[0])
    for config in ({"concurrency": 0}, {"on_error": "shrug"}):
        with pytest.raises(ConfigInvalid):
            bench.compile(plan(each("double", **config)))


def test_switch_tells_true_from_one(bench: Bench) -> None:
    made = Node(
        id="n",
        kind="switch@1",
        config={"cases": [True, 1, "a"]},
        inputs={
            "value": Ref("q"),
            "case_0": Value("true"),
            "case_1": Value("one"),
            "case_2": Value("letter"),
        },
    )
    compiled = bench.compile(plan(made))
    assert [bench.record(compiled, q)[0] for q in (True, 1, "a")] == ["true", "one", "letter"]
    failure, _ = bench.record(compiled, "b")
    assert failure.code == "no-case"


def test_shared_node_of_two_branches_runs_once_beside_them() -> None:
    script = Script(5, 6)

    async def act(x: Any) -> Any:
        await asyncio.sleep(1)
        return script.step()

    bench = Bench(kind_of(act))
    branch = {"condition": Op(">", (Ref("q"), Value(0))), "then": Ref("s"), "otherwise": Value(0)}
    nodes = [node("s", "act", x="q"), *(Node(id=f"w{i}", kind="when@1", inputs=branch) for i in range(3))]
    made = plan(*nodes, result=ListOf(tuple(Ref(f"w{i}") for i in range(3))))
    assert bench.record(made, 1)[0] == [5, 5, 5]
    assert bench.clock.monotonic() == 1
    result, record = bench.record(made, 0)
    assert result == [0, 0, 0]
    assert "s" not in {block.node for block in record.blocks}
    assert script.calls == 1


def test_first_of_cancels_a_failed_option_and_takes_the_next(bench: Bench) -> None:
    made = plan(
        node("slow", "wait", x="q"),
        node("bad", "boom"),
        node("good", "double", x="q"),
        Node(
            id="n",
            kind="first_of@1",
            inputs={"option_0": ListOf((Ref("slow"), Ref("bad"))), "option_1": Ref("good")},
        ),
    )
    result, record = bench.record(made, 4)
    assert result == 8
    assert {block.node: block.status for block in record.blocks}["bad"] is NodeStatus.FAILED
    assert bench.clock.monotonic() == 0, "a block that does not wait runs before the wait of another"


def test_first_of_says_why_all_failed(bench: Bench) -> None:
    failure, _ = bench.record(plan(node("bad", "boom"), node("n", "first_of", option_0="bad")))
    assert failure.code == "no-option"
    assert "boom" in str(failure)


def sub(name: str, **inputs: Any) -> Node:
    return Node(
        id="sub", kind="sub_algorithm@1", config={"algorithm": name, "version": "@prod"}, inputs=inputs
    )


def test_sub_algorithm_is_recorded_below_its_node(bench: Bench) -> None:
    bench.algorithms["inner"] = bench.compile(plan(node("d", "double", x="q"), name="inner"))
    result, record = bench.record(plan(sub("inner", q=Ref("q"))), 4)
    assert result == 8
    (child,) = record.blocks[0].children
    assert (child.algorithm, child.run_id, child.output) == ("inner", "run_test:sub", 8)
    assert [block.node for block in child.blocks] == ["d"]


def test_each_over_a_sub_algorithm_has_a_child_per_item(bench: Bench) -> None:
    bench.algorithms["inner"] = bench.compile(plan(node("w", "wait", x="q"), name="inner"))
    made = Node(
        id="all",
        kind="each@1",
        config={"kind": "sub_algorithm@1", "config": {"algorithm": "inner", "version": "1"}, "over": "q"},
        inputs={"items": Ref("q")},
    )
    result, record = bench.record(plan(made), [2, 1])
    assert result == [2, 1]
    assert [child.run_id for child in record.blocks[0].children] == ["run_test:all.0", "run_test:all.1"]
    assert [child.output for child in record.blocks[0].children] == [2, 1]


def test_recursion_ends(bench: Bench) -> None:
    bench.algorithms["loop"] = bench.compile(plan(node("d", "double", x="q")))
    bench.algorithms["loop"] = bench.compile(plan(sub("loop", q=Ref("q")), name="loop"))
    failure, _ = bench.record(bench.algorithms["loop"])
    assert isinstance(failure, BlockFailed)
    assert "nest deeper" in str(failure)


def test_streaming_context_reaches_the_listener() -> None:
    async def speak(ctx: CallContext, x: Any) -> str:
        ctx.emit("he")
        ctx.emit("llo")
        return "hello"

    heard: list[Any] = []
    bench = Bench(kind_of(speak, wants_context=True))
    bench.record(plan(node("n", "speak", x="q")), emit=lambda *part: heard.append(part))
    assert heard == [("n", "he"), ("n", "llo")]


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [(("a",), {}, "no key 'a'"), ((3,), [1], "too short"), (("a",), None, "NoneType")],
)
def test_path_to_nothing_names_node_port_and_path(bench: Bench, path: Any, value: Any, told: str) -> None:
    failure, record = bench.record(plan(node("n", "double", x=Ref("q", path))), value)
    assert isinstance(failure, BlockFailed)
    assert (failure.node, failure.code) == ("n", "binding-failed")
    assert "n.x" in str(failure)
    assert told in str(failure)
    assert record.blocks[0].status is NodeStatus.FAILED


def test_cel_and_constants(bench: Bench) -> None:
    made = plan(
        node("n", "double", x=Cel("a.n + 1", {"a": Ref("q")})), result=ListOf((Ref("n"), Value({"k": ["v"]})))
    )
    first, _ = bench.record(made, {"n": 1})
    assert first == [4, {"k": ["v"]}]


def test_user_text_never_becomes_code(bench: Bench) -> None:
    hostile = 'x"]; import os #'
    keyed = plan(node("n", "double", x=Ref("q", (hostile,))), result=Value(hostile))
    compiled = bench.compile(plan(node("n", "double", x=Ref("q", (hostile,)))))
    assert hostile not in compiled.source
    assert bench.record(compiled, {hostile: 2})[0] == 4
    assert bench.record(keyed)[0] == hostile
    for name in (hostile, "Name", "n" * 65, ""):
        with pytest.raises(PlanInvalid):
            bench.compile(plan(node(name, "double", x="q")))
    with pytest.raises(PlanInvalid, match="identifier"):
        bench.compile(
            Plan(
                name="p", inputs={hostile: Input(type=AnyType())}, output=AnyType(), nodes=(), result=Value(1)
            )
        )


def test_every_dangling_reference_is_told(bench: Bench) -> None:
    with pytest.raises(PlanInvalid) as refused:
        bench.compile(plan(node("a", "double", x="b"), node("b", "double", x="zzz")))
    assert [problem.code for problem in refused.value.problems] == ["dangling-ref"] * 2


def test_branches_nest_only_so_deep(bench: Bench) -> None:
    def nested(depth: int) -> Plan:
        nodes = [node("n0", "double", x="q")]
        for i in range(1, depth + 1):
            nodes.append(node(f"n{i}", "when", condition="q", then=f"n{i - 1}", otherwise=Value(0)))
        return plan(*nodes)

    assert bench.record(nested(16), 1)[0] == 2
    with pytest.raises(LimitExceeded, match="switch"):
        bench.compile(nested(17))
