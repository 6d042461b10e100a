"""What runs beside what, how code looks, what explain says; on the table of shapes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from algorail.engine.kit.errors import NotFound
from algorail.engine.plan.document import ListOf, Node, Plan, Ref
from algorail.engine.run.explain import critical_path, explain
from algorail.engine.run.scope import EAGER
from algorail.engine.testing.fake_loop import run_fake
from algorail.engine.testing.fakes import kind_of
from tests.engine.run.graphs import Bench, node, plan

SECONDS = {"one": 1, "two": 2, "three": 3, "ten": 10}


def waiting(name: str, seconds: float) -> Any:
    async def wait(x: Any = None) -> str:
        await asyncio.sleep(seconds)
        return name

    return kind_of(wait, name)


def both(x: Any) -> Any:
    return x


@pytest.fixture
def bench() -> Bench:
    return Bench(*(waiting(name, seconds) for name, seconds in SECONDS.items()), kind_of(both))


def of(*names: str) -> ListOf:
    return ListOf(tuple(Ref(name) for name in names))


SHAPES: dict[str, tuple[Plan, float]] = {
    "chain": (plan(node("a", "one", x="q"), node("b", "two", x="a"), node("c", "three", x="b")), 6),
    "fan-out": (
        plan(node("a", "one"), *(node(f"b{i}", "three", x="a") for i in range(5)), result=of(*(f"b{i}" for i in range(5)))),
        4,
    ),
    "unbalanced diamond": (
        plan(node("a", "three"), node("a2", "one", x="a"), node("b", "one"), node("b2", "three", x="b"), result=of("a2", "b2")),
        4,
    ),
    "no level barrier": (
        plan(node("a", "ten"), node("b", "one"), node("c", "ten", x="b"), node("d", "one", x=of("a", "c"))),
        12,
    ),
    "crossing": (
        plan(node("a", "one"), node("b", "two"), node("c", "ten"), node("d", "ten", x=of("a", "b")), node("e", "one", x=of("b", "c")), result=of("d", "e")),
        12,
    ),
    "sync between": (
        plan(node("a", "one"), node("s", "both", x="a"), node("t", "both", x="s"), node("b", "three", x="t"), node("c", "three", x="s"), node("d", "ten"), result=of("b", "c", "d", "t")),
        10,
    ),
    "branch beside the rest": (
        plan(node("a", "three"), node("w", "when", condition="q", then="a", otherwise="q"), node("b", "three"), result=of("w", "b")),
        3,
    ),
    "overlap within a branch": (
        plan(node("a", "three"), node("b", "two"), node("w", "when", condition="q", then=of("a", "b"), otherwise="q")),
        3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_start_as_soon_as_they_can(bench: Bench, shape: str) -> None:
    made, seconds = SHAPES[shape]
    result, record = bench.record(made, 1)
    assert not isinstance(result, Exception)
    assert bench.clock.monotonic() == pytest.approx(seconds)
    assert record.duration_ns == pytest.approx(seconds * 1e9)


def test_critical_path_by_shape_and_by_record(bench: Bench) -> None:
    made, _ = SHAPES["unbalanced diamond"]
    compiled = bench.compile(plan(*made.nodes, node("x", "one", x="b2"), result=of("a2", "x")))
    assert critical_path(compiled).nodes == ("b", "b2", "x")
    _, record = bench.record(compiled)
    path = explain(compiled, record).critical_path
    assert (path.nodes, path.seconds) == (("b", "b2", "x"), 5.0)


def test_explanation_shows_policies_and_dead_nodes(bench: Bench) -> None:
    made = plan(node("dead", "one"), node("a", "both", {"timeout": 2.0}, x="q"))
    told = explain(bench.compile(made))
    assert told.summary.splitlines() == [
        "test(q)",
        "  dead = one@1()  [async, never needed]",
        "  a = both@1(q)  [async, timeout 2 s]",
        "  → a",
    ]
    assert "call_a(ctx, x=i_q)" in told.code
    assert "dead" not in told.code


def test_a_chain_is_plain_awaits(bench: Bench) -> None:
    code = bench.compile(SHAPES["chain"][0]).form(record=False).source
    assert code.splitlines() == [
        "async def run(inputs, ctx):",
        "    try:",
        '        i_q = inputs["q"]',
        "        v_a = await call_a(x=i_q)",
        "        v_b = await call_b(x=v_a)",
        "        v_c = await call_c(x=v_b)",
        "        return v_c",
        "    except BaseException as error:",
        "        fail(error, ctx)",
        "        raise",
    ]


def test_wide_and_deep_plans_compile(bench: Bench) -> None:
    wide = plan(*(node(f"n{i}", "one") for i in range(500)), result=of(*(f"n{i}" for i in range(500))))
    deep = plan(*(node(f"n{i}", "both", x=f"n{i - 1}" if i else "q") for i in range(2_000)))
    assert bench.record(wide)[0] == ["one"] * 500
    assert bench.record(deep, 7)[0] == 7


def test_a_thousand_runs_at_once_do_not_mix(bench: Bench) -> None:
    compiled = bench.compile(plan(node("a", "one", x="q"), node("b", "both", x=of("a", "q"))))

    async def many() -> list[Any]:
        return list(await asyncio.gather(*(compiled.run({"q": i}) for i in range(1_000))))

    assert run_fake(many(), bench.clock) == [["one", i] for i in range(1_000)]
    assert bench.clock.monotonic() == 1


@pytest.mark.skipif(not EAGER, reason="instruction events and eager tasks came with Python 3.12")
@pytest.mark.parametrize(("shape", "limit"), [("chain", 400), ("fan-out", 900)])
def test_instructions_of_a_recorded_run(shape: str, limit: int) -> None:
    from benchmarks import suite_engine

    made = suite_engine.chain() if shape == "chain" else suite_engine.fan_out()
    run = suite_engine.recorded(suite_engine.compiled(made))
    assert asyncio.run(suite_engine.instructions(run)) <= limit


def test_fakes_name_the_kinds_there_are(bench: Bench) -> None:
    with pytest.raises(NotFound, match="both@1, one@1"):
        bench.compile(plan(Node(id="n", kind="nope@1")))
