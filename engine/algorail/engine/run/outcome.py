"""What a run leaves behind: plain objects that the record encodes and the API shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"
    NEEDS_ATTENTION = "needs_attention"


class NodeStatus(StrEnum):
    """How a node's value came about."""

    OK = "ok"
    FAILED = "failed"
    FALLBACK = "fallback"
    CACHED = "cached"
    PINNED = "pinned"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error as it is recorded: no secrets, no traceback of the host."""

    code: str
    message: str
    node: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a node; times in nanoseconds from the start of the run."""

    start_ns: int
    duration_ns: int
    error: ErrorInfo | None = None


@dataclass(slots=True)
class BlockRecord:
    """One node of one run. A node that no taken branch needed has no record.

    `inputs` is what the block received, by port; the writer may drop it when it follows from the plan
    and the other records, and readers restore it.
    """

    node: str
    kind: str
    status: NodeStatus
    start_ns: int
    duration_ns: int
    output: Any = None
    inputs: dict[str, Any] | None = None
    error: ErrorInfo | None = None
    attempts: list[Attempt] = field(default_factory=list)
    children: list[RunRecord] = field(default_factory=list)
    """Runs of sub-algorithms (`sub_algorithm`, and one an item for `each` over one)."""


@dataclass(slots=True)
class RunRecord:
    """One execution of one version of an algorithm.

    Attributes:
        started_ns: Wall clock, nanoseconds since the epoch.
        reason: Why this version answered: `pinned`, `alias`, `split`, `draft`, `replay`, `partial`.
        source_run: The run that was replayed or continued, empty otherwise.
        labels: Whatever else is known of it; of a run whose version a split chose, `split.epoch` (which
            state of the split) and `split.propensity` (the chance of this variant for such a unit).
    """

    run_id: str
    algorithm: str
    version: int
    plan_hash: str
    status: RunStatus
    started_ns: int
    duration_ns: int
    inputs: dict[str, Any]
    output: Any = None
    error: ErrorInfo | None = None
    blocks: list[BlockRecord] = field(default_factory=list)
    alias: str = ""
    variant: str = ""
    reason: str = ""
    unit: str = ""
    source_run: str = ""
    trace_id: str = ""
    labels: dict[str, str] = field(default_factory=dict)
