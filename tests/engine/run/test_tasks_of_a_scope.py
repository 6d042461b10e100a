"""Fibres that start together: who shares a task with whom, and what a failure leaves undone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from algorail.engine.kit.errors import BlockFailed
from algorail.engine.plan.document import ListOf, Plan, Ref
from algorail.engine.run.scope import EAGER, Scope
from algorail.engine.testing.fake_loop import run_fake
from algorail.engine.testing.fakes import kind_of
from tests.engine.run.graphs import Bench, node, plan

pytestmark = pytest.mark.skipif(not EAGER, reason="eager tasks came with Python 3.12")


def beside(*kinds: str) -> Plan:
    """A node of each kind, side by side."""
    nodes = [node(f"n{position}", kind, x="q") for position, kind in enumerate(kinds)]
    return plan(*nodes, result=ListOf(tuple(Ref(one.id) for one in nodes)))


async def quick(x: Any) -> Any:
    return asyncio.current_task()


async def tasks_around_a_wait(x: Any) -> Any:
    before = asyncio.current_task()
    await asyncio.sleep(1)
    return before, asyncio.current_task()


def test_those_that_do_not_wait_share_a_task_and_those_that_wait_keep_theirs() -> None:
    bench = Bench(kind_of(quick), kind_of(tasks_around_a_wait, "waits"))
    made = beside("waits", "quick", "quick", "waits", "quick", "waits")
    inline, one, other, (first, then), last, (second, later) = bench.record(made)[0]
    assert inline[0] is inline[1]
    assert one is other is first is then
    assert last is second is later
    assert len({inline[0], first, second}) == 3


def test_a_time_limit_in_a_block_ends_that_block_only() -> None:
    async def limited(x: Any) -> str:
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(60)
        except TimeoutError:
            return "over"
        return "done"

    async def slow(x: Any) -> str:
        await asyncio.sleep(2)
        return "slow"

    bench = Bench(kind_of(quick), kind_of(limited), kind_of(slow))
    result, _ = bench.record(beside("quick", "quick", "limited", "slow", "limited"))
    assert result[2:] == ["over", "slow", "over"]
    assert bench.clock.monotonic() == 2


def test_after_a_failure_nothing_more_is_started() -> None:
    started: list[str] = []

    async def stubborn(x: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            started.append("cancelled")

    async def fail(x: Any) -> None:
        raise RuntimeError("no")

    async def late(x: Any) -> None:
        started.append("late")

    bench = Bench(kind_of(stubborn), kind_of(fail), kind_of(late))
    failure, record = bench.record(beside("late", "stubborn", "fail", "late", "late"))
    assert isinstance(failure, BlockFailed)
    assert failure.node == "n2"
    assert started == ["cancelled"]
    assert {block.node for block in record.blocks} == {"n1", "n2"}


def test_start_tells_which_fibres_still_wait() -> None:
    async def wait() -> None:
        await asyncio.sleep(1)

    async def done() -> None: ...

    async def run() -> list[bool]:
        tasks = Scope().start(done, wait, done, done, wait)
        for task in filter(None, tasks):
            await task
        return [task is not None for task in tasks]

    assert run_fake(run()) == [False, True, False, False, True]
