"""A worker in a process of its own, for tests that kill it. Its blocks tell a file of every execution.

A line is `PID RUN NODE WHAT`: `executed`, or `REPEATED` if the block was committed or its run was over, which
must never happen.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from algorail.engine.registry.kinds import InstalledKinds
from algorail.engine.service.engine import Engine
from algorail.engine.service.settings import EngineSettings, Settings
from algorail.engine.store import queue
from algorail.engine.testing.fakes import kind_of
from algorail.engine.worker.embedded import EmbeddedExecutor

LEASE = 1.0
PLACES = 4


def make_engine(home: Path, database_url: str, broker_url: str) -> Engine:
    """The engine of a test and of its workers: counted blocks, short leases."""
    limits = {"database_url": database_url, "broker_url": broker_url}
    settings = Settings(
        home=home, engine=EngineSettings(async_lease=LEASE, async_runs=PLACES, async_deadline=60, **limits)
    )
    engines: list[Engine] = []
    log = os.open(home / "executions", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def count(ctx: Any, x: int) -> int:
        what = await asyncio.to_thread(_committed, engines[0], ctx.run_id, ctx.node_id)
        os.write(log, f"{os.getpid()} {ctx.run_id} {ctx.node_id} {what}\n".encode())
        await asyncio.sleep(0.02)
        return x + 1

    kind = kind_of(count, "count", wants_context=True)
    engines.append(Engine(settings, kinds=InstalledKinds(points=[], extra=(kind,))))
    return engines[0]


def _committed(engine: Engine, run_id: str, node: str) -> str:
    with engine.database.read() as tx:
        if node in queue.checkpoints(tx, run_id) or queue.get(tx, run_id).is_final:
            return "REPEATED"
    return "executed"


async def _embedded(engine: Engine) -> None:
    await engine.start()
    await EmbeddedExecutor(engine).start()
    await asyncio.Event().wait()


def _celery(home: Path, database_url: str, broker_url: str) -> None:
    from algorail.engine.worker.broker import celery_app
    from algorail.engine.worker.tasks import serve_runs

    app = celery_app(broker_url, deadline=60)
    serve_runs(app, lambda: make_engine(home, database_url, broker_url))
    options = ["--pool", "threads", "--concurrency", str(PLACES), "--loglevel", "error"]
    app.worker_main(["worker", *options, "--without-gossip", "--without-mingle", "--without-heartbeat"])


if __name__ == "__main__":
    folder, database, broker = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    if broker:
        _celery(folder, database, broker)
    else:
        asyncio.run(_embedded(make_engine(folder, database, broker)))
