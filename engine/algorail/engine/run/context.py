"""What a run carries along: identity, deadline, clock, where deltas go. Knows nothing of plans."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.ids import new_id
from algorail.engine.run.trace import Notes, Trace

Emit = Callable[[str, Any], None]
"""Receives (node id, delta) while a run streams its answer."""


class RunContext(msgspec.Struct, eq=False):
    """One run's own data; made per run, never shared by two. A `Struct`, for it is made for every run.

    Attributes:
        given_id: Identity of the run, empty until one is given or asked for.
        record: Whether values and times are kept; the result is in `trace`.
        timeout: Seconds from the start of the run after which it is over.
        clock: Where time is read; the one that the plan was compiled with.
        emit: Receives parts of the answer, None if nobody listens.
        traceparent: W3C trace context of the caller.
        overrides: Outputs pinned by node id; those nodes and what only they need do not run.
        deadline: Monotonic second of `clock` at which the run is over, None if it may take forever.
        depth: How many algorithms are above this one.
        kept: What a recorded run leaves when it ends, see `trace`.
        notes: What only some runs have, see `trace`.
    """

    given_id: str = ""
    record: bool = True
    timeout: float | None = None
    clock: Clock = SYSTEM_CLOCK
    emit: Emit | None = None
    traceparent: str = ""
    overrides: Mapping[str, Any] | None = None
    deadline: float | None = None
    depth: int = 0
    kept: tuple[Any, ...] | None = None
    notes: Notes | None = None

    @property
    def run_id(self) -> str:
        """Identity of the run; made when first asked for, if none was given."""
        if not self.given_id:
            self.given_id = new_id("run", now_ns=self.clock.now_ns())
        return self.given_id

    @property
    def trace(self) -> Trace | None:
        """What happened, once a recorded run has ended."""
        return None if self.kept is None else Trace(self)

    def noted(self) -> Notes:
        """The notes; made when first asked for."""
        if self.notes is None:
            self.notes = Notes()
        return self.notes

    def ended(self, error: BaseException) -> None:
        """Note that the run is over without a result."""
        if self.record:
            notes = self.noted()
            notes.error, notes.ended = error, self.clock.monotonic()

    def remaining(self) -> float | None:
        """Seconds left until the deadline, never negative; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - self.clock.monotonic())

    def limit(self, timeout: float | None) -> None:
        """Bring the deadline forward to `timeout` seconds from now, if that is earlier."""
        if timeout is None:
            return
        limit = self.clock.monotonic() + timeout
        if self.deadline is None or limit < self.deadline:
            self.deadline = limit

    def child(self, node: str, position: int | None = None) -> RunContext:
        """The context of a sub-algorithm's run: same deadline, clock and listener, an identity below.

        The identity follows from the node (and the item's position), so that effect keys stay the same
        when a run is recovered.
        """
        step = node if position is None else f"{node}.{position}"
        return RunContext(
            f"{self.run_id}:{step}",
            record=self.record,
            clock=self.clock,
            emit=self.emit,
            traceparent=self.traceparent,
            deadline=self.deadline,
            depth=self.depth + 1,
        )


class NodeContext:
    """What a block that asks for it learns of its call (`block.kind.CallContext`)."""

    __slots__ = ("_deadline", "_run", "attempt", "item", "node_id")

    def __init__(self, run: RunContext, node_id: str, attempt: int = 1, timeout: float | None = None) -> None:
        self._run = run
        self._deadline = run.deadline
        self.node_id = node_id
        self.attempt = attempt
        self.item: int | None = None
        if timeout is not None:
            limit = run.clock.monotonic() + timeout
            self._deadline = limit if self._deadline is None else min(limit, self._deadline)

    @property
    def run_id(self) -> str:
        """Identity of the run."""
        return self._run.run_id

    @property
    def traceparent(self) -> str:
        """W3C trace context to pass on."""
        return self._run.traceparent

    def remaining(self) -> float | None:
        """Seconds left for this call, None if unlimited; never negative."""
        return None if self._deadline is None else max(0.0, self._deadline - self._run.clock.monotonic())

    def effect_key(self) -> str:
        """Stable over retries and recovery: run id, node id and, inside `each`, the item's position."""
        key = f"{self._run.run_id}:{self.node_id}"
        return key if self.item is None else f"{key}:{self.item}"

    def emit(self, delta: Any) -> None:
        """Send a part of the answer to whoever streams this run."""
        if self._run.emit is not None:
            self._run.emit(self.node_id, delta)


def current_task() -> asyncio.Task[Any]:
    """The running task. A run always has one."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a run needs a running event loop and task")
    return task
