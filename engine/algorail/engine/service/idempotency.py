"""Idempotency: the same key and body of a call mean the same run and the same answer."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from algorail.engine.kit import errors
from algorail.engine.kit.errors import AlgorailError, BlockFailed, Conflict, Problem
from algorail.engine.service.calls import Answer, Call
from algorail.engine.store import idempotency
from algorail.engine.store.database import Database
from algorail.engine.store.idempotency import Claim

_GRACE = 30.0
"""Seconds beyond its deadline after which a run without an answer is taken for dead."""


class _Failure(msgspec.Struct, frozen=True):
    kind: str
    code: str
    message: str
    cure: str
    retryable: bool
    node: str
    problems: tuple[dict[str, str], ...]


class _Remembered(msgspec.Struct, frozen=True):
    run_id: str
    version: int
    variant: str
    body: bytes
    failure: _Failure | None


class Idempotency:
    """Remembers answers by key. Blocking.

    Args:
        database: Where they are kept.
        days: How long.
    """

    def __init__(self, database: Database, days: int) -> None:
        self._database = database
        self._kept_ns = days * 24 * 3600 * 1_000_000_000

    def claim(self, call: Call, run_id: str, seconds: float) -> Answer | None:
        """Take the key for a run, or get the answer of the run that has it.

        A run that has no answer long after its deadline died with its process; its key is free again.

        Raises:
            InvalidInput: `idempotency-key-reused`, if the key came with another body or version.
            Conflict: `idempotency-in-progress`, while the first call still runs.
        """
        try:
            claim = self._claim(call, run_id, seconds)
        except Conflict:
            # Another process inserted the same key at this moment: now it can be read.
            claim = self._claim(call, run_id, seconds)
        if claim.is_new:
            return None
        if claim.response is None:
            raise Conflict(
                f"the run {claim.run_id} with this idempotency key is not done yet",
                code="idempotency-in-progress",
                cure="try again in a moment to get its answer",
                retryable=True,
                retry_after=1,
            )
        return _read(claim.response)

    def _claim(self, call: Call, run_id: str, seconds: float) -> Claim:
        with self._database.write() as tx:
            return idempotency.claim(
                tx,
                route=_route(call),
                key=call.idempotency_key,
                body_hash=_fingerprint(call),
                run_id=run_id,
                kept_ns=int((seconds + _GRACE) * 1e9),
            )

    def remember(self, call: Call, answer: Answer) -> None:
        """Keep the answer; a failure that may pass gives the key back instead."""
        with self._database.write() as tx:
            if answer.error is not None and answer.error.retryable:
                idempotency.release(tx, route=_route(call), key=call.idempotency_key, run_id=answer.run_id)
            else:
                idempotency.answer(
                    tx,
                    route=_route(call),
                    key=call.idempotency_key,
                    run_id=answer.run_id,
                    response=_write(answer),
                    kept_ns=self._kept_ns,
                )

    def release(self, call: Call, run_id: str) -> None:
        """Give the key back: the run was cancelled before it had an answer."""
        with self._database.write() as tx:
            idempotency.release(tx, route=_route(call), key=call.idempotency_key, run_id=run_id)

    def sweep(self) -> int:
        """Forget what is too old; returns how many."""
        with self._database.write() as tx:
            return idempotency.sweep(tx)


def _route(call: Call) -> str:
    """Keys of different teams never meet."""
    return f"{call.principal.team}/{call.algorithm}/invoke"


def _fingerprint(call: Call) -> str:
    parts = (call.version.encode(), call.unit.encode("utf-8", "surrogatepass"), call.body)
    return hashlib.sha256(b"\x1f".join(parts)).hexdigest()


def _write(answer: Answer) -> bytes:
    failure = None if answer.error is None else _failure(answer.error)
    return msgspec.msgpack.encode(
        _Remembered(answer.run_id, answer.version, answer.variant, answer.body, failure)
    )


def _read(data: bytes) -> Answer:
    kept = msgspec.msgpack.decode(data, type=_Remembered)
    error = None if kept.failure is None else _error(kept.failure)
    return Answer(kept.run_id, kept.version, kept.variant, kept.body, error, repeated=True)


def _failure(error: AlgorailError) -> _Failure:
    return _Failure(
        kind=next(kind.__name__ for kind in type(error).__mro__ if hasattr(errors, kind.__name__)),
        code=error.code,
        message=error.message,
        cure=error.cure,
        retryable=error.retryable,
        node=error.node if isinstance(error, BlockFailed) else "",
        problems=tuple(problem.as_dict() for problem in error.problems),
    )


def _error(failure: _Failure) -> AlgorailError:
    kind: type[AlgorailError] = getattr(errors, failure.kind)
    rest: dict[str, Any] = {"node": failure.node} if issubclass(kind, BlockFailed) else {}
    problems = [Problem(**problem) for problem in failure.problems]
    return kind(
        failure.message,
        code=failure.code,
        cure=failure.cure,
        problems=problems,
        retryable=failure.retryable,
        **rest,
    )


__all__ = ["Idempotency"]
