"""A worker: runs what it claimed, from its checkpoints to its end, and keeps its leases."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from algorail.engine.kit.errors import AlgorailError, BlockFailed, InvalidInput, NotFound, Unavailable
from algorail.engine.kit.ids import new_id
from algorail.engine.plan.values import decode, encode
from algorail.engine.run.messages import info
from algorail.engine.run.outcome import ErrorInfo, RunRecord, RunStatus
from algorail.engine.run.trace import Identity
from algorail.engine.service.checkpoints import Checkpoints, restore
from algorail.engine.service.closing import error_bytes, labels_of, record_of
from algorail.engine.service.engine import Engine
from algorail.engine.service.loading import Loaded
from algorail.engine.service.tracing import trace_id
from algorail.engine.store import queue, queue_groups
from algorail.engine.store.queue import LeaseLost, QueuedRun
from algorail.engine.store.queue_groups import End, Held, Wish
from algorail.engine.worker.journal import DurableContext, Journal, JournalBroken
from algorail.engine.worker.leases import Leases
from algorail.engine.worker.plans import DurablePlans

log = logging.getLogger(__name__)

_TIME_TO_RECORD = 30.0
"""Seconds that a finished run waits for the record; then its lease runs out and it is finished anew."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended on this worker: what its row is told, and its record."""

    status: RunStatus
    output: bytes | None = None
    error: ErrorInfo | None = None
    record: RunRecord | None = None


