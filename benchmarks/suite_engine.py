"""The engine's own cost: compiled plans against hand-written asyncio that calls the same blocks.

What a ratio says depends on what the blocks do, so there are three. The budgets (1.1 and 1.5 for a chain,
0.25 for a fan-out) were set where six trivial blocks, awaited by hand, took 5.0 µs; `step` comes to about
that: it reads a small record and makes the next, 0.8 µs on CPython 3.12. `light` does less than half as much
and `bare` nothing at all: their rows show the same cost against a lower floor, for information, without a
budget. What is added to a run in microseconds stands beside the ratios, for it hardly depends on the block.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from algorail.engine.plan.document import Input, ListOf, Node, Plan, Ref
from algorail.engine.plan.types import AnyType
from algorail.engine.run.compile import CompiledPlan, compile_plan
from algorail.engine.run.context import RunContext
from algorail.engine.testing.fakes import FakeKinds, FakeServices, kind_of
from benchmarks.harness import Bench, Case
from benchmarks.peers import peers_of_chain, peers_of_fan_out

CONCURRENT = 1_000
START = {"id": "a", "score": 1}


async def step(x: Any) -> Any:
    """The least that a real block does: read a record, make the next."""
    return {**x, "score": x["score"] + 1, "label": f"{x['id']}:{x['score']}"}


async def light(x: Any) -> Any:
    """One number."""
    return {"score": x["score"] + 1}


async def bare(x: Any) -> Any:
    """Nothing."""
    return x


async def join(xs: list[Any]) -> Any:
    return xs


async def wait_long(x: Any) -> Any:
    await asyncio.sleep(0.030)
    return x


async def wait_short(x: Any) -> Any:
    await asyncio.sleep(0.010)
    return x


async def yielding(x: Any) -> Any:
    await asyncio.sleep(0)
    return x


KINDS = FakeKinds(*(kind_of(block) for block in (step, light, bare, join, wait_long, wait_short, yielding)))


def plan_of(name: str, *nodes: Node, result: str) -> Plan:
    return Plan(
        name=name, inputs={"x": Input(type=AnyType())}, output=AnyType(), nodes=nodes, result=Ref(result)
    )


def node(name: str, kind: str, x: str) -> Node:
    return Node(id=name, kind=f"{kind}@1", inputs={"x": Ref(x)})


def chain(length: int = 6, kind: str = "step") -> Plan:
    nodes = [node(f"n{i}", kind, f"n{i - 1}" if i else "x") for i in range(length)]
    return plan_of("chain", *nodes, result=f"n{length - 1}")


def fan_out(width: int = 8, kind: str = "step") -> Plan:
    branches = [node(f"b{i}", kind, "first") for i in range(width)]
    last = Node(id="last", kind="join@1", inputs={"xs": ListOf(tuple(Ref(f"b{i}") for i in range(width)))})
    return plan_of("fan_out", node("first", "step", "x"), *branches, last, result="last")


def diamond() -> Plan:
    return plan_of(
        "diamond",
        node("a1", "wait_long", "x"),
        node("a2", "wait_short", "a1"),
        node("b1", "wait_short", "x"),
        node("b2", "wait_long", "b1"),
        Node(id="last", kind="join@1", inputs={"xs": ListOf((Ref("a2"), Ref("b2")))}),
        result="last",
    )


async def chain_by_hand(x: Any) -> Any:
    a = await step(x=x)
    b = await step(x=a)
    c = await step(x=b)
    d = await step(x=c)
    e = await step(x=d)
    return await step(x=e)


async def light_chain_by_hand(x: Any) -> Any:
    a = await light(x=x)
    b = await light(x=a)
    c = await light(x=b)
    d = await light(x=c)
    e = await light(x=d)
    return await light(x=e)


async def bare_chain_by_hand(x: Any) -> Any:
    a = await bare(x=x)
    b = await bare(x=a)
    c = await bare(x=b)
    d = await bare(x=c)
    e = await bare(x=d)
    return await bare(x=e)


async def fan_out_by_hand(x: Any, branch: Callable[..., Any] = step) -> Any:
    first = await step(x=x)
    return await join(xs=list(await asyncio.gather(*(branch(x=first) for _ in range(8)))))


async def diamond_by_hand(x: Any) -> Any:
    async def one() -> Any:
        return await wait_short(x=await wait_long(x=x))

    async def other() -> Any:
        return await wait_long(x=await wait_short(x=x))

    return await join(xs=list(await asyncio.gather(one(), other())))


def compiled(plan: Plan) -> CompiledPlan:
    return compile_plan(plan, kinds=KINDS, services=FakeServices())


def recorded(plan: CompiledPlan) -> Callable[[], Coroutine[Any, Any, Any]]:
    return lambda: plan.run({"x": START}, RunContext("run_1"))


def unrecorded(plan: CompiledPlan) -> Callable[[], Coroutine[Any, Any, Any]]:
    return lambda: plan.run({"x": START})


async def suite(bench: Bench) -> None:
    """Chain, fan-out, diamond, compile time, many runs at once, instructions."""
    eager = sys.version_info >= (3, 12)
    await measure_chains(bench)
    await measure_fan_outs(bench, eager)
    await measure_diamond(bench)
    measure_compilation(bench)
    await measure_concurrency(bench)
    if eager:
        for name, plan, budget in (("chain", chain(), 400), ("fan-out", fan_out(), 900)):
            count = await instructions(recorded(compiled(plan)))
            bench.fact("bytecode", f"{name}, recorded", count, unit="instructions", budget=budget)


async def measure_chains(bench: Bench) -> None:
    """Six blocks in a row, by how much the blocks do."""
    for kind, by_hand, told in (
        ("step", chain_by_hand, "trivial async blocks"),
        ("light", light_chain_by_hand, "lighter blocks"),
        ("bare", bare_chain_by_hand, "blocks that only return"),
    ):
        six, budgeted = compiled(chain(kind=kind)), kind == "step"
        found = await bench.compare(
            f"chain of 6, {told}",
            floor=Case("by hand: await after await", partial(by_hand, START)),
            cases=[
                Case("compiled", unrecorded(six), budget=1.1 if budgeted else None),
                Case("compiled, recorded", recorded(six), budget=1.5 if budgeted else None),
                *(peers_of_chain(step) if bench.peers and budgeted else []),
            ],
        )
        floor, *rivals = found.timings
        for timing in rivals[:2]:
            # By the ratio, which drift of a shared machine hardly moves, rather than by two medians.
            added = (timing.ratio - 1) * floor.cpu_us
            bench.fact(f"added to a chain of 6, {told}", timing.name, added, unit="µs CPU a run")


async def measure_fan_outs(bench: Bench, eager: bool) -> None:
    """One block, eight beside one another, one that joins them."""
    eight, waiting = compiled(fan_out()), compiled(fan_out(kind="yielding"))
    await bench.compare(
        "fan-out 1 → 8 → 1, blocks that do not wait",
        floor=Case("by hand: gather", partial(fan_out_by_hand, START)),
        cases=[
            Case("compiled", unrecorded(eight)),
            Case("compiled, recorded", recorded(eight), budget=0.25 if eager else None),
            *(peers_of_fan_out(step, join) if bench.peers else []),
        ],
    )
    await bench.compare(
        "fan-out 1 → 8 → 1, blocks that wait once",
        floor=Case("by hand: gather", partial(fan_out_by_hand, START, yielding)),
        cases=[
            Case("compiled", unrecorded(waiting)),
            Case("compiled, recorded", recorded(waiting), budget=1.0),
        ],
    )


async def measure_diamond(bench: Bench) -> None:
    run = recorded(compiled(diamond()))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(bench.rounds * 2):
        for call, kept in zip((partial(diamond_by_hand, START), run), times, strict=True):
            started = time.perf_counter()
            await call()
            kept.append((time.perf_counter() - started) * 1e3)
    title = "unbalanced diamond 30+10 ‖ 10+30 ms"
    by_hand, ours = map(statistics.median, times)
    bench.fact(title, "by hand", by_hand, unit="ms")
    bench.fact(title, "compiled, recorded", ours, unit="ms", budget=41.5)


def measure_compilation(bench: Bench) -> None:
    nodes = [node("n0", "step", "x"), node("n1", "step", "x")]
    nodes += [
        Node(id=f"n{i}", kind="join@1", inputs={"xs": ListOf((Ref(f"n{i - 1}"), Ref(f"n{i // 2}")))})
        for i in range(2, 200)
    ]
    plan = plan_of("wide", *nodes, result="n199")
    times = []
    for _ in range(bench.rounds):
        started = time.process_time()
        compiled(plan)
        times.append((time.process_time() - started) * 1e3)
    bench.fact("compile", "200 nodes", statistics.median(times), unit="ms", budget=50.0)


async def measure_concurrency(bench: Bench) -> None:
    """CPU per run: a thousand at once must not cost more than ten at once."""
    plan = compiled(chain(kind="yielding"))
    run = recorded(plan)
    costs: dict[int, list[float]] = {10: [], CONCURRENT: []}
    for _ in range(bench.rounds):
        for width, kept in costs.items():
            started = time.process_time()
            for _ in range(CONCURRENT // width):
                await asyncio.gather(*(run() for _ in range(width)))
            kept.append((time.process_time() - started) / CONCURRENT * 1e6)
    few, many = (statistics.median(kept) for kept in costs.values())
    bench.fact("concurrent runs", "10 at once", few, unit="µs CPU a run")
    bench.fact("concurrent runs", f"{CONCURRENT:,} at once", many, unit="µs CPU a run", budget=few * 1.25)


async def instructions(call: Callable[[], Coroutine[Any, Any, Any]]) -> int:
    """Bytecode instructions of one run, its blocks included: a figure without noise."""
    monitoring = sys.monitoring
    await call()
    count = 0

    def seen(_code: Any, _offset: int) -> None:
        nonlocal count
        count += 1

    tool = monitoring.PROFILER_ID
    monitoring.use_tool_id(tool, "algorail-benchmarks")
    monitoring.register_callback(tool, monitoring.events.INSTRUCTION, seen)
    coroutine = call()
    monitoring.set_events(tool, monitoring.events.INSTRUCTION)
    try:
        await coroutine
    finally:
        monitoring.set_events(tool, 0)
        monitoring.register_callback(tool, monitoring.events.INSTRUCTION, None)
        monitoring.free_tool_id(tool)
    return count
