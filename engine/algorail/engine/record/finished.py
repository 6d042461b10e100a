"""A run that succeeded, as the event loop leaves it: references only. The writer's thread makes the rest."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import msgspec

from algorail.engine.record.body import POSITIONS
from algorail.engine.record.store import RunHead
from algorail.engine.run.context import RunContext
from algorail.engine.run.outcome import ErrorInfo, NodeStatus, RunRecord, RunStatus
from algorail.engine.run.trace import Identity, Source

Row = tuple[str, str, int, int, int, Any]
"""Node, kind, status, start and duration in nanoseconds, output: what `body` calls a block."""

_OK = POSITIONS[NodeStatus.OK]
_BY_START = itemgetter(3)


class FinishedRun(msgspec.Struct):
    """A run that succeeded, and why this version ran.

    Attributes:
        context: Of the run; it must have been recorded.
        unit: The unit of a split, empty without one.
        trace_id: Of the caller's trace.
        labels: Whatever else is known.
        made: The rows, once somebody asked for them.
    """

    context: RunContext
    version: int
    plan_hash: str
    alias: str
    variant: str
    reason: str
    unit: str
    trace_id: str
    labels: Mapping[str, str]
    made: list[Row] | None = None

    @property
    def run_id(self) -> str:
        """Identity of the run."""
        return self.context.run_id

    @property
    def status(self) -> RunStatus:
        """Always the same: what failed is rare, and is recorded from a `RunRecord`."""
        return RunStatus.SUCCEEDED

    @property
    def error(self) -> ErrorInfo | None:
        """None, as it succeeded."""
        return None

    @property
    def source_run(self) -> str:
        """Empty: replays are recorded from a `RunRecord`."""
        return ""

    @property
    def algorithm(self) -> str:
        """Name of what ran."""
        return self.source.plan.name

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What the run was called with."""
        given: Mapping[str, Any] = self._kept[1]
        return given

    @property
    def output(self) -> Any:
        """Its result."""
        return self._kept[self.source.whole[2]]

    @property
    def started_ns(self) -> int:
        """Start by the wall clock, reckoned back from now."""
        clock = self.source.clock
        return clock.now_ns() - round((clock.monotonic() - self.times()[0]) * 1e9)

    @property
    def duration_ns(self) -> int:
        """Duration of the whole."""
        return round(self.times()[1] * 1e9)

    @property
    def source(self) -> Source:
        """What ran."""
        source: Source = self._kept[0]
        return source

    @property
    def _kept(self) -> tuple[Any, ...]:
        if self.context.kept is None:
            raise ValueError("this run was not recorded")
        return self.context.kept

    def times(self) -> tuple[float, float]:
        """Start and duration, seconds of the run's clock."""
        kept = self._kept
        start, end, _ = kept[0].whole
        return kept[start], kept[end] - kept[start]

    def head(self, unit: str, trace_id: str) -> RunHead:
        """The searchable row, with unit and trace as they may stand in it. Written for speed."""
        kept = self._kept
        source: Source = kept[0]
        (start, end, _), clock = source.whole, source.clock
        began = kept[start]
        return RunHead(
            self.context.run_id,
            source.plan.name,
            self.version,
            self.plan_hash,
            RunStatus.SUCCEEDED.value,
            clock.now_ns() - round((clock.monotonic() - began) * 1e9),
            round((kept[end] - began) * 1e9),
            self.alias,
            self.variant,
            self.reason,
            unit,
            "",
            trace_id,
        )

    def rows(self) -> list[Row] | None:
        """Its blocks by start, if all of them simply worked; None if there is more to say."""
        if self.made is not None:
            return self.made
        context = self.context
        if context.notes is not None or context.overrides or context.kept is None:
            return None
        kept, source = context.kept, self.source
        began = kept[source.whole[0]]
        rows: list[Row] = []
        for node, kind, start, end, output in source.rows:
            started = kept[start]
            if started is None:
                continue
            ended = kept[end]
            if ended is None:
                return None
            offset, duration = round((started - began) * 1e9), round((ended - started) * 1e9)
            rows.append((node, kind, _OK, offset, duration, kept[output]))
        rows.sort(key=_BY_START)
        self.made = rows
        return rows

    def record(self) -> RunRecord:
        """The run as plain objects, without what its blocks received: that follows from the rest."""
        trace = self.context.trace
        if trace is None:
            raise ValueError("this run was not recorded")
        identity = Identity(
            version=self.version,
            plan_hash=self.plan_hash,
            alias=self.alias,
            variant=self.variant,
            reason=self.reason,
            unit=self.unit,
            trace_id=self.trace_id,
            labels=self.labels,
        )
        return trace.to_record(identity, received=False)


Recordable = RunRecord | FinishedRun

__all__ = ["FinishedRun", "Recordable", "Row"]
