"""Totals over finished runs: what the metrics page shows. It knows records, not Prometheus."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from algorail.engine.record.finished import FinishedRun, Row
from algorail.engine.run.outcome import BlockRecord, NodeStatus, RunRecord, RunStatus

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the duration buckets, seconds."""

_NOTED_AT_MOST: Final = 1_024
"""Runs that may wait to be counted; they hold their values."""

_BOUNDS_NS: Final = tuple(int(bound * 1e9) for bound in BOUNDS)


@dataclass(slots=True)
class Durations:
    """A histogram: how many fell into each bucket (the last one is open), and their sum in nanoseconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    sum_ns: int = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration."""
        self.counts[bisect_left(_BOUNDS_NS, duration_ns)] += 1
        self.sum_ns += duration_ns

    def cumulative(self) -> list[tuple[str, int]]:
        """(upper bound, count at or below it), as the text format wants it."""
        total = 0
        pairs = []
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            total += count
            pairs.append((bound, total))
        return pairs


class RunTotals:
    """Counts runs and blocks, after the answer was made.

    Runs that succeeded are only noted on the event loop; whoever calls `settle` (the record's writer after a
    commit, the metrics page) counts them. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str, str, str], Durations] = {}
        """By algorithm, version, variant and status."""
        self.blocks: dict[tuple[str, str, str, str], Durations] = {}
        """By algorithm, node, kind and status."""
        self.attempts: dict[tuple[str, str, str], int] = {}
        """Tries beyond the first, by algorithm, node and kind."""
        self._plans: dict[tuple[str, int, str], tuple[Durations, dict[str, Durations]]] = {}
        self._noted: deque[FinishedRun] = deque()
        self._lock = threading.Lock()

    def note(self, run: FinishedRun) -> None:
        """Count a run that succeeded, a little later."""
        self._noted.append(run)
        if len(self._noted) > _NOTED_AT_MOST:
            self.settle()

    def settle(self) -> None:
        """Count what was noted."""
        with self._lock:
            for _ in range(len(self._noted)):
                run = self._noted.popleft()
                rows = run.rows()
                if rows is None:
                    self._add(run.record())
                else:
                    self._add_rows(run, rows)

    def add(self, record: RunRecord) -> None:
        """Count a finished run, the runs of its sub-algorithms included."""
        with self._lock:
            self._add(record)

    def count(self, algorithm: str, version: int, variant: str, status: RunStatus, seconds: float) -> None:
        """Count a run of which nothing else is known."""
        with self._lock:
            self._run((algorithm, str(version), variant, status.value)).add(round(seconds * 1e9))

    def _add(self, record: RunRecord) -> None:
        key = (record.algorithm, str(record.version), record.variant, record.status.value)
        self._run(key).add(record.duration_ns)
        for block in record.blocks:
            self._add_block(record.algorithm, block)

    def _add_rows(self, run: FinishedRun, rows: Sequence[Row]) -> None:
        key = run.plan_hash, run.version, run.variant
        plan = self._plans.get(key)
        if plan is None:
            name = run.algorithm
            ok = {row[0]: self._block((name, row[0], row[1], NodeStatus.OK.value)) for row in run.source.rows}
            whole = self._run((name, str(run.version), run.variant, RunStatus.SUCCEEDED.value))
            plan = self._plans[key] = whole, ok
        whole, ok = plan
        whole.add(run.duration_ns)
        for row in rows:
            ok[row[0]].add(row[4])

    def _run(self, key: tuple[str, str, str, str]) -> Durations:
        return self.runs.get(key) or self.runs.setdefault(key, Durations())

    def _block(self, key: tuple[str, str, str, str]) -> Durations:
        return self.blocks.get(key) or self.blocks.setdefault(key, Durations())

    def _add_block(self, algorithm: str, block: BlockRecord) -> None:
        self._block((algorithm, block.node, block.kind, block.status.value)).add(block.duration_ns)
        if len(block.attempts) > 1:
            tries = (algorithm, block.node, block.kind)
            self.attempts[tries] = self.attempts.get(tries, 0) + len(block.attempts) - 1
        for child in block.children:
            for inner in child.blocks:
                self._add_block(child.algorithm, inner)


__all__ = ["BOUNDS", "Durations", "RunTotals"]
