"""Writes of the durable queue for many runs at once, as `store.group_commit` hands them over.

The same rules as in `store.queue`: every write of a worker names the epoch it holds and is refused once
another worker has taken over. One statement checks all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from algorail.engine.kit.errors import AlgorailError, Overloaded
from algorail.engine.run.outcome import RunStatus
from algorail.engine.store import idempotency, queue
from algorail.engine.store.database import current_ns, now_ns
from algorail.engine.store.queue import LeaseLost, NewRun, QueuedRun
from algorail.engine.store.tables import ASYNC_RUNS, CHECKPOINTS, OUTBOX

_FINISH = (
    update(ASYNC_RUNS)
    .where(ASYNC_RUNS.c.run_id == bindparam("b_run"))
    .values(
        status=bindparam("b_status"),
        output=bindparam("b_output"),
        error=bindparam("b_error"),
        lease_until_ns=None,
        finished_ns=now_ns(),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Runs to acknowledge together, or not at all.

    Attributes:
        runs: The runs; with a deadline in `seconds` from now.
        most: How many runs may wait when these are in.
        answer: What to remember for the key: the id that the caller gets.
        route, key, body_hash: The idempotency key, empty if none was sent.
    """

    runs: Sequence[NewRun]
    most: int
    answer: str
    seconds: float | None = None
    route: str = ""
    key: str = ""
    body_hash: str = ""
    kept_ns: int = idempotency.KEPT_NS


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of an order; `repeated` if the key had been used for it before."""

    answer: str
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A write of a worker that holds a run."""

    run_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Result(Held):
    """A node's committed result, by its key in the run."""

    node: str
    data: bytes


@dataclass(frozen=True, slots=True)
class End(Held):
    """How a run ended. Its checkpoints go, unless a person must look at it first."""

    status: RunStatus
    output: bytes | None = None
    error: bytes | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """A worker that has room for runs."""

    owner: str
    lease_ns: int
    limit: int = 1
    run_id: str = ""


def accept_all(tx: Connection, orders: Sequence[Order]) -> Sequence[Accepted | AlgorailError]:
    """Acknowledge orders: runs, doorbells and idempotency keys in this one commit."""
    waiting = _waiting(tx)
    outcomes: list[Accepted | AlgorailError] = []
    rows: list[tuple[NewRun, float | None]] = []
    for order in orders:
        outcome = _accept(tx, order, waiting)
        if isinstance(outcome, Accepted) and not outcome.repeated:
            waiting += len(order.runs)
            rows += [(run, order.seconds) for run in order.runs]
        outcomes.append(outcome)
    _insert(tx, rows)
    return outcomes


def claim_all(tx: Connection, wishes: Sequence[Wish]) -> Sequence[Sequence[QueuedRun]]:
    """Waiting runs for each worker that asks."""
    return [
        queue.claim(tx, owner=wish.owner, lease_ns=wish.lease_ns, run_id=wish.run_id, limit=wish.limit)
        for wish in wishes
    ]


def checkpoint_all(tx: Connection, results: Sequence[Result]) -> Sequence[AlgorailError | None]:
    """Commit results of nodes; they are never computed again."""
    lost = _lost(tx, results)
    rows = [
        {"run_id": one.run_id, "node": one.node, "epoch": one.epoch, "result": one.data}
        for one in results
        if one.run_id not in lost
    ]
    if rows:
        tx.execute(insert(CHECKPOINTS).values(created_ns=now_ns()), rows)
    return [lost.get(one.run_id) for one in results]


def finish_all(tx: Connection, ends: Sequence[End]) -> Sequence[AlgorailError | None]:
    """End runs (NEEDS_ATTENTION ends one until a person decides)."""
    lost = _lost(tx, ends)
    mine = [end for end in ends if end.run_id not in lost]
    if mine:
        rows = [
            {"b_run": end.run_id, "b_status": end.status, "b_output": end.output, "b_error": end.error}
            for end in mine
        ]
        tx.execute(_FINISH, rows)
    over = [end.run_id for end in mine if end.status is not RunStatus.NEEDS_ATTENTION]
    forget_checkpoints(tx, over)
    return [lost.get(end.run_id) for end in ends]


def release_all(tx: Connection, held: Sequence[Held]) -> Sequence[AlgorailError | None]:
    """Give unfinished runs back without blame, as a worker does when it stops."""
    lost = _lost(tx, held)
    for one in held:
        if one.run_id not in lost:
            queue.release(tx, one.run_id, epoch=one.epoch)
    return [lost.get(one.run_id) for one in held]


def heartbeat_all(tx: Connection, held: Mapping[str, int], *, lease_ns: int) -> frozenset[str]:
    """Prolong leases; returns the runs whose lease is lost."""
    lost = _lost(tx, [Held(run_id, epoch) for run_id, epoch in held.items()])
    mine = ASYNC_RUNS.c.run_id.in_([run_id for run_id in held if run_id not in lost])
    tx.execute(
        update(ASYNC_RUNS).where(mine).values(heartbeat_ns=now_ns(), lease_until_ns=now_ns() + lease_ns)
    )
    return frozenset(lost)


def forget_checkpoints(tx: Connection, run_ids: Sequence[str]) -> None:
    """Delete the checkpoints of runs that are over and on record."""
    if run_ids:
        tx.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.run_id.in_(run_ids)))


