"""Asynchronous runs as callers see them: acknowledged, watched, answered, cancelled.

A run is acknowledged after the COMMIT of its row, its doorbell and its idempotency key, and never before.
Who works on it is not known here: an `Executor` is told that there is something to do, and may miss it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from algorail.engine.kit.errors import Conflict, InvalidInput, LimitExceeded, NotFound, Problem
from algorail.engine.kit.ids import new_id
from algorail.engine.plan.values import decode, encode
from algorail.engine.service.calls import Call
from algorail.engine.service.closing import Closing
from algorail.engine.service.invoking import Invoker
from algorail.engine.service.principal import Principal
from algorail.engine.service.runs import Runs
from algorail.engine.service.tracing import child_of
from algorail.engine.store import queue, queue_groups
from algorail.engine.store.database import Database
from algorail.engine.store.group_commit import GroupCommit
from algorail.engine.store.queue import NewRun, QueuedRun
from algorail.engine.store.queue_groups import Order

LARGEST_BATCH = 10_000
"""Inputs in one batch: more would hold the database's write lock for too long."""

_SHOWN_PROBLEMS = 20
_KEYS_OF_A_BATCH = 1_000_000


class Executor(Protocol):
    """Works on acknowledged runs, in this process or elsewhere."""

    async def start(self) -> None:
        """Begin to work."""
        ...

    def ring(self, run_ids: Sequence[str]) -> None:
        """These runs are committed. A hint: what is missed is found later. Never raises, never waits."""
        ...

    async def aclose(self) -> None:
        """Claim nothing more, let runs end or give them back."""
        ...


@dataclass(frozen=True, slots=True)
class Ticket:
    """An acknowledged run; `repeated` if the idempotency key had been used for it before."""

    run_id: str
    repeated: bool


