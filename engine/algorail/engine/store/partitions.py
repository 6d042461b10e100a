"""Which day a run belongs to: the one inside its id, so that writing it again finds the same place."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from algorail.engine.kit.ids import id_time_ns
from algorail.engine.record.store import RunHead

_DAY_NS = 86_400 * 1_000_000_000


def day_of(time_ns: int) -> str:
    """The UTC day of a time, as `YYYY-MM-DD`."""
    return _day_text(time_ns // _DAY_NS)


@lru_cache(maxsize=64)
def _day_text(days: int) -> str:
    """A day by its distance from the epoch; every run asks, and nearly all ask for today."""
    return datetime.fromtimestamp(days * 86_400, UTC).strftime("%Y-%m-%d")


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
