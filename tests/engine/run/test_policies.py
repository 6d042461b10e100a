"""Retry, timeout, fallback, cache, breaker, deadline, cancellation: on a fake clock."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from algorail.engine.kind import CallContext, Effect
from algorail.engine.kit.errors import BlockFailed, DeadlineExceeded, InvalidInput, PlanInvalid, Unavailable
from algorail.engine.plan.document import Breaker, Cache, ListOf, Ref, Retry, Value
from algorail.engine.run.context import RunContext
from algorail.engine.run.outcome import NodeStatus, RunStatus
from algorail.engine.run.prepare import refusals
from algorail.engine.testing.fake_loop import run_fake
from algorail.engine.testing.fakes import kind_of
from tests.engine.run.graphs import Bench, Script, node, plan


def scripted(*steps: Any, **kind: Any) -> tuple[Script, Bench]:
    script = Script(*steps)

    async def act(x: Any = None) -> Any:
        return script.step()

    return script, Bench(kind_of(act, **kind))


@pytest.fixture
def longest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jitter at its upper bound."""
    monkeypatch.setattr(random, "random", lambda: 1.0)


@pytest.mark.usefixtures("longest_waits")
def test_retry_waits_longer_each_time_and_records_every_attempt() -> None:
    script, bench = scripted(Unavailable("away"), Unavailable("away"), Unavailable("away"), 7)
    retry = {"retry": Retry(attempts=4, first=1.0, max=3.0)}
    result, record = bench.record(plan(node("n", "act", retry, x="q")))
    assert result == 7
    assert script.calls == 4
    attempts = record.blocks[0].attempts
    assert [attempt.start_ns / 1e9 for attempt in attempts] == [0, 1, 3, 6]
    assert [attempt.error.code if attempt.error else "" for attempt in attempts] == ["unavailable"] * 3 + [""]
    assert record.blocks[0].status is NodeStatus.OK


def test_retry_waits_as_long_as_the_callee_asks() -> None:
    _, bench = scripted(Unavailable("busy", retry_after=9.0), 7)
    assert bench.record(plan(node("n", "act", {"retry": Retry()}, x="q")))[0] == 7
    assert bench.clock.monotonic() == 9


class Final(RuntimeError):
    non_retryable = True


@pytest.mark.parametrize("error", [InvalidInput("no"), Final("no"), TypeError("mistake")])
def test_errors_that_come_back_the_same_are_not_retried(error: Exception) -> None:
    script, bench = scripted(error, 7)
    result, _ = bench.record(plan(node("n", "act", {"retry": Retry()}, x="q")))
    assert isinstance(result, BlockFailed)
    assert result.__cause__ is error
    assert script.calls == 1


def test_retry_only_on_the_codes_that_are_named() -> None:
    script, bench = scripted(Unavailable("away", code="too-slow"), Unavailable("away"), 7)
    result, _ = bench.record(plan(node("n", "act", {"retry": Retry(on=("too-slow",))}, x="q")))
    assert isinstance(result, BlockFailed)
    assert script.calls == 2


def test_no_retry_that_cannot_end_before_the_deadline() -> None:
    script, bench = scripted(Unavailable("away", retry_after=10.0), 7)
    result, _ = bench.record(plan(node("n", "act", {"retry": Retry()}, x="q")), timeout=5.0)
    assert isinstance(result, BlockFailed)
    assert (script.calls, bench.clock.monotonic()) == (1, 0)


async def slow(x: Any = None) -> str:
    await asyncio.sleep(60)
    return "late"


def test_timeout_is_retryable_and_fallback_answers_in_the_end() -> None:
    bench = Bench(kind_of(slow))
    policies = {"timeout": 2.0, "retry": Retry(attempts=2, first=0.0), "fallback": Value("instead")}
    result, record = bench.record(plan(node("n", "slow", policies, x="q")))
    assert result == "instead"
    assert bench.clock.monotonic() == 4
    assert record.blocks[0].status is NodeStatus.FALLBACK
    assert record.blocks[0].error is not None
    assert record.blocks[0].error.code == "timeout"


