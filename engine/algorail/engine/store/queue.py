"""The durable queue: asynchronous runs, their leases, their checkpoints, the doorbells still to ring.

The row is the truth, a broker carries hints only. A claim raises the row's epoch, the fencing token: every
later write of that worker says which epoch it holds and is refused once another worker has taken over. Only
the database's clock decides when a lease is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, or_, select, update

from algorail.engine.kit.errors import AlgorailError, Conflict, NotFound
from algorail.engine.run.outcome import RunStatus
from algorail.engine.store.database import now_ns
from algorail.engine.store.tables import ASYNC_RUNS, CHECKPOINTS, OUTBOX

MAX_ATTEMPTS = 3
"""Claims after which a run that never finished is DEAD: it probably kills its worker."""

FINAL = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.DEAD)
"""Statuses after which nothing happens any more."""


class LeaseLost(AlgorailError):
    """Another worker holds this run now, or it is over: stop working on it."""

    code = "lease-lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to acknowledge.

    Attributes:
        inputs: The inputs as JSON.
        labels: Labels of the run as JSON.
        team: Owner of the run, for the check of who may read it.
        batch: Identifier shared by the runs of a batch, empty if none.
        trace: The caller's `traceparent`, empty if none.
        deadline_ns: Wall clock after which it must not start any more.
        delay_ns: How long to wait before the first claim.
    """

    run_id: str
    algorithm: str
    version: int
    plan_hash: str
    inputs: bytes
    alias: str = ""
    variant: str = ""
    reason: str = ""
    unit: str = ""
    labels: str = "{}"
    team: str = ""
    batch: str = ""
    trace: str = ""
    deadline_ns: int | None = None
    delay_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRun:
    """An asynchronous run as its row says."""

    run_id: str
    algorithm: str
    version: int
    plan_hash: str
    alias: str
    variant: str
    reason: str
    unit: str
    labels: str
    team: str
    batch: str
    trace: str
    inputs: bytes
    output: bytes | None
    error: bytes | None
    status: RunStatus
    epoch: int
    attempts: int
    owner: str
    created_ns: int
    available_ns: int
    deadline_ns: int | None
    lease_until_ns: int | None
    heartbeat_ns: int | None
    finished_ns: int | None

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found: runs whose lease was over, by what became of them."""

    requeued: Sequence[str]
    dead: Sequence[str]
    expired: Sequence[str]


def enqueue(tx: Connection, run: NewRun) -> QueuedRun:
    """Write the run and its doorbell in one commit; after it the run may be acknowledged."""
    values = {name: getattr(run, name) for name in NewRun.__dataclass_fields__ if name != "delay_ns"}
    times = {"created_ns": now_ns(), "available_ns": now_ns() + run.delay_ns}
    tx.execute(insert(ASYNC_RUNS).values(status=RunStatus.QUEUED, **values, **times))
    tx.execute(insert(OUTBOX).values(run_id=run.run_id, created_ns=now_ns()))
    return get(tx, run.run_id)


def get(tx: Connection, run_id: str) -> QueuedRun:
    """A run. Raises `NotFound`."""
    row = tx.execute(select(ASYNC_RUNS).where(ASYNC_RUNS.c.run_id == run_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no asynchronous run {run_id!r}", code="run-not-found")
    return _run(row)


def batch(tx: Connection, batch_id: str) -> Sequence[QueuedRun]:
    """The runs of a batch, in the order of their ids."""
    query = select(ASYNC_RUNS).where(ASYNC_RUNS.c.batch == batch_id).order_by(ASYNC_RUNS.c.run_id)
    return [_run(row) for row in tx.execute(query).mappings()]


def claim(
    tx: Connection, *, owner: str, lease_ns: int, run_id: str = "", limit: int = 1
) -> Sequence[QueuedRun]:
    """Take waiting runs, oldest first: each gets a new epoch and a lease.

    Args:
        run_id: Take only this one, if it is still waiting.
    """
    ready = (ASYNC_RUNS.c.status == RunStatus.QUEUED) & (ASYNC_RUNS.c.available_ns <= now_ns())
    if run_id:
        ready &= ASYNC_RUNS.c.run_id == run_id
    waiting = select(ASYNC_RUNS.c.run_id).where(ready).order_by(ASYNC_RUNS.c.available_ns).limit(limit)
    if tx.dialect.name == "postgresql":
        waiting = waiting.with_for_update(skip_locked=True)
    taken = tx.execute(
        update(ASYNC_RUNS)
        .where(ASYNC_RUNS.c.run_id.in_(waiting))
        .values(
            status=RunStatus.RUNNING,
            epoch=ASYNC_RUNS.c.epoch + 1,
            attempts=ASYNC_RUNS.c.attempts + 1,
            owner=owner,
            heartbeat_ns=now_ns(),
            lease_until_ns=now_ns() + lease_ns,
        )
        .returning(ASYNC_RUNS)
    )
    runs = [_run(row) for row in taken.mappings()]
    tx.execute(delete(OUTBOX).where(OUTBOX.c.run_id.in_([run.run_id for run in runs])))
    return sorted(runs, key=lambda run: (run.available_ns, run.run_id))


def heartbeat(tx: Connection, run_id: str, *, epoch: int, lease_ns: int) -> None:
    """Prolong a lease. Raises `LeaseLost`."""
    _hold(tx, run_id, epoch, heartbeat_ns=now_ns(), lease_until_ns=now_ns() + lease_ns)


def checkpoint(tx: Connection, run_id: str, *, epoch: int, results: Mapping[str, bytes]) -> None:
    """Commit the results of nodes; they are never computed again.

    Raises:
        LeaseLost: If another worker took over.
        Conflict: If one of the nodes has a result already.
    """
    _hold(tx, run_id, epoch, heartbeat_ns=now_ns())
    for node, result in results.items():
        row = {"run_id": run_id, "node": node, "epoch": epoch, "result": result}
        tx.execute(insert(CHECKPOINTS).values(created_ns=now_ns(), **row))


def checkpoints(tx: Connection, run_id: str) -> dict[str, bytes]:
    """Committed results by node."""
    query = select(CHECKPOINTS.c.node, CHECKPOINTS.c.result).where(CHECKPOINTS.c.run_id == run_id)
    return {row.node: bytes(row.result) for row in tx.execute(query)}


def finish(
    tx: Connection,
    run_id: str,
    *,
    epoch: int,
    status: RunStatus,
    output: bytes | None = None,
    error: bytes | None = None,
) -> QueuedRun:
    """End a run (NEEDS_ATTENTION ends it until a person decides). Raises `LeaseLost`."""
    if status in (RunStatus.QUEUED, RunStatus.RUNNING):
        raise Conflict(f"{status.value!r} is not an end of a run", code="status-not-final")
    done = {"status": status, "output": output, "error": error, "finished_ns": now_ns()}
    _hold(tx, run_id, epoch, lease_until_ns=None, **done)
    return get(tx, run_id)


def release(tx: Connection, run_id: str, *, epoch: int, delay_ns: int = 0) -> None:
    """Give an unfinished run back without blame, as a worker does when it stops. Raises `LeaseLost`."""
    back = {"status": RunStatus.QUEUED, "owner": "", "available_ns": now_ns() + delay_ns}
    _hold(tx, run_id, epoch, lease_until_ns=None, attempts=ASYNC_RUNS.c.attempts - 1, **back)
    _ring(tx, [run_id])


def cancel(tx: Connection, run_id: str) -> QueuedRun:
    """Cancel a run that is not over; a worker that holds it learns it at its next write."""
    open_run = (ASYNC_RUNS.c.run_id == run_id) & ASYNC_RUNS.c.status.not_in(FINAL)
    values = {"status": RunStatus.CANCELLED, "lease_until_ns": None, "finished_ns": now_ns()}
    tx.execute(update(ASYNC_RUNS).where(open_run).values(epoch=ASYNC_RUNS.c.epoch + 1, **values))
    tx.execute(delete(OUTBOX).where(OUTBOX.c.run_id == run_id))
    return get(tx, run_id)


def sweep(
    tx: Connection, *, max_attempts: int = MAX_ATTEMPTS, expired: bytes = b"", dead: bytes = b""
) -> Swept:
    """Put runs back whose worker fell silent; end those that tried too often or whose deadline is over.

    Args:
        expired: The error to record for a deadline that passed, as JSON.
        dead: The error to record for too many attempts, as JSON.
    """
    late = ASYNC_RUNS.c.deadline_ns <= now_ns()
    waiting = ASYNC_RUNS.c.status == RunStatus.QUEUED
    silent = (ASYNC_RUNS.c.status == RunStatus.RUNNING) & (ASYNC_RUNS.c.lease_until_ns <= now_ns())
    ended = {"lease_until_ns": None, "finished_ns": now_ns()}
    too_late = _take(tx, or_(waiting, silent) & late, status=RunStatus.FAILED, error=expired, **ended)
    gave_up = silent & (ASYNC_RUNS.c.attempts >= max_attempts)
    dying = _take(tx, gave_up, status=RunStatus.DEAD, error=dead, **ended)
    back = {"status": RunStatus.QUEUED, "owner": "", "available_ns": now_ns(), "lease_until_ns": None}
    requeued = _take(tx, silent, **back)
    tx.execute(delete(OUTBOX).where(OUTBOX.c.run_id.in_([*too_late, *dying])))
    _ring(tx, requeued)
    return Swept(requeued=requeued, dead=dying, expired=too_late)


def doorbells(tx: Connection, *, limit: int = 100) -> Sequence[str]:
    """Runs whose doorbell is still to be rung, oldest first."""
    query = select(OUTBOX.c.run_id).order_by(OUTBOX.c.created_ns).limit(limit)
    return list(tx.execute(query).scalars())


def rung(tx: Connection, run_ids: Sequence[str]) -> None:
    """Forget doorbells that the broker has taken."""
    tx.execute(delete(OUTBOX).where(OUTBOX.c.run_id.in_(run_ids)))


def depth(tx: Connection) -> dict[RunStatus, int]:
    """How many runs stand where, for backpressure and metrics; final ones are left out."""
    status = ASYNC_RUNS.c.status
    query = select(status, func.count()).where(status.not_in(FINAL)).group_by(status)
    return {RunStatus(name): count for name, count in tx.execute(query)}


def purge(tx: Connection, *, older_than_ns: int) -> int:
    """Delete runs that ended longer ago than that, with their checkpoints; returns how many."""
    old = ASYNC_RUNS.c.status.in_(FINAL) & (ASYNC_RUNS.c.finished_ns <= now_ns() - older_than_ns)
    return tx.execute(delete(ASYNC_RUNS).where(old)).rowcount


def _hold(tx: Connection, run_id: str, epoch: int, **values: object) -> None:
    mine = (ASYNC_RUNS.c.run_id == run_id) & (ASYNC_RUNS.c.epoch == epoch)
    mine &= ASYNC_RUNS.c.status == RunStatus.RUNNING
    if tx.execute(update(ASYNC_RUNS).where(mine).values(**values)).rowcount == 0:
        raise LeaseLost(
            f"the lease of run {run_id!r} (epoch {epoch}) is lost: another worker holds it, or it is over",
            cure="drop what was computed since the last checkpoint",
        )


def _take(tx: Connection, where: ColumnElement[bool], **values: object) -> Sequence[str]:
    """Change rows and fence off whoever held them."""
    change = update(ASYNC_RUNS).where(where).values(epoch=ASYNC_RUNS.c.epoch + 1, **values)
    return sorted(tx.execute(change.returning(ASYNC_RUNS.c.run_id)).scalars())


def _ring(tx: Connection, run_ids: Sequence[str]) -> None:
    known = set(tx.execute(select(OUTBOX.c.run_id).where(OUTBOX.c.run_id.in_(run_ids))).scalars())
    for run_id in run_ids:
        if run_id not in known:
            tx.execute(insert(OUTBOX).values(run_id=run_id, created_ns=now_ns()))


def _run(row: RowMapping) -> QueuedRun:
    return QueuedRun(**{**row, "status": RunStatus(row["status"])})


__all__ = [
    "FINAL",
    "MAX_ATTEMPTS",
    "LeaseLost",
    "NewRun",
    "QueuedRun",
    "Swept",
    "batch",
    "cancel",
    "checkpoint",
    "checkpoints",
    "claim",
    "depth",
    "doorbells",
    "enqueue",
    "finish",
    "get",
    "heartbeat",
    "purge",
    "release",
    "rung",
    "sweep",
]
