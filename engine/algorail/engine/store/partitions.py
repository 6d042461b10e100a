"""Which day a run belongs to: the one inside its id, so that writing it again finds the same place."""

from __future__ import annotations

from datetime import UTC, datetime

from algorail.engine.kit.ids import id_time_ns
from algorail.engine.record.store import RunHead


def day_of(time_ns: int) -> str:
    """The UTC day of a time, as `YYYY-MM-DD`."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d")


def day_of_id(run_id: str) -> str:
    """The day inside a run id, empty if the id was not made by `kit.ids.new_id`."""
    try:
        return day_of(id_time_ns(run_id))
    except (ValueError, OverflowError, OSError):
        return ""


def partition_of(head: RunHead) -> str:
    """The partition that holds a run."""
    return day_of_id(head.run_id) or day_of(head.started_ns)


def is_day(text: str) -> bool:
    """Whether a text names a partition."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).strftime("%Y-%m-%d") == text
    except ValueError:
        return False


__all__ = ["day_of", "day_of_id", "is_day", "partition_of"]
