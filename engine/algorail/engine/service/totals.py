"""Totals over finished runs: what the metrics page shows. It knows records, not Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from algorail.engine.run.outcome import BlockRecord, RunRecord

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the duration buckets, seconds."""

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
    """Counts runs and blocks from their records, after the answer was made."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str, str, str], Durations] = {}
        """By algorithm, version, variant and status."""
        self.blocks: dict[tuple[str, str, str, str], Durations] = {}
        """By algorithm, node, kind and status."""
        self.attempts: dict[tuple[str, str, str], int] = {}
        """Tries beyond the first, by algorithm, node and kind."""

    def add(self, record: RunRecord) -> None:
        """Count a finished run, the runs of its sub-algorithms included."""
        key = (record.algorithm, str(record.version), record.variant, record.status.value)
        durations = self.runs.get(key)
        if durations is None:
            durations = self.runs[key] = Durations()
        durations.add(record.duration_ns)
        for block in record.blocks:
            self._add_block(record.algorithm, block)

    def _add_block(self, algorithm: str, block: BlockRecord) -> None:
        key = (algorithm, block.node, block.kind, block.status.value)
        durations = self.blocks.get(key)
        if durations is None:
            durations = self.blocks[key] = Durations()
        durations.add(block.duration_ns)
        if len(block.attempts) > 1:
            tries = (algorithm, block.node, block.kind)
            self.attempts[tries] = self.attempts.get(tries, 0) + len(block.attempts) - 1
        for child in block.children:
            for inner in child.blocks:
                self._add_block(child.algorithm, inner)


__all__ = ["BOUNDS", "Durations", "RunTotals"]
