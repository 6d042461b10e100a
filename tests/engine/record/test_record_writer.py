"""The writer keeps its promises: durable means committed, drops are counted, memory is bounded."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from algorail.engine.kit.errors import InvalidInput, Unavailable
from algorail.engine.kit.ids import new_id
from algorail.engine.plan.document import Input, Node, Plan, RecordPolicy, Ref
from algorail.engine.plan.types import AnyType, ScalarType
from algorail.engine.record.codec import RecordEncoder, RecordShape
from algorail.engine.record.sizes import OBJECTS, UNKNOWN, Sizes
from algorail.engine.record.store import RunFilter
from algorail.engine.record.writer import RecordWriter, WriterOptions, is_sampled
from algorail.engine.run.outcome import BlockRecord, NodeStatus, RunRecord, RunStatus
from algorail.engine.store.sqlite import SqliteRecordStore

QUICK = WriterOptions(linger=0.0, retry_after=0.001)


def shape_for(mode="durable", rate=1.0):
    plan = Plan(
        name="faq",
        inputs={"q": Input(type=ScalarType("string"))},
        output=AnyType(),
        nodes=(Node(id="a", kind="transform@1", inputs={"q": Ref("q")}),),
        result=Ref("a"),
        record=RecordPolicy(mode=mode, rate=rate),
    )
    return RecordShape.of(plan, {"a": AnyType()})


SHAPE = shape_for()


def make_run(output="answer", status=RunStatus.SUCCEEDED):
    blocks = [BlockRecord("a", "transform@1", NodeStatus.OK, 0, 1, output)]
    return RunRecord(
        new_id("run"), "faq", 1, "h", status, time.time_ns(), 1, {"q": "?"}, output, None, blocks
    )


class FakeStore:
    """Keeps ids; fails while `broken` holds an error, waits while `gate` is closed."""

    def __init__(self):
        self.batches = []
        self.broken = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def write(self, batch):
        self.entered.set()
        self.gate.wait(10)
        if self.broken is not None:
            raise self.broken
        self.batches.append([run.head.run_id for run in batch])

    @property
    def ids(self):
        return [run_id for batch in self.batches for run_id in batch]


@pytest.fixture
def store():
    return FakeStore()


def finished(writer, until, seconds=5.0):
    """Poll the counters; the writer's thread has no other way to be waited for."""
    end = time.monotonic() + seconds
    while not until(writer.stats()):
        assert time.monotonic() < end, writer.stats()
        threading.Event().wait(0.001)


def test_durable_returns_after_the_commit(store):
    writer = RecordWriter(store, options=QUICK)
    run = make_run()

    async def main():
        await writer.durable(run, SHAPE)
        assert store.ids == [run.run_id]

    asyncio.run(main())
    writer.close()
    assert (writer.stats().written, writer.stats().commits, writer.stats().waiting) == (1, 1, 0)


def test_durable_does_not_return_before_the_commit(store):
    writer = RecordWriter(store, options=QUICK)

    async def main():
        store.gate.clear()
        task = asyncio.create_task(writer.durable(make_run(), SHAPE))
        await asyncio.to_thread(store.entered.wait)
        assert not task.done()
        store.gate.set()
        await task

    asyncio.run(main())
    writer.close()


def test_runs_that_wait_share_a_commit(store):
    writer = RecordWriter(store, options=QUICK)

    async def main():
        store.gate.clear()
        first = asyncio.create_task(writer.durable(make_run(), SHAPE))
        await asyncio.to_thread(store.entered.wait)
        rest = [asyncio.create_task(writer.durable(make_run(), SHAPE)) for _ in range(50)]
        await asyncio.sleep(0)
        store.gate.set()
        await asyncio.gather(first, *rest)

    asyncio.run(main())
    writer.close()
    assert [len(batch) for batch in store.batches] == [1, 50]