def put_back(tx: Connection, run_id: str, *, results: Mapping[str, bytes], forget: Sequence[str]) -> None:
    """Let a run that needed attention wait for a worker again, with new results and without old marks."""
    now = current_ns(tx)
    tx.execute(delete(CHECKPOINTS).where((CHECKPOINTS.c.run_id == run_id) & CHECKPOINTS.c.node.in_(forget)))
    rows = [{"run_id": run_id, "node": key, "result": data} for key, data in results.items()]
    if rows:
        tx.execute(insert(CHECKPOINTS).values(created_ns=now_ns(), epoch=0), rows)
    fresh = {"status": RunStatus.QUEUED, "attempts": 0, "owner": "", "error": None, "finished_ns": None}
    change = update(ASYNC_RUNS).where(ASYNC_RUNS.c.run_id == run_id)
    tx.execute(change.values(epoch=ASYNC_RUNS.c.epoch + 1, available_ns=now, **fresh))
    tx.execute(insert(OUTBOX).values(run_id=run_id, created_ns=now))


def overdue(tx: Connection, *, waited_ns: int, limit: int) -> Sequence[str]:
    """Runs that have waited that long although they may start, oldest first: their doorbell was lost."""
    ready = (ASYNC_RUNS.c.status == RunStatus.QUEUED) & (ASYNC_RUNS.c.available_ns <= now_ns() - waited_ns)
    query = select(ASYNC_RUNS.c.run_id).where(ready).order_by(ASYNC_RUNS.c.available_ns).limit(limit)
    return list(tx.execute(query).scalars())


def progress(tx: Connection, batch: str) -> dict[RunStatus, int]:
    """How many runs of a batch stand where; empty if there is no such batch."""
    status = ASYNC_RUNS.c.status
    query = select(status, func.count()).where(ASYNC_RUNS.c.batch == batch).group_by(status)
    return {RunStatus(name): count for name, count in tx.execute(query)}


def batch_page(tx: Connection, batch: str, *, after: str = "", limit: int = 100) -> Sequence[Any]:
    """Run id, status, algorithm, version and team of a batch's runs, in the order of their inputs."""
    columns = (ASYNC_RUNS.c.run_id, ASYNC_RUNS.c.status, ASYNC_RUNS.c.algorithm, ASYNC_RUNS.c.version)
    where = (ASYNC_RUNS.c.batch == batch) & (ASYNC_RUNS.c.run_id > after)
    query = select(*columns, ASYNC_RUNS.c.team).where(where).order_by(ASYNC_RUNS.c.run_id).limit(limit)
    return list(tx.execute(query))


def _accept(tx: Connection, order: Order, waiting: int) -> Accepted | AlgorailError:
    if order.key:
        claim = idempotency.claim(
            tx,
            route=order.route,
            key=order.key,
            body_hash=order.body_hash,
            run_id=order.answer,
            kept_ns=order.kept_ns,
        )
        if not claim.is_new:
            return Accepted(claim.run_id, repeated=True)
    if waiting + len(order.runs) <= order.most:
        return Accepted(order.answer)
    if order.key:
        idempotency.release(tx, route=order.route, key=order.key, run_id=order.answer)
    return Overloaded(
        f"{waiting} runs wait, with {len(order.runs)} more there would be more than {order.most}",
        code="queue-full",
        cure="try again later, or start more workers",
        retry_after=5,
    )


def _insert(tx: Connection, rows: Sequence[tuple[NewRun, float | None]]) -> None:
    if not rows:
        return
    now = current_ns(tx)
    names = [name for name in NewRun.__dataclass_fields__ if name not in {"delay_ns", "deadline_ns"}]
    tx.execute(
        insert(ASYNC_RUNS),
        [
            {
                **{name: getattr(run, name) for name in names},
                "status": RunStatus.QUEUED,
                "created_ns": now,
                "available_ns": now + run.delay_ns,
                "deadline_ns": run.deadline_ns if seconds is None else now + int(seconds * 1e9),
            }
            for run, seconds in rows
        ],
    )
    tx.execute(insert(OUTBOX), [{"run_id": run.run_id, "created_ns": now} for run, _ in rows])


def _waiting(tx: Connection) -> int:
    queued = select(func.count()).where(ASYNC_RUNS.c.status == RunStatus.QUEUED)
    return int(tx.execute(queued).scalar_one())


def _lost(tx: Connection, held: Iterable[Held]) -> dict[str, LeaseLost]:
    """Those whose epoch is no longer theirs. Until COMMIT nobody can take the others over."""
    asked = {one.run_id: one.epoch for one in held}
    mine = ASYNC_RUNS.c.run_id.in_(list(asked)) & (ASYNC_RUNS.c.status == RunStatus.RUNNING)
    query = select(ASYNC_RUNS.c.run_id, ASYNC_RUNS.c.epoch).where(mine)
    if tx.dialect.name == "postgresql":
        query = query.order_by(ASYNC_RUNS.c.run_id).with_for_update()
    found = {row.run_id: row.epoch for row in tx.execute(query)}
    return {
        run_id: LeaseLost(
            f"the lease of run {run_id!r} (epoch {epoch}) is lost: another worker holds it, or it is over",
            cure="drop what was computed since the last checkpoint",
        )
        for run_id, epoch in asked.items()
        if found.get(run_id) != epoch
    }


__all__ = [
    "Accepted",
    "End",
    "Held",
    "Order",
    "Result",
    "Wish",
    "accept_all",
    "batch_page",
    "checkpoint_all",
    "claim_all",
    "finish_all",
    "forget_checkpoints",
    "heartbeat_all",
    "overdue",
    "progress",
    "put_back",
    "release_all",
]
