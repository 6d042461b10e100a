"""Durable asynchronous runs: five blocks a run, every block committed with fsync before the next one starts.

The floor does the same by hand: one SQLite file (WAL, synchronous=FULL) and, for each run, a commit for its
row, one for each of its five results and one for its end, one run after the other. The embedded executor does
more (claims, leases, fencing, records, and values as msgpack), but runs of one worker share their commits.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
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


def by_hand(folder: Path) -> Callable[[], None]:
    """Runs one after the other, an fsync for each row, result and end."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE run (id INTEGER PRIMARY KEY, inputs BLOB, output BLOB)",
        "CREATE TABLE result (run INTEGER, node TEXT, value BLOB, PRIMARY KEY (run, node))",
    ):
        connection.execute(statement)
    numbers = count()

    def run() -> None:
        number, value = next(numbers), 1
        connection.execute("INSERT INTO run VALUES (?, ?, NULL)", (number, json.dumps({"x": value})))
        for node in BLOCKS:
            value += 1
            connection.execute("INSERT INTO result VALUES (?, ?, ?)", (number, node, json.dumps(value)))
        connection.execute("UPDATE run SET output = ? WHERE id = ?", (json.dumps(value), number))

    return run


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

    one_by_one = by_hand(folder)
    try:
        done = await bench.compare(
            f"five durable blocks a run, {RUNS} runs waiting, fsync at every commit",
            floor=Case("by hand, one run after the other", one_by_one),
            cases=[Case("embedded executor", batch, units=RUNS)],
            by="wall",
            calls=1,
        )
        floor, ours = done.timings
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
        shutil.rmtree(folder)