class Asynchronous:
    """Acknowledges runs and tells what became of them. Belongs to one event loop, but for blocking parts.

    Args:
        database: Where the rows are.
        commits: Commits acknowledgements.
        invoker: Decides which version a call runs.
        runs: The record.
        closing: Records runs that end without a worker.
        most: Runs that may wait.
        body_limit: Bytes of the inputs of one run.
        idempotency_days: How long a key is remembered.
    """

    def __init__(
        self,
        database: Database,
        commits: GroupCommit,
        invoker: Invoker,
        *,
        runs: Runs,
        closing: Closing,
        most: int,
        body_limit: int,
        idempotency_days: int,
    ) -> None:
        self.executor: Executor | None = None
        """Set by the composition root; without one the runs wait for a worker elsewhere."""
        self._database = database
        self._commits = commits
        self._invoker = invoker
        self._runs = runs
        self._closing = closing
        self._most = most
        self._body_limit = body_limit
        self._kept_ns = idempotency_days * 24 * 3600 * 1_000_000_000

    async def submit(self, call: Call) -> Ticket:
        """Acknowledge one run.

        Raises:
            NotFound: If there is no such algorithm, alias or version within the caller's reach.
            InvalidInput: If the inputs are wrong, or the idempotency key was used for something else.
            Overloaded: `queue-full`.
        """
        raw = decode(call.body, max_bytes=self._body_limit)
        run = await self._new_run(call, new_id("run"), raw)
        return await self._accept(call, [run], run.run_id)

    async def submit_batch(self, call: Call) -> Ticket:
        """Acknowledge a run for each of the inputs (`{"inputs": [...]}`), all or none; the id is the batch's.

        Raises:
            NotFound: As `submit`.
            InvalidInput: As `submit`; with the position of every wrong input.
            LimitExceeded: `batch-too-large`.
            Overloaded: `queue-full`.
        """
        many = _listed(decode(call.body, max_bytes=len(call.body), max_keys=_KEYS_OF_A_BATCH))
        batch = new_id("batch")
        # Sorted, so that the order of the ids is that of the inputs.
        ids = sorted(new_id("run") for _ in many)
        runs, problems = [], []
        for position, (run_id, raw) in enumerate(zip(ids, many, strict=True)):
            try:
                runs.append(await self._new_run(call, run_id, raw, batch))
            except InvalidInput as error:
                problems.append(_problem(position, error))
        if problems:
            raise InvalidInput(
                f"{len(problems)} of {len(many)} inputs are wrong; nothing was started",
                code="batch-invalid",
                problems=problems[:_SHOWN_PROBLEMS],
            )
        return await self._accept(call, runs, batch)

    def read(self, run_id: str, *, full: bool = False) -> dict[str, Any]:
        """A run as it stands: its record, or what its row says; `queue` tells of the row. Blocking.

        Args:
            full: Show every item of arrays that are on record.

        Raises:
            NotFound: If there is neither.
        """
        found = self._find(run_id)
        try:
            document = self._runs.read(run_id, full=full)
        except NotFound:
            if found is None:
                raise
            document = _document(found)
        if found is None:
            return document
        return {**document, "status": found.status.value, "queue": self._queue(found)}

    def outcome(self, run_id: str) -> QueuedRun:
        """The row of a run, with the answer when it is over. Blocking. Raises `NotFound`."""
        with self._database.read() as tx:
            return queue.get(tx, run_id)

    def depth(self) -> dict[str, int]:
        """How many runs wait, run or need attention. Blocking."""
        with self._database.read() as tx:
            return {status.value: count for status, count in queue.depth(tx).items()}

    def batch(self, by: Principal, batch_id: str, *, after: str = "", limit: int = 100) -> dict[str, Any]:
        """How far a batch is, and a page of its runs. Blocking. Raises `NotFound`."""
        with self._database.read() as tx:
            counts = queue_groups.progress(tx, batch_id) if batch_id else {}
            page = queue_groups.batch_page(tx, batch_id, after=after, limit=limit) if counts else []
            first = queue_groups.batch_page(tx, batch_id, limit=1) if counts else []
        if not first or not by.owns(first[0].team):
            raise NotFound(f"there is no batch {batch_id[:64]!r}", code="batch-not-found")
        ended = sum(count for status, count in counts.items() if status in queue.FINAL)
        return {
            "batch": batch_id,
            "algorithm": first[0].algorithm,
            "total": sum(counts.values()),
            "ended": ended,
            "done": ended == sum(counts.values()),
            "counts": {status.value: count for status, count in counts.items()},
            "runs": [
                {"run_id": row.run_id, "status": str(row.status), "version": row.version} for row in page
            ],
            "cursor": page[-1].run_id if len(page) == limit else "",
        }

    async def cancel(self, run_id: str) -> dict[str, Any]:
        """Cancel a run that is not over; one that is stays as it is. Raises `NotFound`."""
        run = await asyncio.to_thread(self._cancel, run_id)
        await self._closing.record([run_id])
        return {"run_id": run_id, "status": run.status.value}

    def _cancel(self, run_id: str) -> QueuedRun:
        with self._database.write() as tx:
            return queue.cancel(tx, run_id)

    async def _new_run(self, call: Call, run_id: str, raw: Any, batch: str = "") -> NewRun:
        settled = await self._invoker.settle(call, run_id, raw)
        return NewRun(
            run_id=run_id,
            algorithm=settled.loaded.algorithm,
            version=settled.loaded.version,
            plan_hash=settled.loaded.plan_hash,
            inputs=encode(raw),
            alias=settled.route.alias,
            variant=settled.choice.variant,
            reason=settled.choice.reason,
            unit=settled.unit,
            labels=encode(settled.choice.labels).decode(),
            team=settled.route.team,
            batch=batch,
            trace=child_of(call.traceparent),
        )

    async def _accept(self, call: Call, runs: Sequence[NewRun], answer: str) -> Ticket:
        kind = "batch" if answer.startswith("batch_") else "runs"
        order = Order(
            runs=runs,
            most=self._most,
            answer=answer,
            seconds=call.seconds,
            route=f"{call.principal.team}/{call.algorithm}/{kind}",
            key=call.idempotency_key,
            body_hash=_fingerprint(call),
            kept_ns=self._kept_ns,
        )
        try:
            accepted = await self._commits.write(queue_groups.accept_all, order)
        except Conflict:
            # Another process took the same key at this moment: now it can be read.
            accepted = await self._commits.write(queue_groups.accept_all, order)
        if self.executor is not None and not accepted.repeated:
            self.executor.ring([run.run_id for run in runs])
        return Ticket(accepted.answer, accepted.repeated)

    def _find(self, run_id: str) -> QueuedRun | None:
        try:
            return self.outcome(run_id)
        except NotFound:
            return None

    def _queue(self, run: QueuedRun) -> dict[str, Any]:
        with self._database.read() as tx:
            done = sorted(
                key for key in queue.checkpoints(tx, run.run_id) if key[0] != "?" and "/" not in key
            )
        names = ("batch", "attempts", "owner", "created_ns", "deadline_ns", "heartbeat_ns", "finished_ns")
        return {**{name: getattr(run, name) for name in names}, "committed": done}


def _listed(document: Any) -> list[Any]:
    if (
        not isinstance(document, dict)
        or set(document) != {"inputs"}
        or not isinstance(document["inputs"], list)
    ):
        raise InvalidInput(
            "a batch is a list of inputs",
            code="batch-malformed",
            cure='send {"inputs": [{...}, {...}]}',
        )
    many: list[Any] = document["inputs"]
    if not 1 <= len(many) <= LARGEST_BATCH:
        raise LimitExceeded(
            f"a batch has 1 to {LARGEST_BATCH} inputs, got {len(many)}",
            code="batch-too-large",
            cure="send several batches",
        )
    return many


def _problem(position: int, error: InvalidInput) -> Problem:
    first = error.problems[0] if error.problems else None
    port = f"inputs.{position}" + (f".{first.port}" if first is not None and first.port else "")
    return Problem(code=error.code, message=first.message if first else error.message, port=port)


def _fingerprint(call: Call) -> str:
    parts = (call.version.encode(), call.unit.encode("utf-8", "surrogatepass"), call.body)
    return hashlib.sha256(b"\x1f".join(parts)).hexdigest()


def _document(run: QueuedRun) -> dict[str, Any]:
    """What the row tells of a run that is not on record yet."""
    names = ("run_id", "algorithm", "version", "plan_hash", "alias", "variant", "reason", "unit")
    error = None if run.error is None else decode(run.error)
    return {**{name: getattr(run, name) for name in names}, "output": None, "error": error, "blocks": []}


__all__ = ["LARGEST_BATCH", "Asynchronous", "Executor", "Ticket"]
