"""Deadlines on one timer, and identifiers."""

from __future__ import annotations

import asyncio
import os

from algorail.engine.kit.deadlines import Deadlines
from algorail.engine.kit.ids import id_time_ns, new_id


def test_what_is_due_is_told_in_order_and_what_is_done_is_not():
    told = []

    async def main():
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def due(item):
            told.append(item)
            if item == "last":
                over.set()

        deadlines = Deadlines(due)
        now = loop.time()
        deadlines.add("last", now + 0.04)
        deadlines.add("done", now + 0.02)
        deadlines.add("first", now + 0.01)
        deadlines.remove("done")
        deadlines.remove("done")
        await asyncio.wait_for(over.wait(), 5)
        assert len(deadlines) == 0

    asyncio.run(main())
    assert told == ["first", "last"]


def test_a_deadline_may_be_put_off():
    async def main():
        times, over = [], asyncio.Event()

        def due(_item):
            times.append(asyncio.get_running_loop().time())
            if len(times) == 1:
                return times[0] + 0.02
            over.set()
            return None

        Deadlines(due).add("run", 0.0)
        await asyncio.wait_for(over.wait(), 5)
        assert times[1] - times[0] >= 0.015

    asyncio.run(main())


def test_identifiers_differ_sort_by_time_and_tell_it():
    many = [new_id("run") for _ in range(2_000)]
    assert len(set(many)) == len(many)
    early, late = new_id("x", now_ns=1_000_000_000), new_id("x", now_ns=1_700_000_000_123_000_000)
    assert early < late
    assert id_time_ns(late) == 1_700_000_000_123_000_000
    assert len(late) == len("x_") + 26


def test_a_forked_process_makes_other_identifiers():
    new_id("run")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, " ".join(new_id("run", now_ns=0) for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = set(os.read(reading, 65_536).decode().split())
    os.close(reading)
    os.close(writing)
    assert len(theirs) == 100
    assert theirs.isdisjoint(new_id("run", now_ns=0) for _ in range(300))
