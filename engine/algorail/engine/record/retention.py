"""Retention: whole days are dropped, never single runs.

A day holds runs of every algorithm, so it stays as long as the longest wish for it: the operator's default,
or `record.days` of any live algorithm if that is longer. A shorter wish of one algorithm cannot make a shared
day go earlier; who must not keep some data keeps it out of the record (`record` of the node, or a sensitive
type).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.record.store import RecordStore

DEFAULT_DAYS = 30


def days_kept(default: int, wishes: Iterable[int | None] = ()) -> int:
    """Days to keep: the longest of the operator's default and the algorithms' own wishes.

    >>> days_kept(30, [7, None, 90])
    90
    """
    return max([default, *(days for days in wishes if days is not None)])


def expired(partitions: Sequence[str], days: int, clock: Clock = SYSTEM_CLOCK) -> Sequence[str]:
    """The partitions that are older than `days` full days; today and the future are never among them."""
    today = datetime.fromtimestamp(clock.now_ns() / 1e9, UTC).date()
    oldest_kept = (today - timedelta(days=max(days, 0))).isoformat()
    return [day for day in partitions if day < oldest_kept]


def drop_expired(store: RecordStore, days: int, clock: Clock = SYSTEM_CLOCK) -> Sequence[str]:
    """Drop what is older than `days` days, oldest first; returns the days dropped."""
    old = expired(store.partitions(), days, clock)
    for day in old:
        store.drop_partition(day)
    return old


__all__ = ["DEFAULT_DAYS", "days_kept", "drop_expired", "expired"]
