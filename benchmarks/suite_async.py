"""Durable asynchronous runs: five blocks a run, every block committed with fsync before the next one starts.

The floor does the same by hand: one SQLite file (WAL, synchronous=FULL) and, for each run, a commit for its
row, one for each of its five results and one for its end, one run after the other. An fsync is dear, so runs
side by side share it: the second case does so by hand, all runs in step, which nothing can beat. The
embedded executor also claims, holds leases, fences, records every run in a store of its own, and lets runs
go at their own pace.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from algorail.engine.registry.kinds import InstalledKinds
from algorail.engine.service.calls import Call
from algorail.engine.service.engine import Engine
from algorail.engine.service.principal import Principal, Scope
from algorail.engine.service.settings import EngineSettings, Settings
from algorail.engine.testing.fakes import kind_of
from algorail.engine.worker.embedded import EmbeddedExecutor
from benchmarks.harness import Bench, Case

RUNS = 200
BLOCKS = "abcde"
ADMIN = Principal("bench", "bench", Scope.ADMIN)


def plan() -> dict[str, Any]:
    before, nodes = "x", []
    for name in BLOCKS:
        nodes.append({"id": name, "kind": "increase@1", "inputs": {"x": {"ref": before}}})
        before = name
    return {
        "schema": "algorail/plan@1",
        "name": "five",
        "inputs": {"x": {"type": "integer"}},
        "output": {"type": "integer"},
        "nodes": nodes,
        "result": {"ref": before},
    }


def database(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE run (id INTEGER PRIMARY KEY, inputs BLOB, output BLOB)",
        "CREATE TABLE result (run INTEGER, node TEXT, value BLOB, PRIMARY KEY (run, node))",
    ):
        connection.execute(statement)
    return connection


def by_hand(connection: sqlite3.Connection, runs: int, numbers: Iterator[int]) -> Callable[[], None]:
    """Runs that take each step together: one commit, and so one fsync, for a step of all of them."""

    def run() -> None:
        ids = [next(numbers) for _ in range(runs)]
        insert_run = "INSERT INTO run VALUES (?, ?, NULL)"
        insert_result = "INSERT INTO result VALUES (?, ?, ?)"
        finish = "UPDATE run SET output = ? WHERE id = ?"
        step(connection, insert_run, [(one, json.dumps({"x": 1})) for one in ids])
        for value, node in enumerate(BLOCKS, 2):
            step(connection, insert_result, [(one, node, json.dumps(value)) for one in ids])
        step(connection, finish, [(json.dumps(6), one) for one in ids])

    return run


def step(connection: sqlite3.Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(statement, rows)
    connection.execute("COMMIT")


async def suite(bench: Bench) -> None:
    """Measure runs from acknowledgement to their end."""
    folder = Path(tempfile.mkdtemp())
    settings = Settings(home=folder / "home", engine=EngineSettings(async_waiting=10**6))
    kind = kind_of(lambda x: x + 1, "increase")
    engine = Engine(settings, kinds=InstalledKinds(points=[], extra=(kind,)))
    await engine.start()
    engine.publishing.publish(ADMIN, "five", plan(), alias="prod")
    executor = engine.asynchronous.executor = EmbeddedExecutor(engine)
    await executor.start()
    body = json.dumps({"inputs": [{"x": 1}] * RUNS}).encode()

    async def batch() -> None:
        ticket = await engine.asynchronous.submit_batch(Call(algorithm="five", body=body, principal=ADMIN))
        progress = partial(engine.asynchronous.batch, ADMIN, ticket.run_id, limit=1)
        while not (await asyncio.to_thread(progress))["done"]:  # noqa: ASYNC110  # as a caller polls
            await asyncio.sleep(0.02)

    async def acknowledge() -> None:
        await engine.asynchronous.submit(Call(algorithm="five", body=b'{"x": 1}', principal=ADMIN))

    connection, numbers = database(folder), count()
    one_by_one = by_hand(connection, 1, numbers)
    try:
        done = await bench.compare(
            f"five durable blocks a run, {RUNS} runs waiting, fsync at every commit",
            floor=Case("by hand, one after the other", lambda: [one_by_one() for _ in range(20)], units=20),
            cases=[
                Case("by hand, all in step", by_hand(connection, RUNS, numbers), units=RUNS),
                Case("embedded executor", batch, units=RUNS),
            ],
            by="wall",
            calls=1,
        )
        floor, _, ours = done.timings
        bench.fact("async", "five-block runs, by hand", 1e6 / floor.wall_us, unit="runs/s", better="higher")
        bench.fact(
            "async",
            "five-block runs, embedded",
            1e6 / ours.wall_us,
            unit="runs/s",
            budget=200,
            better="higher",
        )
        bench.fact("async", "CPU of a five-block run", ours.cpu_us / 1e3, unit="ms")
        await executor.aclose()
        engine.asynchronous.executor = None
        await bench.compare(
            "acknowledge a run, one at a time",
            floor=Case("by hand: a run with seven commits", one_by_one),
            cases=[Case("row, doorbell, checks", acknowledge)],
            by="wall",
        )
    finally:
        await engine.aclose()
        connection.close()
        shutil.rmtree(folder)