def test_a_failing_store_is_tried_again_within_the_deadline(store):
    writer = RecordWriter(store, options=QUICK)
    store.broken = Unavailable("locked")

    async def main():
        task = asyncio.create_task(writer.durable(make_run(), SHAPE, within=5.0))
        await asyncio.to_thread(finished, writer, lambda stats: stats.retries >= 2)
        store.broken = None
        await task

    asyncio.run(main())
    writer.close()
    assert writer.stats().written == 1


def test_a_dead_store_is_said_when_the_time_is_up_and_the_run_is_kept(store):
    writer = RecordWriter(store, options=QUICK)
    store.broken = Unavailable("full")
    run = make_run()

    async def main():
        with pytest.raises(Unavailable) as caught:
            await writer.durable(run, SHAPE, within=0.01)
        assert caught.value.code == "record-unavailable"
        assert caught.value.cure

    asyncio.run(main())
    store.broken = None
    finished(writer, lambda stats: stats.written == 1)
    writer.close()
    assert store.ids == [run.run_id]
    assert writer.stats().expired == 1


def test_a_deadline_holds_while_the_store_hangs(store):
    writer = RecordWriter(store, options=QUICK)
    store.gate.clear()

    async def main():
        with pytest.raises(Unavailable):
            await writer.durable(make_run(), SHAPE, within=0.01)

    asyncio.run(main())
    store.gate.set()
    writer.close()


