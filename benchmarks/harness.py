"""Measuring: a floor and its rivals, interleaved in one process, as ratios of medians.

A suite is a module `benchmarks/suite_NAME.py` with a docstring and

    async def suite(bench: Bench) -> None:
        await bench.compare("chain of 6", floor=Case("by hand", by_hand), cases=[Case("engine", run)])
        bench.fact("compile", "200 nodes", 31.0, unit="ms", budget=50.0)

It knows nothing of what is measured. A benchmark is never a test: budgets are shown, not asserted.
"""

from __future__ import annotations

import inspect
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

ROUNDS = 7
"""Samples per case; the median of at least five is what is reported."""
SAMPLE_SECONDS = 0.05
"""Wall time that one sample of the floor should take; enough to drown the timer's own cost."""


@dataclass(frozen=True, slots=True)
class Case:
    """Something to time: `call()` is one unit of work, sync or async.

    Attributes:
        budget: Largest ratio to the floor that is still good; None shows no verdict.
        units: Units of work in one call (1,000 concurrent runs are 1,000), for the time per unit.
    """

    name: str
    call: Callable[[], Awaitable[Any]] | Callable[[], Any]
    budget: float | None = None
    units: int = 1


@dataclass(frozen=True, slots=True)
class Timing:
    """What a case took, per unit of work: medians over the rounds, microseconds."""

    name: str
    wall_us: float
    cpu_us: float
    ratio: float
    """Median over the rounds of this case's time by that of the floor in the same round."""
    budget: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A floor and its rivals."""

    title: str
    by: str
    timings: tuple[Timing, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """A single figure, such as a size, a count or a latency; `better` says which way is good."""

    title: str
    name: str
    value: float
    unit: str
    budget: float | None = None
    better: Literal["lower", "higher"] = "lower"

    @property
    def good(self) -> bool | None:
        """Whether it is within its budget; None if it has none."""
        if self.budget is None:
            return None
        return self.value <= self.budget if self.better == "lower" else self.value >= self.budget


@dataclass(slots=True)
class Bench:
    """Collects the figures of one suite.

    Attributes:
        peers: Whether to measure other libraries too, where they are installed.
        rounds: Samples per case.
    """

    peers: bool = False
    rounds: int = ROUNDS
    comparisons: list[Comparison] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    async def compare(
        self,
        title: str,
        *,
        floor: Case,
        cases: Sequence[Case],
        by: Literal["cpu", "wall"] = "cpu",
        calls: int | None = None,
    ) -> Comparison:
        """Time the floor and every case in turn, round by round.

        Args:
            by: What the ratio is of: CPU time of the process, or wall time (for what waits).
            calls: Calls in one sample; by default as many as fill `SAMPLE_SECONDS` of the floor.
        """
        everyone = [floor, *cases]
        counts = [calls or await _calls_for(case) for case in everyone]
        samples: list[list[tuple[float, float]]] = [[] for _ in everyone]
        for _ in range(self.rounds):
            for case, count, kept in zip(everyone, counts, samples, strict=True):
                kept.append(await _sample(case, count))
        index = 1 if by == "cpu" else 0
        timings = []
        for case, kept in zip(everyone, samples, strict=True):
            ratios = [
                mine[index] / max(base[index], 1e-9) for mine, base in zip(kept, samples[0], strict=True)
            ]
            walls, cpus = zip(*kept, strict=True)
            timings.append(
                Timing(
                    case.name,
                    statistics.median(walls) * 1e6,
                    statistics.median(cpus) * 1e6,
                    statistics.median(ratios),
                    case.budget,
                )
            )
        comparison = Comparison(title, by, tuple(timings))
        self.comparisons.append(comparison)
        return comparison

    def fact(
        self,
        title: str,
        name: str,
        value: float,
        *,
        unit: str,
        budget: float | None = None,
        better: Literal["lower", "higher"] = "lower",
    ) -> None:
        """Note a figure that is measured in the suite's own way."""
        self.facts.append(Fact(title, name, value, unit, budget, better))

    def as_dict(self, packages: Sequence[str]) -> dict[str, Any]:
        """Everything, with the versions that made it, ready for JSON."""
        return {
            "machine": machine(),
            "packages": versions(packages),
            "rounds": self.rounds,
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
            "facts": [asdict(fact) for fact in self.facts],
        }


def machine() -> dict[str, Any]:
    """What ran it, without names or paths."""
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


async def _calls_for(case: Case) -> int:
    await _once(case)
    started, calls = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < SAMPLE_SECONDS / 5:
        await _once(case)
        calls += 1
    return max(1, round(calls * SAMPLE_SECONDS / elapsed))


async def _once(case: Case) -> None:
    result = case.call()
    if inspect.isawaitable(result):
        await result


async def _sample(case: Case, calls: int) -> tuple[float, float]:
    """Wall and CPU seconds per unit of work."""
    call = case.call
    is_async = inspect.isawaitable(first := call())
    if is_async:
        await first
    wall, cpu = time.perf_counter(), time.process_time()
    if is_async:
        for _ in range(calls):
            await call()
    else:
        for _ in range(calls):
            call()
    units = calls * case.units
    return (time.perf_counter() - wall) / units, (time.process_time() - cpu) / units
