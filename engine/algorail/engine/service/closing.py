"""Records asynchronous runs that ended without a worker: cancelled, dead, or too late to start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

import msgspec

from algorail.engine.kit.errors import AlgorailError
from algorail.engine.plan.values import decode
from algorail.engine.record.shape import RecordShape
from algorail.engine.run.outcome import ErrorInfo, RunRecord
from algorail.engine.service.checkpoints import Checkpoints
from algorail.engine.service.loading import Loader
from algorail.engine.service.tracing import trace_id
from algorail.engine.store import queue, queue_groups
from algorail.engine.store.database import Database
from algorail.engine.store.queue import QueuedRun

log = logging.getLogger(__name__)


class Recorder(Protocol):
    """What takes finished runs (`record.writer.RecordWriter`)."""

    async def record(self, record: RunRecord, shape: RecordShape, *, within: float | None = None) -> None:
        """Return when the plan's policy allows the answer. Raises `Unavailable`."""
        ...


class Closing:
    """Writes the record of a run from its row and what is committed of it.

    Args:
        database: Where rows and checkpoints are.
        loader: Knows the plans.
        recorder: Takes the records.
    """

    def __init__(self, database: Database, loader: Loader, recorder: Recorder) -> None:
        self._database = database
        self._loader = loader
        self._recorder = recorder

    async def record(self, run_ids: Sequence[str]) -> None:
        """Record those that are over; a run that cannot be recorded keeps its row and its checkpoints."""
        for run_id in run_ids:
            try:
                closed = await asyncio.to_thread(self._closed, run_id)
                if closed is not None:
                    await self._recorder.record(*closed)
                    await asyncio.to_thread(self._forget, run_id)
            except AlgorailError:
                log.warning("run %s is over but could not be recorded", run_id, exc_info=True)

    def _closed(self, run_id: str) -> tuple[RunRecord, RecordShape] | None:
        with self._database.read() as tx:
            run = queue.get(tx, run_id)
            rows = queue.checkpoints(tx, run_id)
        if not run.is_final or (run.output is not None):
            return None
        loaded = self._loader.load(run.algorithm, run.version)
        if loaded.plan.record.mode == "off":
            return None
        checkpoints = Checkpoints.read(rows)
        record = record_of(run)
        record.started_ns = checkpoints.started_ns() or run.created_ns
        record.duration_ns = max(0, (run.finished_ns or record.started_ns) - record.started_ns)
        blocks = checkpoints.blocks(
            loaded.plan, "", record.started_ns, lambda name, version: self._loader.load(name, version).plan
        )
        record.blocks = sorted(blocks.values(), key=lambda block: block.start_ns)
        return record, loaded.shape

    def _forget(self, run_id: str) -> None:
        with self._database.write() as tx:
            queue_groups.forget_checkpoints(tx, [run_id])


def record_of(run: QueuedRun) -> RunRecord:
    """The record of a run as its row tells it, without blocks."""
    return RunRecord(
        run_id=run.run_id,
        algorithm=run.algorithm,
        version=run.version,
        plan_hash=run.plan_hash,
        status=run.status,
        started_ns=run.created_ns,
        duration_ns=0,
        inputs=decode(run.inputs),
        error=None if run.error is None else msgspec.json.decode(run.error, type=ErrorInfo),
        alias=run.alias,
        variant=run.variant,
        reason=run.reason,
        unit=run.unit,
        trace_id=trace_id(run.trace),
        labels=labels_of(run),
    )


def labels_of(run: QueuedRun) -> dict[str, str]:
    """The labels of a run as its row tells them."""
    return msgspec.json.decode(run.labels, type=dict[str, str])


def error_bytes(error: ErrorInfo) -> bytes:
    """An error as a row holds it."""
    return msgspec.json.encode(error)


__all__ = ["Closing", "Recorder", "error_bytes", "labels_of", "record_of"]
