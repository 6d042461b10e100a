"""Workers are killed while they work, the broker forgets everything: nothing is lost, nothing repeated."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import redis

from algorail.engine.run.outcome import RunStatus
from algorail.engine.service.calls import Call
from algorail.engine.service.principal import Principal, Scope
from algorail.engine.worker.executors import executor_of

SCRIPT = Path(__file__).with_name("worker_process.py")
RUNS = 60
KILLS = 4
SECONDS = 150
NODES = "abcde"


def load():
    spec = importlib.util.spec_from_file_location("worker_process", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Workers:
    """Two workers, each killed after a number of executions and started anew."""

    def __init__(self, home: Path, database: str, broker: str) -> None:
        self._command = [sys.executable, str(SCRIPT), str(home), database, broker]
        self._log = home / "executions"
        self._errors = (home / "workers.log").open("ab")
        self._chance = random.Random(11)
        self._running: dict[subprocess.Popen, int] = {}
        self.kills = 0

    def start(self) -> None:
        process = subprocess.Popen(self._command, stdout=self._errors, stderr=self._errors)
        self._running[process] = self._chance.randint(4, 25)

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self._log.read_text().splitlines()]

    def kill_who_worked_enough(self) -> None:
        done = Counter(int(line[0]) for line in self.lines())
        for process, most in list(self._running.items()):
            if done[process.pid] >= most and self.kills < KILLS:
                process.kill()
                process.wait()
                del self._running[process]
                self.kills += 1
                self.start()

    def close(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()
        self._errors.close()


async def chaos(home: Path, database: str, broker: str) -> None:
    admin = Principal("key", "tests", Scope.ADMIN)
    engine = load().make_engine(home, database, broker)
    await engine.start()
    workers = Workers(home, engine.settings.engine.database_url, broker)
    executor = executor_of(engine) if broker else None
    try:
        engine.publishing.publish(admin, "five", plan(), alias="prod")
        engine.asynchronous.executor = executor
        if executor is not None:
            await executor.start()
        for _ in range(2):
            workers.start()
        body = json.dumps({"inputs": [{"x": n} for n in range(RUNS)]}).encode()
        ticket = await engine.asynchronous.submit_batch(Call(algorithm="five", body=body, principal=admin))
        await watch(engine, workers, ticket.run_id, admin, broker)
        check(engine, workers, ticket.run_id, admin)
    finally:
        workers.close()
        if executor is not None:
            await executor.aclose()
        await engine.aclose()


async def watch(engine, workers, batch, admin, broker):
    end, flushed = time.monotonic() + SECONDS, not broker
    while not engine.asynchronous.batch(admin, batch, limit=1)["done"]:
        assert time.monotonic() < end, engine.asynchronous.batch(admin, batch, limit=1)
        workers.kill_who_worked_enough()
        if not flushed and workers.kills > KILLS // 2:
            with redis.Redis.from_url(broker) as client:
                client.flushall()
            flushed = True
        await asyncio.sleep(0.05)
    assert flushed


def check(engine, workers, batch, admin):
    assert workers.kills == KILLS
    lines = workers.lines()
    assert [line for line in lines if line[3] == "REPEATED"] == []
    executions = Counter((run, node) for _, run, node, _ in lines)
    repeated = sum(count - 1 for count in executions.values())
    assert repeated <= KILLS * load().PLACES, "only what was under way may be executed again"
    found = engine.asynchronous.batch(admin, batch, limit=1_000)
    for number, run in enumerate(found["runs"]):
        row = engine.asynchronous.outcome(run["run_id"])
        document = engine.asynchronous.read(run["run_id"])
        assert document["status"] == row.status
        if row.status is RunStatus.DEAD:
            assert json.loads(row.error)["code"] == "dead"
            continue
        assert (row.status, row.output) == (RunStatus.SUCCEEDED, str(number + 5).encode())
        assert [block["node"] for block in document["blocks"]] == list(NODES)
        assert {block["status"] for block in document["blocks"]} == {"ok"}
    assert found["counts"].get("dead", 0) <= KILLS


def plan():
    nodes, before = [], "x"
    for name in NODES:
        nodes.append({"id": name, "kind": "count@1", "inputs": {"x": {"ref": before}}})
        before = name
    return {
        "schema": "algorail/plan@1",
        "name": "five",
        "inputs": {"x": {"type": "integer"}},
        "output": {"type": "integer"},
        "nodes": nodes,
        "result": {"ref": before},
    }


@pytest.mark.slow
@pytest.mark.integration
def test_embedded_on_sqlite(tmp_path):
    asyncio.run(chaos(tmp_path, "", ""))


@pytest.mark.slow
def test_embedded_on_postgres(tmp_path, postgres_database):
    asyncio.run(chaos(tmp_path, postgres_database, ""))


@pytest.mark.slow
def test_celery_whose_broker_forgets_everything(tmp_path, valkey_url):
    asyncio.run(chaos(tmp_path, "", valkey_url))


@pytest.mark.slow
def test_celery_on_postgres(tmp_path, postgres_database, valkey_url):
    asyncio.run(chaos(tmp_path, postgres_database, valkey_url))
