"""What happened in a run, as cheap to write as can be; read once, afterwards.

The hot path stores into one preallocated list. Nothing is copied: a block that changes its input in place
changes the record too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from algorail.engine.kit.errors import Cancelled
from algorail.engine.kit.ids import new_id
from algorail.engine.plan.document import Node, Plan
from algorail.engine.run.bindings import evaluate
from algorail.engine.run.messages import info
from algorail.engine.run.outcome import Attempt, BlockRecord, ErrorInfo, NodeStatus, RunRecord, RunStatus
from algorail.engine.run.regions import eager_bindings


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which version of which algorithm ran, and why this one."""

    version: int = 0
    plan_hash: str = ""
    alias: str = ""
    variant: str = ""
    reason: str = ""
    unit: str = ""
    source_run: str = ""
    trace_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """What all traces of a compiled plan have in common: the plan, the slots it needs, where time is read."""

    plan: Plan
    identity: Identity
    size: int
    now: Callable[[], int]
    wall_ns: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Child:
    """A sub-algorithm's run inside a node's; `position` is the item's in an `each`."""

    position: int
    trace: Trace


@dataclass(slots=True)
class Extras:
    """What only some runs have, by the node's position in the plan."""

    errors: dict[int, ErrorInfo] = field(default_factory=dict)
    rescued: dict[int, ErrorInfo] = field(default_factory=dict)
    attempts: dict[int, list[Attempt]] = field(default_factory=dict)
    children: dict[int, list[Child]] = field(default_factory=dict)
    cached: set[int] = field(default_factory=set)


class Trace:
    """A run while it runs and after.

    Attributes:
        slots: Per node start, end, output; then the run's own. Written by generated code.
        error: Why the run failed.
    """

    error: BaseException | None = None
    _extras: Extras | None = None

    def __init__(
        self,
        source: Source,
        slots: list[Any],
        inputs: Mapping[str, Any],
        run_id: str,
        overrides: Mapping[str, Any] | None,
    ) -> None:
        # It does not keep the context, which keeps it: a cycle per run would feed the garbage collector.
        self.slots = slots
        self.inputs = inputs
        self.run_id = run_id
        self._overrides = overrides
        self._source = source

    @property
    def extras(self) -> Extras:
        """What only some runs have; made when first asked for."""
        if self._extras is None:
            self._extras = Extras()
        return self._extras

    def now(self) -> int:
        """Nanoseconds on the scale of the slots."""
        return self._source.now()

    def failed(self, index: int, error: ErrorInfo) -> None:
        """A node failed."""
        self.extras.errors[index] = error
        self.slots[index * 3 + 1] = self.now()

    def end(self, error: BaseException) -> None:
        """The run is over without a result."""
        self.error = error
        self.slots[-2] = self.now()

    def to_record(
        self,
        identity: Identity | None = None,
        *,
        error: ErrorInfo | None = None,
        status: RunStatus | None = None,
    ) -> RunRecord:
        """The run as plain objects.

        Args:
            identity: Version, alias, variant …; by default that of the compiled plan.
            error: What the run's failure is recorded as, if the caller knows better.
            status: What became of the run, if the caller knows better.
        """
        plan, own = self._source.plan, self._source.identity
        known = identity or own
        now, wall_ns = self.now(), self._source.wall_ns()
        started = now if self.slots[-3] is None else self.slots[-3]
        ended = now if self.slots[-2] is None else self.slots[-2]
        self.run_id = self.run_id or new_id("run", now_ns=wall_ns)
        if error is None and self.error is not None:
            error = info(self.error)
        return RunRecord(
            run_id=self.run_id,
            algorithm=plan.name,
            version=known.version,
            plan_hash=known.plan_hash,
            status=status or self._status(),
            started_ns=wall_ns - (now - started),
            duration_ns=ended - started,
            inputs=dict(self.inputs),
            output=self.slots[-1],
            error=error,
            blocks=sorted(self._blocks(started, ended), key=lambda block: block.start_ns),
            alias=known.alias,
            variant=known.variant,
            reason=known.reason,
            unit=known.unit,
            source_run=known.source_run,
            trace_id=known.trace_id,
            labels=dict(known.labels),
        )

    def _status(self) -> RunStatus:
        if self.error is None:
            return RunStatus.SUCCEEDED if self.slots[-2] is not None else RunStatus.RUNNING
        if isinstance(self.error, asyncio.CancelledError | Cancelled):
            return RunStatus.CANCELLED
        return RunStatus.FAILED

    def _blocks(self, started: int, ended: int) -> Iterator[BlockRecord]:
        slots, extras = self.slots, self._extras or Extras()
        plan = self._source.plan
        pinned = self._overrides or {}
        positions = {node.id: index for index, node in enumerate(plan.nodes)}

        def read(name: str) -> Any:
            index = positions.get(name)
            if index is None:
                return self.inputs[name] if name in self.inputs else plan.inputs[name].default
            if slots[index * 3 + 1] is None:
                raise _Absent
            return slots[index * 3 + 2]

        for index, node in enumerate(plan.nodes):
            start, end, output = slots[index * 3 : index * 3 + 3]
            if start is None:
                continue
            yield BlockRecord(
                node=node.id,
                kind=node.kind,
                status=_node_status(index, node.id in pinned, end is not None, extras),
                start_ns=start - started,
                duration_ns=max(0, (ended if end is None else end) - start),
                output=output,
                inputs={} if node.id in pinned else _inputs(node, read),
                error=extras.errors.get(index) or extras.rescued.get(index),
                attempts=self._attempts(index, started, extras),
                children=[
                    child.trace.to_record()
                    for child in sorted(extras.children.get(index, ()), key=lambda one: one.position)
                ],
            )

    def _attempts(self, index: int, started: int, extras: Extras) -> list[Attempt]:
        return [
            Attempt(attempt.start_ns - started, attempt.duration_ns, attempt.error)
            for attempt in extras.attempts.get(index, ())
        ]


def _inputs(node: Node, read: Callable[[str], Any]) -> dict[str, Any]:
    """What the node received, as far as it got; ports that are pulled are not received."""
    found = {}
    for port, binding in eager_bindings(node).items():
        try:
            found[port] = evaluate(binding, read)
        except Exception:  # noqa: BLE001, S112  # no value: the failure is some node's error
            continue
    return found


class _Absent(Exception):
    """The node has no value in this run."""


def _node_status(index: int, pinned: bool, ended: bool, extras: Extras) -> NodeStatus:
    if pinned:
        return NodeStatus.PINNED
    if index in extras.errors:
        return NodeStatus.FAILED if index not in extras.rescued or not ended else NodeStatus.FALLBACK
    if not ended:
        return NodeStatus.CANCELLED
    if index in extras.rescued:
        return NodeStatus.FALLBACK
    return NodeStatus.CACHED if index in extras.cached else NodeStatus.OK
