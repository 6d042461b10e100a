"""The record store's Protocol: what every place that keeps runs must do (see `store.conformance`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class RunHead(NamedTuple):
    """The searchable row of a run; a tuple, because every run makes one and stores write it as it is."""

    run_id: str
    algorithm: str
    version: int
    plan_hash: str
    status: str
    started_ns: int
    duration_ns: int
    alias: str = ""
    variant: str = ""
    reason: str = ""
    unit: str = ""
    error_code: str = ""
    trace_id: str = ""
    source_run: str = ""


@dataclass(frozen=True, slots=True)
class EncodedRun:
    """A run ready to be written, or read.

    Attributes:
        head: Its row.
        body: Its compressed block records.
        values: (content hash, compressed bytes) of values kept apart.
        unpacked: Bytes of body and values before they were compressed, where they are known.
    """

    head: RunHead
    body: bytes
    values: tuple[tuple[str, bytes], ...] = ()
    unpacked: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list, newest first; empty fields do not filter."""

    algorithm: str = ""
    version: int | None = None
    status: str = ""
    alias: str = ""
    variant: str = ""
    unit: str = ""
    masked_unit: str = ""
    """What stands in the row if the unit is sensitive; such runs are found as well as those of `unit`."""
    since_ns: int | None = None
    until_ns: int | None = None
    cursor: str = ""
    """Run id after which the page starts."""
    limit: int = 50


class RecordStore(Protocol):
    """Keeps runs. Blocking; called from the writer's thread or a pool, never from the event loop."""

    def write(self, batch: Sequence[EncodedRun]) -> None:
        """Commit the batch; when it returns, all of it is on disk. Writing a run id again replaces it.

        A store may commit day by day: after an error the whole batch is simply written again.

        Raises:
            Unavailable: If the store cannot commit (locked, full, away); the batch may be tried again.
        """
        ...

    def head(self, run_id: str) -> RunHead:
        """The row of a run. Raises `NotFound`."""
        ...

    def read(self, run_id: str) -> EncodedRun:
        """A run with its body (values apart are read by `value`). Raises `NotFound`."""
        ...

    def value(self, digest: str) -> bytes:
        """A value kept apart. Raises `NotFound`."""
        ...

    def list(self, where: RunFilter) -> Sequence[RunHead]:
        """A page of runs, newest first."""
        ...

    def partitions(self) -> Sequence[str]:
        """Days held, oldest first, as `YYYY-MM-DD` (UTC)."""
        ...

    def drop_partition(self, day: str) -> None:
        """Delete a day at once."""
        ...

    def size_bytes(self) -> int:
        """Bytes held on disk."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


__all__ = ["EncodedRun", "RecordStore", "RunFilter", "RunHead"]
