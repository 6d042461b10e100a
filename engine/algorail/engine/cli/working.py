"""`algorail worker`: a process that works on asynchronous runs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from algorail.engine.cli.output import console
from algorail.engine.kit.home import home_folder

if TYPE_CHECKING:
    from algorail.engine.service.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(worker)


def worker(
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", "-c", min=1, help="Runs at the same time [default: 128].")
    ] = None,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "warning",
) -> None:
    """Work on asynchronous runs, beside the server's own worker or instead of it.

    With ALGORAIL_ENGINE__BROKER_URL it is a Celery worker that the broker wakes; without, it looks into the
    database by itself. Stopped, it lets runs end or gives them back.
    """
    # The server's libraries are heavy; the other commands must not wait for them.
    from algorail.engine.service.settings import read_settings  # noqa: PLC0415

    if concurrency is not None:
        os.environ["ALGORAIL_ENGINE__ASYNC_RUNS"] = str(concurrency)
    settings = read_settings(home_folder())
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if settings.engine.broker_url:
        _celery(settings, log_level)
    else:
        asyncio.run(_alone(settings))


def _celery(settings: Settings, log_level: str) -> None:
    from algorail.engine.worker.app import app  # noqa: PLC0415

    options = ["--pool", "threads", "--concurrency", str(settings.engine.async_runs), "--loglevel", log_level]
    app.worker_main(["worker", *options, "--without-gossip", "--without-mingle", "--without-heartbeat"])


async def _alone(settings: Settings) -> None:
    from algorail.engine.service.engine import Engine  # noqa: PLC0415
    from algorail.engine.worker.embedded import EmbeddedExecutor  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    engine = Engine(settings)
    await engine.start()
    executor = EmbeddedExecutor(engine)
    await executor.start()
    console.print(f"Working on the runs of {settings.home}; Ctrl-C stops.")
    await stop.wait()
    await executor.aclose()
    await engine.aclose()


__all__ = ["register", "worker"]
