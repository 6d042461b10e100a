"""The record: 12 block records of 0.8 KB a run, encoded and committed, against the same by hand.

The floor packs the outputs of a run with msgpack, compresses them with zstd-1 and inserts one row, as often
a commit as the engine; no masks, no names, no times, no index, no large values apart, no retention.

Budgets of single figures are the design's: 9 µs of CPU and 350 bytes a block record, 97 µs for a run of 12
(the floor on the quiet machine where it was set), a quarter of a core for 2,000 runs a second. They depend on
the machine and what else it does; the ratios do not. Their budgets are this suite's own, as are the 50 ms for
dropping a day.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import zstandard

from algorail.engine.kit.errors import NotFound
from algorail.engine.kit.ids import new_id
from algorail.engine.plan.document import Input, Node, Plan, RecordPolicy, Ref
from algorail.engine.plan.types import AnyType, Field, ObjectType, ScalarType
from algorail.engine.record.codec import RecordEncoder, RecordShape, decode
from algorail.engine.record.finished import FinishedRun
from algorail.engine.record.writer import RecordWriter
from algorail.engine.run.compile import compile_plan
from algorail.engine.run.context import RunContext
from algorail.engine.store.postgres import PostgresRecordStore
from algorail.engine.store.sqlite import SqliteRecordStore
from algorail.engine.testing.fakes import FakeKinds, FakeServices, kind_of
from algorail.engine.testing.servers import start_postgres
from benchmarks.harness import Bench, Case

BLOCKS = 12
RUNS = 512
BATCH = 128
WORDS = [
    "order",
    "refund",
    "payment",
    "account",
    "customer",
    "ticket",
    "model",
    "score",
    "answer",
    "vector",
    "index",
    "query",
    "reply",
    "status",
    "error",
    "value",
]
CHANCE = random.Random(7)


def payload() -> dict[str, Any]:
    """What a retrieval block returns: text, scores, a few hits."""
    hits = [
        {"id": CHANCE.randrange(10**6), "distance": CHANCE.random(), "doc": CHANCE.choice(WORDS)}
        for _ in range(8)
    ]
    return {"text": " ".join(CHANCE.choices(WORDS, k=60)), "score": CHANCE.random(), "hits": hits, "ok": True}


def plan_of(mode: str = "durable") -> Plan:
    nodes = tuple(
        Node(id=f"step_{n}", kind="answer@1", inputs={"x": Ref(f"step_{n - 1}" if n else "question")})
        for n in range(BLOCKS)
    )
    return Plan(
        name="bench",
        inputs={"question": Input(type=ScalarType("string"))},
        output=AnyType(),
        nodes=nodes,
        result=Ref(nodes[-1].id),
        record=RecordPolicy(mode=mode),  # type: ignore[arg-type]
    )


async def finished_runs(plan: Plan) -> list[FinishedRun]:
    """Runs as the engine hands them to the record: of a compiled plan whose blocks answer at random."""
    compiled = compile_plan(plan, kinds=FakeKinds(kind_of(answer)), services=FakeServices())
    runs = []
    for _ in range(RUNS):
        context = RunContext(new_id("run"))
        await compiled.run({"question": " ".join(CHANCE.choices(WORDS, k=20))}, context)
        runs.append(FinishedRun(context, 1, "h" * 64, "prod", "", "alias", "", "ab" * 16, {}))
    return runs


def answer(x: Any) -> dict[str, Any]:  # noqa: ARG001  # a port must have a name
    return payload()


def encode_by_hand(outputs: cycle[list[Any]]) -> Callable[[], bytes]:
    pack, squeeze = msgspec.msgpack.Encoder().encode, zstandard.ZstdCompressor(level=1).compress
    return lambda: squeeze(pack(next(outputs)))


def outputs_of(runs: list[FinishedRun]) -> cycle[list[Any]]:
    return cycle([[block.output for block in run.record().blocks] for run in runs])


def sink_by_hand(folder: Path, outputs: cycle[list[Any]]) -> Callable[[], None]:
    """One row a run, one commit a batch, WAL, fsync at every commit."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE run (id TEXT PRIMARY KEY, started INTEGER, body BLOB)")
    encode = encode_by_hand(outputs)

    def write() -> None:
        connection.execute("BEGIN IMMEDIATE")
        rows = [(new_id("run"), 1, encode()) for _ in range(BATCH)]
        connection.executemany("INSERT INTO run VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")

    return write