def test_a_caller_that_goes_away_does_not_take_its_run_along(store):
    writer = RecordWriter(store, options=QUICK)

    async def main():
        store.gate.clear()
        task = asyncio.create_task(writer.durable(make_run(), SHAPE))
        await asyncio.to_thread(store.entered.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        store.gate.set()

    asyncio.run(main())
    writer.close()
    assert len(store.ids) == 1


def test_what_the_store_refuses_for_good_is_said_and_the_writer_lives(store):
    writer = RecordWriter(store, options=QUICK)
    store.broken = InvalidInput("no such column")

    async def main():
        with pytest.raises(Unavailable):
            await writer.durable(make_run(), SHAPE)
        store.broken = None
        await writer.durable(make_run(), SHAPE)

    asyncio.run(main())
    writer.close()
    assert (writer.stats().dropped, writer.stats().written) == (1, 1)


def test_a_run_that_cannot_be_encoded_harms_no_other(store):
    writer = RecordWriter(store, options=QUICK)
    broken = make_run()
    broken.blocks[0].status = "no such status"

    async def main():
        bad, good = await asyncio.gather(
            writer.durable(broken, SHAPE), writer.durable(make_run(), SHAPE), return_exceptions=True
        )
        assert isinstance(bad, Unavailable)
        assert good is None

    asyncio.run(main())
    writer.close()
    assert writer.stats().unencodable == 1


def test_the_window_bounds_runs_and_counts_drops(store):
    writer = RecordWriter(store, options=WriterOptions(window_runs=10, linger=0.0))
    store.gate.clear()
    writer.offer(make_run(), SHAPE)
    store.entered.wait(5)
    taken = [writer.offer(make_run(), SHAPE) for _ in range(30)]
    assert taken.count(True) == 9  # one more is on its way to the store
    assert writer.stats().dropped == 21

    async def refused():
        with pytest.raises(Unavailable):
            await writer.durable(make_run(), SHAPE)

    asyncio.run(refused())
    store.gate.set()
    writer.close()
    assert len(store.ids) == 10


def test_the_window_bounds_bytes(store):
    options = WriterOptions(window_bytes=20_000, batch_runs=1, linger=0.0, retry_after=0.001)
    writer = RecordWriter(store, options=options)
    store.broken = Unavailable("away")
    text = [str(n * n) for n in range(700)]
    for _ in range(40):
        writer.offer(make_run(text), SHAPE)
    finished(writer, lambda stats: stats.retries > 50 and stats.dropped > 0)
    assert writer.stats().waiting_bytes <= 20_000
    store.broken = None
    writer.close()
    assert writer.stats().written + writer.stats().dropped == 40


def test_the_window_bounds_bytes_of_runs_that_are_not_encoded_yet(store):
    heavy = "x" * 100_000
    writer = RecordWriter(store, options=WriterOptions(window_bytes=2_000_000, linger=0.0))
    writer.offer(make_run(heavy), SHAPE)
    finished(writer, lambda stats: stats.written == 1)
    store.gate.clear()
    store.entered.clear()
    writer.offer(make_run(heavy), SHAPE)
    store.entered.wait(5)
    taken = [writer.offer(make_run(heavy), SHAPE) for _ in range(20)]
    assert taken.count(True) == 4, "each is taken for 400 KB"
    assert writer.stats().waiting_bytes < 2_000_000
    store.gate.set()
    writer.close()
    assert len(store.ids) == 6


def test_a_run_larger_than_the_window_is_taken_when_nothing_waits(store):
    writer = RecordWriter(store, options=WriterOptions(window_bytes=1_000, linger=0.0))

    async def main():
        await writer.durable(make_run("x" * 100_000), SHAPE)
        await writer.durable(make_run("x" * 100_000), SHAPE)

    asyncio.run(main())
    writer.close()
    assert len(store.ids) == 2


def test_sizes_rise_at_once_and_fall_slowly():
    sizes = Sizes()
    assert sizes.estimate("plan") == UNKNOWN
    sizes.learn("plan", 10)
    assert sizes.estimate("plan") == 10 * OBJECTS
    sizes.learn("plan", 100_000)
    high = sizes.estimate("plan")
    assert high == 100_000 * OBJECTS
    sizes.learn("plan", 10)
    assert high * 0.9 < sizes.estimate("plan") < high
    for _ in range(300):
        sizes.learn("plan", 10)
    assert sizes.estimate("plan") < 10 * OBJECTS + 16


def test_sizes_forget_the_oldest_plans():
    sizes = Sizes()
    for number in range(3_000):
        sizes.learn(str(number), 1)
    assert sizes.estimate("0") == UNKNOWN
    assert sizes.estimate("2999") == OBJECTS


def test_what_the_store_complained_of_is_told(store):
    writer = RecordWriter(store, options=QUICK)
    store.broken = Unavailable("the storage is full", cure="free some space")

    async def main():
        with pytest.raises(Unavailable, match="the storage is full") as caught:
            await writer.durable(make_run(), SHAPE, within=0.05)
        assert caught.value.cure.startswith("free some space")

    asyncio.run(main())
    store.broken = None
    writer.close()


def test_nobody_waits_longer_than_the_operator_says(store):
    options = WriterOptions(linger=0.0, retry_after=0.001, durable_timeout=0.02)
    writer = RecordWriter(store, options=options)
    store.broken = Unavailable("away")

    async def main():
        with pytest.raises(Unavailable):
            await asyncio.wait_for(writer.durable(make_run(), SHAPE, within=60.0), 5)

    asyncio.run(main())
    store.broken = None
    writer.close()


def test_the_encoder_is_made_when_the_first_run_comes(store):
    made = []

    def encoder():
        made.append(threading.current_thread().name)
        return RecordEncoder()

    writer = RecordWriter(store, options=QUICK, encoder=encoder)
    assert made == []
    for _ in range(3):
        writer.offer(make_run(), SHAPE)
    writer.close()
    assert made == ["algorail-record"]


def test_close_writes_what_waits(store):
    writer = RecordWriter(store, options=WriterOptions(linger=30.0))
    for _ in range(20):
        assert writer.offer(make_run(), SHAPE)
    writer.close()
    assert len(store.ids) == 20
    assert writer.offer(make_run(), SHAPE) is False


def test_close_counts_what_a_dead_store_lost(store):
    writer = RecordWriter(store, options=QUICK)
    store.broken = Unavailable("away")
    writer.offer(make_run(), SHAPE)
    writer.close()
    assert writer.stats().dropped == 1


def test_closing_twice_or_unused_is_fine(store):
    writer = RecordWriter(store)
    writer.close()
    writer.close()


def test_policies(store):
    writer = RecordWriter(store, options=QUICK)
    kept = make_run(status=RunStatus.FAILED)

    async def main():
        await writer.record(make_run(), shape_for("off"))
        await writer.record(make_run(), shape_for("sampled", rate=0.0))
        await writer.record(kept, shape_for("sampled", rate=0.0))
        await writer.record(make_run(), shape_for("async"))
        await writer.record(make_run(), shape_for("durable"))

    asyncio.run(main())
    writer.close()
    assert len(store.ids) == 3
    assert kept.run_id in store.ids
    assert writer.stats().sampled_out == 1


def test_sampling_keeps_its_share_and_its_mind():
    runs = [make_run() for _ in range(4_000)]
    kept = [run for run in runs if is_sampled(run, 0.2)]
    assert 0.16 < len(kept) / len(runs) < 0.24
    assert all(is_sampled(run, 0.3) for run in kept)


class TestOnSqlite:
    def test_a_locked_file_is_waited_for(self, tmp_path):
        store = SqliteRecordStore(tmp_path, busy_timeout=0.01)
        writer = RecordWriter(store, options=QUICK)
        first, second = make_run(), make_run()

        async def main():
            await writer.durable(first, SHAPE)
            with closing(sqlite3.connect(tmp_path / f"{store.partitions()[0]}.db")) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(Unavailable):
                    await writer.durable(second, SHAPE, within=0.05)
            await asyncio.to_thread(finished, writer, lambda stats: stats.written == 2)

        asyncio.run(main())
        writer.close()
        assert {head.run_id for head in store.list(RunFilter())} == {first.run_id, second.run_id}
        store.close()

    def test_a_full_disk_is_said_and_harms_nothing_committed(self, tmp_path):
        store = SqliteRecordStore(tmp_path, max_pages=12)
        writer = RecordWriter(store, options=QUICK)
        noise = random.Random(1).randbytes(3_000)
        written = []

        async def fill():
            for _ in range(200):
                run = make_run(noise + new_id("x").encode())
                await writer.durable(run, SHAPE, within=0.1)
                written.append(run.run_id)

        with pytest.raises(Unavailable):
            asyncio.run(fill())
        assert writer.stats().retries > 0
        writer.close(timeout=1)
        assert written
        assert {store.read(run_id).head.run_id for run_id in written} == set(written)
        store.close()

    def test_kill_9_loses_no_acknowledged_run(self, tmp_path):
        command = [sys.executable, "-c", _CHILD, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            acknowledged = [child.stdout.readline().strip() for _ in range(40)]
            child.kill()
            acknowledged += [line.strip() for line in child.stdout.readlines() if line.endswith("\n")]
        store = SqliteRecordStore(tmp_path)
        assert all(store.read(run_id).body for run_id in acknowledged)
        assert len(acknowledged) >= 40
        store.close()


_CHILD = """
import asyncio, importlib.util, sys, time
from pathlib import Path
from algorail.engine.kit.ids import new_id
from algorail.engine.plan.document import Node, Plan, Ref
from algorail.engine.plan.types import AnyType
from algorail.engine.record.codec import RecordShape
from algorail.engine.record.writer import RecordWriter
from algorail.engine.run.outcome import BlockRecord, NodeStatus, RunRecord, RunStatus
from algorail.engine.store.sqlite import SqliteRecordStore

plan = Plan(name="faq", inputs={}, output=AnyType(), nodes=(Node(id="a", kind="k@1"),), result=Ref("a"))
shape = RecordShape.of(plan, {"a": AnyType()})

async def caller(writer):
    while True:
        block = BlockRecord("a", "k@1", NodeStatus.OK, 0, 1, "answer")
        run = RunRecord(new_id("run"), "faq", 1, "h", RunStatus.SUCCEEDED, time.time_ns(), 1, {}, "answer", None, [block])
        await writer.durable(run, shape)
        print(run.run_id, flush=True)

async def main():
    writer = RecordWriter(SqliteRecordStore(Path(sys.argv[1])))
    await asyncio.gather(*(caller(writer) for _ in range(8)))

asyncio.run(main())
"""
