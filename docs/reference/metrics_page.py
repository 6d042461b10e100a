"""The page of metrics, from what a fresh server would show."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from algorail.engine.api.metrics import EngineCollector
from algorail.engine.service.engine import Engine
from algorail.engine.service.settings import Settings
from docs.reference.markdown import cell, page, table


def families() -> list[Any]:
    """The metric families of an engine that has not run anything."""
    with tempfile.TemporaryDirectory() as home:
        return asyncio.run(_collected(Engine(Settings(home=Path(home)))))


async def _collected(engine: Engine) -> list[Any]:
    await engine.start()
    try:
        return await asyncio.to_thread(lambda: list(EngineCollector(engine).collect()))
    finally:
        await engine.aclose()


def text() -> str:
    """The page."""
    return page(
        "Metrics",
        (
            "`GET /metrics` answers in Prometheus' text format, for keys of scope viewer. Durations are "
            "histograms; a replica of a model has metrics of its own at its `/metrics`."
        ),
        table(("metric", "type", "labels", "what it counts"), _rows()),
    )


def _rows() -> Iterable[tuple[str, str, str, str]]:
    for family in families():
        labels = ", ".join(getattr(family, "_labelnames", ()))
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield f"`{name}`", family.type, labels, cell(family.documentation)
