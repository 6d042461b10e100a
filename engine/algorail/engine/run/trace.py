"""What happened in a run, read once, afterwards.

Generated code hands over a tuple of values (`layout`); what only some runs have is noted apart. Nothing is
copied: a block that changes its input in place changes the record too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from algorail.engine.kit.clock import Clock
from algorail.engine.kit.errors import Cancelled
from algorail.engine.plan.document import Node, Plan
from algorail.engine.run.bindings import evaluate
from algorail.engine.run.layout import Layout, Span
from algorail.engine.run.messages import info
from algorail.engine.run.outcome import Attempt, BlockRecord, ErrorInfo, NodeStatus, RunRecord, RunStatus
from algorail.engine.run.regions import eager_bindings

if TYPE_CHECKING:
    from algorail.engine.run.context import RunContext


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


Row = tuple[str, str, int, int, int]
"""A node, its kind, and where in `kept` its start, end and output are."""

_VALUES_FROM = 2
"""In `kept`, source and inputs stand before the values of the layout."""


@dataclass(frozen=True, slots=True)
class Source:
    """What all runs of a form of a compiled plan have in common.

    Attributes:
        rows: The nodes that may run, in the order of the plan.
        whole: Where in `kept` the run's own start, end and result are.
    """

    plan: Plan
    identity: Identity
    layout: Layout
    clock: Clock
    rows: Sequence[Row] = field(init=False)
    whole: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        spans = self.layout.spans
        rows = [
            (node.id, node.kind, *_places(spans[node.id])) for node in self.plan.nodes if node.id in spans
        ]
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "whole", _places(self.layout.whole))

    def kept(self, variables: Mapping[str, Any]) -> tuple[Any, ...]:
        """What a run that failed leaves: as far as it got."""
        return self, variables["inputs"], *map(variables.get, self.layout.names)


@dataclass(frozen=True, slots=True)
class NodeFailure:
    """Why a node failed, and when (seconds of the run's clock)."""

    at: float
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a node that has policies; seconds of the run's clock."""

    start: float
    end: float
    error: ErrorInfo | None


@dataclass(frozen=True, slots=True)
class Child:
    """A sub-algorithm's run inside a node's; `position` is the item's in an `each`."""

    position: int
    context: RunContext


@dataclass(slots=True)
class Notes:
    """What only some runs have, by the node's position in the plan.

    Attributes:
        error: Why the run ended without a result.
        ended: When it did, None if it has a result or still runs.
    """

    failures: dict[int, NodeFailure] = field(default_factory=dict)
    rescued: dict[int, ErrorInfo] = field(default_factory=dict)
    tries: dict[int, list[Try]] = field(default_factory=dict)
    children: dict[int, list[Child]] = field(default_factory=dict)
    cached: set[int] = field(default_factory=set)
    error: BaseException | None = None
    ended: float | None = None


class Trace:
    """A run that has ended, to be read.

    Args:
        ctx: The run's context; it must have kept something.
    """

    __slots__ = ("_context", "_inputs", "_notes", "_source", "_values")

    def __init__(self, ctx: RunContext) -> None:
        if ctx.kept is None:
            raise ValueError("this run has kept nothing")
        self._context = ctx
        self._source: Source
        self._inputs: Mapping[str, Any]
        self._source, self._inputs, *self._values = ctx.kept
        self._notes = ctx.notes or Notes()

    def to_record(
        self,
        identity: Identity | None = None,
        *,
        error: ErrorInfo | None = None,
        status: RunStatus | None = None,
        received: bool = True,
    ) -> RunRecord:
        """The run as plain objects.

        Args:
            identity: Version, alias, variant …; by default that of the compiled plan.
            error: What the run's failure is recorded as, if the caller knows better.
            status: What became of the run, if the caller knows better.
            received: Whether to tell what blocks received; it follows from the rest, and costs as much.
        """
        source, failed = self._source, self._notes.error
        known = identity or source.identity
        whole = source.layout.whole
        now, wall_ns = source.clock.monotonic(), source.clock.now_ns()
        started = _first(self._values[whole.start], now)
        ended = _first(self._values[whole.end], self._notes.ended, now)
        if error is None and failed is not None:
            error = info(failed)
        return RunRecord(
            run_id=self._context.run_id,
            algorithm=source.plan.name,
            version=known.version,
            plan_hash=known.plan_hash,
            status=status or _run_status(failed),
            started_ns=wall_ns - _ns(now - started),
            duration_ns=_ns(ended - started),
            inputs=dict(self._inputs),
            output=self._values[whole.output],
            error=error,
            blocks=sorted(self._blocks(started, ended, received), key=lambda block: block.start_ns),
            alias=known.alias,
            variant=known.variant,
            reason=known.reason,
            unit=known.unit,
            source_run=known.source_run,
            trace_id=known.trace_id,
            labels=dict(known.labels),
        )

    def _blocks(self, started: float, ended: float, received: bool) -> Iterator[BlockRecord]:
        pinned, notes = self._context.overrides or {}, self._notes
        for index, node in enumerate(self._source.plan.nodes):
            span = self._source.layout.spans.get(node.id)
            if span is None or (start := self._values[span.start]) is None:
                continue
            failure, end = notes.failures.get(index), self._values[span.end]
            stopped = _first(end, failure.at if failure is not None else None, ended)
            yield BlockRecord(
                node=node.id,
                kind=node.kind,
                status=_node_status(index, node.id in pinned, end is not None, notes),
                start_ns=_ns(start - started),
                duration_ns=_ns(stopped - start),
                output=self._values[span.output],
                inputs=self._received(node) if received else None,
                error=failure.error if failure is not None else notes.rescued.get(index),
                attempts=[_attempt(one, started) for one in notes.tries.get(index, ())],
                children=[
                    Trace(child.context).to_record(received=received)
                    for child in sorted(notes.children.get(index, ()), key=lambda one: one.position)
                    if child.context.kept is not None
                ],
            )

    def _received(self, node: Node) -> dict[str, Any]:
        return {} if node.id in (self._context.overrides or ()) else _inputs(node, self._read)

    def _read(self, name: str) -> Any:
        """The value of an input, or of a node that came to its end."""
        plan = self._source.plan
        if name in plan.inputs:
            return self._inputs[name] if name in self._inputs else plan.inputs[name].default
        span = self._source.layout.spans.get(name)
        if span is None or self._values[span.end] is None:
            raise _Absent
        return self._values[span.output]


def _places(span: Span) -> tuple[int, int, int]:
    return span.start + _VALUES_FROM, span.end + _VALUES_FROM, span.output + _VALUES_FROM


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


def _node_status(index: int, pinned: bool, ended: bool, notes: Notes) -> NodeStatus:
    if pinned:
        return NodeStatus.PINNED
    if not ended:
        return NodeStatus.FAILED if index in notes.failures else NodeStatus.CANCELLED
    if index in notes.rescued:
        return NodeStatus.FALLBACK
    return NodeStatus.CACHED if index in notes.cached else NodeStatus.OK


def _run_status(error: BaseException | None) -> RunStatus:
    if error is None:
        return RunStatus.SUCCEEDED
    cancelled = isinstance(error, asyncio.CancelledError | Cancelled)
    return RunStatus.CANCELLED if cancelled else RunStatus.FAILED


def _attempt(one: Try, started: float) -> Attempt:
    return Attempt(_ns(one.start - started), _ns(one.end - one.start), one.error)


def _first(*times: float | None) -> float:
    """The first that is known."""
    return next(time for time in times if time is not None)


def _ns(seconds: float) -> int:
    return max(0, round(seconds * 1e9))
