"""What every `RecordStore` must do, as tests to inherit.

    class TestMyStore(RecordStoreConformance):
        @pytest.fixture
        def store(self, tmp_path):
            store = MyStore(tmp_path)
            yield store
            store.close()

It needs pytest to run and nothing of the stores it tests.
"""

# ruff: noqa: S101, D102 - these are tests, and their names say what they test

from __future__ import annotations

import threading
from typing import Any

from algorail.engine.kit.errors import NotFound
from algorail.engine.kit.ids import new_id
from algorail.engine.record.store import EncodedRun, RecordStore, RunFilter, RunHead

DAY_NS = 24 * 3600 * 1_000_000_000
NOON_NS = 1_795_435_200_000_000_000
"""2026-11-23 12:00 UTC."""


def run_at(started_ns: int = NOON_NS, *, body: bytes = b"body", **head: Any) -> EncodedRun:
    """A run for tests, with an id of its start."""
    values = head.pop("values", ())
    known = {"run_id": new_id("run", now_ns=started_ns), "algorithm": "faq", "version": 1, "plan_hash": "h"}
    known |= {"status": "succeeded", "started_ns": started_ns, "duration_ns": 1_000}
    return EncodedRun(RunHead(**{**known, **head}), body, values)


def _missing(read: Any, *arguments: Any) -> bool:
    try:
        read(*arguments)
    except NotFound:
        return True
    return False


class RecordStoreConformance:
    """Inherit, and give a fixture `store` with an empty store."""

    def test_what_was_written_is_read_back(self, store: RecordStore) -> None:
        run = run_at(alias="prod", variant="b", unit="u-1", trace_id="t", reason="split", error_code="x")
        store.write([run])
        assert store.head(run.head.run_id) == run.head
        assert store.read(run.head.run_id).body == run.body

    def test_any_bytes_and_texts_survive(self, store: RecordStore) -> None:
        run = run_at(body=bytes(range(256)) * 300, unit="Zoë ✓ '; DROP TABLE run; --")
        store.write([run])
        assert store.read(run.head.run_id).body == run.body
        assert [head.unit for head in store.list(RunFilter(unit=run.head.unit))] == [run.head.unit]

    def test_writing_again_replaces(self, store: RecordStore) -> None:
        first, other = run_at(), run_at(NOON_NS + 1_000_000)
        store.write([first])
        again = run_at(body=b"new", run_id=first.head.run_id, status="failed")
        store.write([other, again])
        assert store.read(first.head.run_id) == EncodedRun(again.head, b"new")
        assert len(store.list(RunFilter())) == 2

    def test_an_empty_batch_is_nothing(self, store: RecordStore) -> None:
        store.write([])
        assert list(store.list(RunFilter())) == []
        assert list(store.partitions()) == []

    def test_what_is_not_there_is_not_found(self, store: RecordStore) -> None:
        unknown = new_id("run", now_ns=NOON_NS)
        assert _missing(store.head, unknown)
        assert _missing(store.read, unknown)
        assert _missing(store.read, "run_of_another_make")
        assert _missing(store.value, "0" * 32)
        assert _missing(store.drop_partition, "2026-01-01")
        assert _missing(store.drop_partition, "../2026-01-01")

    def test_values_are_shared(self, store: RecordStore) -> None:
        value = ("d" * 32, b"large")
        store.write([run_at(values=(value,)), run_at(values=(value,))])
        store.write([run_at(values=(value, ("e" * 32, b"other")))])
        assert store.value("d" * 32) == b"large"
        assert store.value("e" * 32) == b"other"

    def test_pages_come_newest_first_over_days(self, store: RecordStore) -> None:
        runs = [run_at(NOON_NS + day * DAY_NS + second * 10**9) for day in range(3) for second in range(4)]
        store.write(runs[6:])
        store.write(runs[:6])
        seen: list[str] = []
        while page := store.list(RunFilter(limit=5, cursor=seen[-1] if seen else "")):
            seen += [head.run_id for head in page]
        assert seen == [run.head.run_id for run in reversed(runs)]

    def test_every_filter_filters(self, store: RecordStore) -> None:
        wanted = run_at(algorithm="a", version=2, status="failed", alias="prod", variant="b", unit="u")
        decoys: list[dict[str, Any]] = [
            {"algorithm": "b"},
            {"version": 3},
            {"status": "ok"},
            {"alias": "x"},
            {"variant": "c"},
            {"unit": "v"},
        ]
        same: dict[str, Any] = {
            "algorithm": "a",
            "version": 2,
            "status": "failed",
            "alias": "prod",
            "variant": "b",
            "unit": "u",
        }
        store.write([wanted, *(run_at(**{**same, **decoy}) for decoy in decoys)])
        for name, value in same.items():
            found = store.list(RunFilter(**{name: value}))
            assert wanted.head in found
            assert len(found) == len(decoys), name
        assert list(store.list(RunFilter(**same))) == [wanted.head]

    def test_a_unit_is_found_as_it_is_and_masked(self, store: RecordStore) -> None:
        open_, masked, other = (run_at(unit=unit) for unit in ("ada", "masked:1f", "masked:2e"))
        store.write([open_, masked, other])
        found = store.list(RunFilter(unit="ada", masked_unit="masked:1f"))
        assert {head.run_id for head in found} == {open_.head.run_id, masked.head.run_id}
        assert list(store.list(RunFilter(unit="ada"))) == [open_.head]

    def test_times_filter_half_open(self, store: RecordStore) -> None:
        runs = [run_at(NOON_NS + hours * 3600 * 10**9) for hours in (0, 10, 20, 30)]
        store.write(runs)
        found = store.list(RunFilter(since_ns=runs[1].head.started_ns, until_ns=runs[3].head.started_ns))
        assert list(found) == [runs[2].head, runs[1].head]

    def test_dropping_a_day_frees_runs_and_values(self, store: RecordStore) -> None:
        old = run_at(NOON_NS - DAY_NS, values=(("a" * 32, b"old"), ("b" * 32, b"both")))
        new = run_at(values=(("b" * 32, b"both"),))
        store.write([old, new])
        assert list(store.partitions()) == ["2026-11-22", "2026-11-23"]
        store.drop_partition("2026-11-22")
        assert list(store.partitions()) == ["2026-11-23"]
        assert _missing(store.head, old.head.run_id)
        assert _missing(store.value, "a" * 32)
        assert store.value("b" * 32) == b"both"
        assert [head.run_id for head in store.list(RunFilter())] == [new.head.run_id]

    def test_a_dropped_day_can_be_written_again(self, store: RecordStore) -> None:
        run = run_at()
        store.write([run])
        store.drop_partition("2026-11-23")
        store.write([run])
        assert store.head(run.head.run_id) == run.head

    def test_size_grows(self, store: RecordStore) -> None:
        before = store.size_bytes()
        store.write([run_at(body=bytes(range(256)) * 4_000)])
        assert store.size_bytes() > before + 500_000

    def test_readers_see_whole_batches_while_writers_write(self, store: RecordStore) -> None:
        done = threading.Event()
        counts: list[int] = []

        def read() -> None:
            while not done.is_set():
                counts.append(len(store.list(RunFilter(limit=1_000))))

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        try:
            for batch in range(8):
                store.write([run_at(NOON_NS + batch * 10**9 + n * 10**6) for n in range(10)])
        finally:
            done.set()
            for reader in readers:
                reader.join()
        assert len(store.list(RunFilter(limit=1_000))) == 80
        assert all(count % 10 == 0 for count in counts)


__all__ = ["DAY_NS", "NOON_NS", "RecordStoreConformance", "run_at"]