class Worker:
    """Claims runs and works on them. Belongs to one event loop.

    Args:
        engine: A started engine.
    """

    def __init__(self, engine: Engine) -> None:
        settings = engine.settings.engine
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{new_id('worker')[-6:]}"
        self._engine = engine
        self._lease = settings.async_lease
        self._deadline = settings.async_deadline
        self._commits = engine.commits
        self._leases = Leases(engine.database, settings.async_lease)
        self._plans = DurablePlans(
            engine.loader,
            engine.library,
            engine.router,
            engine.services,
            kept=settings.compiled_plans,
        )

    def start(self) -> None:
        """Begin to prolong leases."""
        self._leases.start()

    async def aclose(self) -> None:
        """Stop prolonging leases; runs must have ended or been given back."""
        await asyncio.to_thread(self._leases.close)

    async def claim(self, *, limit: int = 1, run_id: str = "") -> Sequence[QueuedRun]:
        """Take waiting runs, or one run if it still waits. Raises `Unavailable`."""
        wish = Wish(self.owner, int(self._lease * 1e9), limit, run_id)
        return await self._commits.write(queue_groups.claim_all, wish)

    async def work(self, run: QueuedRun) -> None:
        """Bring a claimed run to its end. Cancelled, it gives the run back, without blame.

        Never raises but for cancellation: a run that cannot be ended now is left to its lease.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            raise RuntimeError("a worker works in a task")
        lost = _Loss(loop, task)
        self._leases.hold(run.run_id, run.epoch, most=self._deadline + self._lease, on_lost=lost)
        try:
            await self._finish(run, await self._outcome(run))
        except (LeaseLost, JournalBroken) as error:
            log.info("run %s is left: %s", run.run_id, error)
        except asyncio.CancelledError:
            if not lost.told:
                await self._give_back(run)
                raise
            task.uncancel()
        except Unavailable:
            log.warning("run %s is left to its lease", run.run_id, exc_info=True)
        except Exception:
            log.exception("run %s is left to its lease", run.run_id)
        finally:
            self._leases.let_go(run.run_id)

    async def _give_back(self, run: QueuedRun) -> None:
        try:
            await self._commits.write(queue_groups.release_all, Held(run.run_id, run.epoch))
        except AlgorailError:
            log.warning("run %s could not be given back; its lease will run out", run.run_id, exc_info=True)

    async def _outcome(self, run: QueuedRun) -> Outcome:
        """Run it from where it stands."""
        try:
            known = await self._known(run)
            loaded = await asyncio.to_thread(self._engine.loader.load, run.algorithm, run.version)
            plan = self._plans.get(run.algorithm, run.version)
            inputs = loaded.validate(decode(run.inputs))
        except Unavailable:
            raise
        except AlgorailError as refusal:
            return _failed(run, info(refusal))
        if known.unsure:
            return _unsure(known)
        context = DurableContext(
            run.run_id,
            journal=Journal(run.run_id, run.epoch, self._commits, known),
            overrides=known.pins(""),
            timeout=self._seconds(run, loaded),
            clock=self._engine.services.clock,
            traceparent=run.trace,
        )
        status, output, error = RunStatus.SUCCEEDED, None, None
        try:
            output = _answer(await plan.run(inputs, context), loaded)
        except AlgorailError as failure:
            status, error = RunStatus.FAILED, info(failure)
        record = self._record(run, loaded, context, known, (status, error))
        if record is not None:
            error = self._engine.told(record, loaded.shape)
        return Outcome(status, output, error, record)

    async def _known(self, run: QueuedRun) -> Checkpoints:
        """What is committed; a run that nobody had before has nothing."""
        if run.epoch == 1:
            return Checkpoints()
        return Checkpoints.read(await asyncio.to_thread(self._read_checkpoints, run.run_id))

    def _read_checkpoints(self, run_id: str) -> dict[str, bytes]:
        with self._engine.database.read() as tx:
            return queue.checkpoints(tx, run_id)

    def _seconds(self, run: QueuedRun, loaded: Loaded) -> float:
        """Time for this attempt: the plan's and the operator's, and never beyond the caller's deadline."""
        seconds = min(loaded.plan.timeout or self._deadline, self._deadline)
        if run.deadline_ns is not None and run.heartbeat_ns is not None:
            seconds = min(seconds, (run.deadline_ns - run.heartbeat_ns) / 1e9)
        return max(0.0, seconds)

    def _record(
        self,
        run: QueuedRun,
        loaded: Loaded,
        context: DurableContext,
        known: Checkpoints,
        end: tuple[RunStatus, ErrorInfo | None],
    ) -> RunRecord | None:
        if context.trace is None or loaded.plan.record.mode == "off":
            return None
        identity = Identity(
            version=run.version,
            plan_hash=run.plan_hash,
            alias=run.alias,
            variant=run.variant,
            reason=run.reason,
            unit=run.unit,
            trace_id=trace_id(run.trace),
            labels=labels_of(run),
        )
        record = context.trace.to_record(identity, status=end[0], error=end[1])
        restore(
            record, loaded.plan, known, lambda name, version: self._engine.loader.load(name, version).plan
        )
        return record

    async def _finish(self, run: QueuedRun, outcome: Outcome) -> None:
        """The record first: it may be written again, an end only once."""
        if outcome.record is not None:
            self._engine.totals.add(outcome.record)
            await self._write(outcome.record)
        error = None if outcome.error is None else error_bytes(outcome.error)
        end = End(run.run_id, run.epoch, outcome.status, outcome.output, error)
        try:
            await self._commits.write(queue_groups.finish_all, end)
        except LeaseLost:
            await self._correct(outcome.record)
            raise

    async def _correct(self, record: RunRecord | None) -> None:
        """A run that was ended by somebody else a moment before is on record as its row says."""
        if record is None:
            return
        row = await asyncio.to_thread(self._engine.asynchronous.outcome, record.run_id)
        if row.is_final and row.status is not record.status:
            told = record_of(row)
            record.status, record.error, record.output = told.status, told.error, None
            await self._write(record)

    async def _write(self, record: RunRecord) -> None:
        try:
            loaded = await asyncio.to_thread(self._engine.loader.load, record.algorithm, record.version)
        except NotFound as error:
            log.warning("run %s has no record, only its row: %s", record.run_id, error)
            return
        await self._engine.writer.record(record, loaded.shape, within=_TIME_TO_RECORD)


class _Loss:
    """Cancels a task from another thread, once, and remembers that it did."""

    def __init__(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        self.told = False
        self._loop = loop
        self._task = task

    def __call__(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if not self._task.done():
            self.told = True
            self._task.cancel()


def _answer(output: Any, loaded: Loaded) -> bytes:
    try:
        return encode(loaded.check_output(output))
    except InvalidInput as error:
        text = f"the answer of {loaded.algorithm!r} is not of its declared type: {error.message}"
        raise BlockFailed(text, node="", code="output-invalid", problems=error.problems) from error


def _unsure(known: Checkpoints) -> Outcome:
    """A write that must not be repeated was under way when a worker died: a person must look."""
    keys = ", ".join(known.unsure)
    text = f"a worker died during {keys}, which must not be done twice; nobody knows whether it was done"
    return Outcome(RunStatus.NEEDS_ATTENTION, error=ErrorInfo("outcome-unknown", text, known.unsure[0]))


def _failed(run: QueuedRun, error: ErrorInfo) -> Outcome:
    """It cannot even begin: its version cannot be loaded here, or its checkpoints cannot be read."""
    record = record_of(run)
    record.status, record.error = RunStatus.FAILED, error
    return Outcome(RunStatus.FAILED, error=error, record=record)


__all__ = ["Outcome", "Worker"]