def test_fallback_node_is_pulled_only_when_it_is_needed() -> None:
    _, bench = scripted(1, RuntimeError("no"))
    spare = Script("spare")

    def reserve() -> Any:
        return spare.step()

    bench = Bench(bench.kinds.get("act@1"), kind_of(reserve))
    compiled = bench.compile(
        plan(node("other", "reserve"), node("n", "act", {"fallback": Ref("other")}, x="q"))
    )
    assert bench.record(compiled)[0] == 1
    assert spare.calls == 0
    assert bench.record(compiled)[0] == "spare"
    assert spare.calls == 1


def test_cache_answers_equal_inputs_until_they_are_old() -> None:
    _, bench = scripted({"n": 1}, {"n": 2}, {"n": 3})
    compiled = bench.compile(plan(node("n", "act", {"cache": Cache(ttl=10.0, size=2)}, x="q")))
    first, _ = bench.record(compiled, 1)
    first["n"] = "changed by the caller"
    again, record = bench.record(compiled, 1)
    assert again == {"n": 1}
    assert record.blocks[0].status is NodeStatus.CACHED
    assert bench.record(compiled, 1.0)[0] == {"n": 2}
    bench.clock.advance(11)
    assert bench.record(compiled, 1)[0] == {"n": 3}


def test_cache_forgets_the_least_recently_used() -> None:
    _, bench = scripted(*range(10))
    compiled = bench.compile(plan(node("n", "act", {"cache": Cache(size=2)}, x="q")))
    assert [bench.record(compiled, q)[0] for q in "abacab"] == [0, 1, 0, 2, 0, 3]


def test_equal_calls_under_way_are_made_once() -> None:
    calls = 0

    async def act(x: Any) -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(1)
        return calls

    bench = Bench(kind_of(act))
    compiled = bench.compile(plan(node("n", "act", {"cache": Cache()}, x="q")))

    async def many() -> list[int]:
        first = asyncio.create_task(compiled.run({"q": 1}))
        rest = [asyncio.create_task(compiled.run({"q": 1})) for _ in range(5)]
        await asyncio.sleep(0.5)
        first.cancel()
        await asyncio.wait([first])
        return list(await asyncio.gather(*rest))

    assert run_fake(many(), bench.clock) == [2] * 5


def test_breaker_opens_probes_once_and_closes() -> None:
    away = Unavailable("away")
    script, bench = scripted(away, away, away, "back")
    compiled = bench.compile(plan(node("n", "act", {"breaker": Breaker(failures=2, reset=10.0)}, x="q")))

    def outcome() -> Any:
        result, _ = bench.record(compiled)
        return result.code if isinstance(result, BlockFailed) else result

    assert [outcome() for _ in range(3)] == ["unavailable", "unavailable", "circuit-open"]
    bench.clock.advance(10)
    assert [outcome(), outcome()] == ["unavailable", "circuit-open"]
    bench.clock.advance(10)
    assert [outcome(), outcome()] == ["back", "back"]
    assert script.calls == 5


def test_breaker_is_shared_by_nodes_of_the_same_configuration() -> None:
    script, bench = scripted(Unavailable("away"))
    policies = {"breaker": Breaker(failures=1)}
    bench.record(plan(node("one", "act", policies, x="q")))
    result, _ = bench.record(plan(node("other", "act", policies, x="q")))
    assert result.code == "circuit-open"
    assert script.calls == 1


def test_deadline_ends_everything_and_is_passed_down() -> None:
    left: list[float | None] = []
    ended: list[str] = []

    async def tell(ctx: CallContext, x: Any) -> None:
        await asyncio.sleep(2)
        left.append(ctx.remaining())

    async def hang(x: Any, y: Any = None) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("hang")

    bench = Bench(kind_of(tell, wants_context=True), kind_of(hang))
    made = plan(node("a", "tell", x="q"), node("b", "hang", x="q"), node("c", "hang", x="a", y="b"))
    result, record = bench.record(made, timeout=5.0)
    assert isinstance(result, DeadlineExceeded)
    assert bench.clock.monotonic() == 5
    assert left == [3.0]
    assert ended == ["hang"]
    assert record.status is RunStatus.FAILED
    assert record.error is not None
    assert record.error.code == "deadline-exceeded"
    assert {block.node: block.status for block in record.blocks} == {
        "a": NodeStatus.OK,
        "b": NodeStatus.CANCELLED,
    }


