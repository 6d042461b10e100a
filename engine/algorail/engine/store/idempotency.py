"""Idempotency keys: the same key and body of a route mean the same run; kept seven days."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.store.database import now_ns
from algorail.engine.store.tables import IDEMPOTENCY

KEPT_NS = 7 * 24 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a key stands for.

    Attributes:
        is_new: Whether this call made it; only then may the run start.
        response: The answer of the first call, None while it still runs.
    """

    run_id: str
    is_new: bool
    response: bytes | None


def claim(
    tx: Connection, *, route: str, key: str, body_hash: str, run_id: str, kept_ns: int = KEPT_NS
) -> Claim:
    """Take a key for a run, or learn which run has it.

    Raises:
        InvalidInput: `idempotency-key-reused` if the key came with another body before.
        Conflict: If another call claims the same key at this moment (PostgreSQL); trying again finds its run.
    """
    mine = (IDEMPOTENCY.c.route == route) & (IDEMPOTENCY.c.key == key)
    tx.execute(delete(IDEMPOTENCY).where(mine & (IDEMPOTENCY.c.expires_ns <= now_ns())))
    row = tx.execute(select(IDEMPOTENCY).where(mine)).one_or_none()
    if row is None:
        values = {"route": route, "key": key, "body_hash": body_hash, "run_id": run_id}
        times = {"created_ns": now_ns(), "expires_ns": now_ns() + kept_ns}
        tx.execute(insert(IDEMPOTENCY).values(**values, **times))
        return Claim(run_id=run_id, is_new=True, response=None)
    if row.body_hash != body_hash:
        raise InvalidInput(
            f"the idempotency key {key!r} was used with another body",
            code="idempotency-key-reused",
            cure="send the same body again, or a new key",
        )
    return Claim(run_id=row.run_id, is_new=False, response=row.response)


def answer(
    tx: Connection, *, route: str, key: str, run_id: str, response: bytes, kept_ns: int = KEPT_NS
) -> None:
    """Keep a run's answer for `kept_ns` from now on, to give it again; if it lost its key, do nothing."""
    mine = (IDEMPOTENCY.c.route == route) & (IDEMPOTENCY.c.key == key) & (IDEMPOTENCY.c.run_id == run_id)
    tx.execute(update(IDEMPOTENCY).where(mine).values(response=response, expires_ns=now_ns() + kept_ns))


def release(tx: Connection, *, route: str, key: str, run_id: str) -> None:
    """Give a key back whose run never started, so that the caller may try again."""
    mine = (IDEMPOTENCY.c.route == route) & (IDEMPOTENCY.c.key == key) & (IDEMPOTENCY.c.run_id == run_id)
    tx.execute(delete(IDEMPOTENCY).where(mine))


def sweep(tx: Connection) -> int:
    """Forget expired keys; returns how many."""
    return tx.execute(delete(IDEMPOTENCY).where(IDEMPOTENCY.c.expires_ns <= now_ns())).rowcount


__all__ = ["Claim", "answer", "claim", "release", "sweep"]
