"""Only whole old days go, oldest first."""

from __future__ import annotations

from algorail.engine.record.retention import days_kept, drop_expired, expired
from algorail.engine.store.conformance import DAY_NS, NOON_NS, run_at
from algorail.engine.store.sqlite import SqliteRecordStore


class FixedClock:
    def __init__(self, now_ns):
        self._now_ns = now_ns

    def now_ns(self):
        return self._now_ns

    def monotonic(self):
        return self._now_ns / 1e9


def test_old_days_go_and_the_rest_stays(tmp_path):
    store = SqliteRecordStore(tmp_path)
    store.write([run_at(NOON_NS - age * DAY_NS) for age in range(6)])
    assert drop_expired(store, 2, FixedClock(NOON_NS)) == ["2026-11-18", "2026-11-19", "2026-11-20"]
    assert store.partitions() == ["2026-11-21", "2026-11-22", "2026-11-23"]
    store.close()


def test_today_and_the_future_never_expire():
    days = ["2026-11-22", "2026-11-23", "2027-01-01"]
    assert expired(days, 0, FixedClock(NOON_NS)) == ["2026-11-22"]
    assert expired(days, -5, FixedClock(NOON_NS)) == ["2026-11-22"]


def test_the_longest_wish_counts():
    assert days_kept(30) == 30
    assert days_kept(30, [None, 7]) == 30
    assert days_kept(30, [None, 90, 7]) == 90