def test_plan_timeout_is_the_default_deadline() -> None:
    bench = Bench(kind_of(slow))
    result, _ = bench.record(plan(node("n", "slow"), timeout=3.0))
    assert isinstance(result, DeadlineExceeded)
    assert bench.clock.monotonic() == 3


def test_first_failure_cancels_the_siblings_at_once() -> None:
    ended: list[float] = []

    async def hang(x: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(bench.clock.monotonic())

    async def fail(x: Any) -> None:
        await asyncio.sleep(1)
        raise RuntimeError("boom at https://user:secret@host/?token=abc")

    def join(x: Any) -> Any:
        return x

    bench = Bench(kind_of(hang), kind_of(fail), kind_of(join))
    branches = [node("h1", "hang", x="q"), node("f", "fail", x="q"), node("h2", "hang", x="q")]
    links = ListOf((Ref("h1"), Ref("f"), Ref("h2")))
    result, record = bench.record(plan(*branches, node("j", "join", x=links)))
    assert isinstance(result, BlockFailed)
    assert result.node == "f"
    assert ended == [1, 1]
    assert "secret" not in str(record)
    assert "abc" not in str(record.error)
    statuses = {block.node: block.status.value for block in record.blocks}
    assert statuses == {"h1": "cancelled", "f": "failed", "h2": "cancelled"}


def test_cancelled_run_is_recorded_as_cancelled() -> None:
    bench = Bench(kind_of(slow))
    compiled = bench.compile(plan(node("n", "slow")))
    context = RunContext(clock=bench.clock)

    async def run() -> bool:
        task = asyncio.create_task(compiled.run({"q": 1}, context))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert run_fake(run(), bench.clock)
    assert context.trace is not None
    record = context.trace.to_record()
    assert record.status is RunStatus.CANCELLED
    assert [block.status for block in record.blocks] == [NodeStatus.CANCELLED]


def test_writes_are_repeated_only_with_an_effect_key() -> None:
    keys: list[str] = []

    async def pay(x: Any) -> None: ...

    async def pay_once(ctx: CallContext, x: Any) -> str:
        keys.append(ctx.effect_key())
        if len(keys) == 1:
            raise Unavailable("away")
        return "paid"

    once = {"effect": Effect.WRITE, "idempotent": False}
    bench = Bench(kind_of(pay, **once), kind_of(pay_once, wants_context=True, **once))
    with pytest.raises(PlanInvalid, match="not safe") as refused:
        bench.compile(plan(node("n", "pay", {"retry": Retry()}, x="q")))
    assert refused.value.problems[0].code == "unsafe-retry"
    with pytest.raises(PlanInvalid):
        bench.compile(plan(node("n", "pay", {"cache": Cache()}, x="q")))
    assert bench.record(plan(node("n", "pay_once", {"retry": Retry()}, x="q")))[0] == "paid"
    assert keys == ["run_test:n"] * 2


def test_blocks_in_threads_leave_the_loop_alone() -> None:
    import threading

    def where(x: Any) -> str:
        return threading.current_thread().name

    bench = Bench(kind_of(where, in_thread=True))
    assert bench.record(plan(node("n", "where", x="q")))[0].startswith("algorail-block")
    bench.services.close()


def test_what_cannot_be_compiled_is_told_without_building_a_block() -> None:
    def pay(x: Any) -> None: ...

    bench = Bench(kind_of(pay, effect=Effect.WRITE))
    nodes = [node("n0", "pay", {"cache": Cache()}, x="q")]
    for i in range(1, 18):
        nodes.append(node(f"n{i}", "when", condition="q", then=f"n{i - 1}", otherwise=Value(0)))
    told = refusals(plan(*nodes), bench.kinds)
    assert [problem.code for problem in told] == ["unsafe-cache", "limit-exceeded"]
    assert refusals(plan(node("n", "pay", x="q")), bench.kinds) == []