async def suite(bench: Bench) -> None:
    """Measure encoding, sinks, sizes and reading."""
    plan = plan_of()
    plain = await finished_runs(plan)
    kinds = {node.id: AnyType() for node in plan.nodes}
    shape = RecordShape.of(plan, kinds)
    secret = ObjectType({"text": Field(ScalarType("string", sensitivity="pii"))}, closed=False)
    masked = RecordShape.of(plan, {**kinds, "step_3": secret})
    runs, encoder = cycle(plain), RecordEncoder()
    encoding = await bench.compare(
        "encode a run of 12 block records",
        floor=Case("msgpack + zstd-1 by hand", encode_by_hand(outputs_of(plain))),
        cases=[
            Case("record", lambda: encoder.encode(next(runs), shape), budget=1.35),
            Case("record, one node masked", lambda: encoder.encode(next(runs), masked), budget=1.5),
        ],
    )
    bench.fact("record", "encode a block record", encoding.timings[1].cpu_us / BLOCKS, unit="µs CPU")
    folder = Path(tempfile.mkdtemp())
    try:
        await _sinks(bench, folder, plain, shape)
        _sizes(bench, folder, plain, shape)
        await _postgres(bench, plain, shape)
    finally:
        shutil.rmtree(folder)


async def _sinks(bench: Bench, folder: Path, plain: list[FinishedRun], shape: RecordShape) -> None:
    store = SqliteRecordStore(folder / "store")
    writer = RecordWriter(store)
    fresh = cycle([plain[n : n + BATCH] for n in range(0, RUNS, BATCH)])
    encoder = RecordEncoder()

    def write_batch() -> None:
        store.write([encoder.encode(renamed(run), shape) for run in next(fresh)])

    async def write_through() -> None:
        batch = next(fresh)
        for run in batch[1:]:
            writer.offer(renamed(run), shape)
        await writer.durable(renamed(batch[0]), shape)

    sinks = await bench.compare(
        "encode and commit runs of 12 block records, 128 a commit, fsync",
        floor=Case("one SQLite table by hand", sink_by_hand(folder, outputs_of(plain)), units=BATCH),
        cases=[
            Case("encoder and SQLite store", write_batch, budget=1.35, units=BATCH),
            Case("writer's thread and SQLite store", write_through, budget=1.5, units=BATCH),
        ],
    )
    per_run = sinks.timings[2].cpu_us
    bench.fact("record", "a block record, all in", per_run / BLOCKS, unit="µs CPU", budget=9.0)
    bench.fact("record", "a run of 12 block records, all in", per_run, unit="µs CPU", budget=97.0)
    bench.fact("record", "2,000 such runs a second", per_run * 2_000 / 1e4, unit="% of a core", budget=25.0)
    writer.close()
    store.close()


async def _postgres(bench: Bench, plain: list[FinishedRun], shape: RecordShape) -> None:
    """The same into PostgreSQL with fsync on; CPU is this process's own, without the server's."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(start_postgres(settings={}))
        except NotFound:
            return
        hand = stack.enter_context(psycopg.connect(server.url.replace("+psycopg", "")))
        hand.execute("CREATE TABLE run (id text PRIMARY KEY, started bigint, body bytea)")
        hand.execute("ALTER TABLE run ALTER COLUMN body SET STORAGE EXTERNAL")
        hand.commit()
        store = stack.enter_context(closing(PostgresRecordStore(server.url)))
        encode, encoder = encode_by_hand(outputs_of(plain)), RecordEncoder()
        fresh = cycle([plain[n : n + BATCH] for n in range(0, RUNS, BATCH)])

        def copy_by_hand() -> None:
            statement = "COPY run FROM STDIN (FORMAT BINARY)"
            with hand.cursor() as cursor, cursor.copy(statement) as copy:
                copy.set_types(["text", "int8", "bytea"])
                for _ in range(BATCH):
                    copy.write_row((new_id("run"), 1, encode()))
            hand.commit()

        def write_batch() -> None:
            store.write([encoder.encode(renamed(run), shape) for run in next(fresh)])

        await bench.compare(
            "the same into PostgreSQL: own CPU, server not counted",
            floor=Case("COPY into one table by hand", copy_by_hand, units=BATCH),
            cases=[Case("encoder and PostgreSQL store", write_batch, budget=1.35, units=BATCH)],
        )


def renamed(run: FinishedRun) -> FinishedRun:
    """The same run under a new id, as every real run has."""
    run.context.given_id = new_id("run")
    return run


def _sizes(bench: Bench, folder: Path, plain: list[FinishedRun], shape: RecordShape) -> None:
    store, encoder = SqliteRecordStore(folder / "sizes"), RecordEncoder()
    encoded = [encoder.encode(renamed(run), shape) for run in plain * 8]
    for start in range(0, len(encoded), BATCH):
        store.write(encoded[start : start + BATCH])
    store.close()
    size = sum(path.stat().st_size for path in (folder / "sizes").iterdir())
    bench.fact(
        "record", "on disk for a block record", size / len(encoded) / BLOCKS, unit="bytes", budget=350.0
    )
    started = time.perf_counter()
    store.drop_partition(store.partitions()[0])
    dropping = (time.perf_counter() - started) * 1e3
    bench.fact("record", f"dropping a day of {len(encoded)} runs", dropping, unit="ms", budget=50.0)
    started = time.perf_counter()
    for one in encoded[:200]:
        decode(one, shape)
    bench.fact(
        "record", "read a run with every input", (time.perf_counter() - started) / 200 * 1e6, unit="µs"
    )
