"""Several processes and stores on one record, and servers that go away."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from algorail.engine.kit.errors import Unavailable
from algorail.engine.record.store import RunFilter
from algorail.engine.store.conformance import NOON_NS, run_at
from algorail.engine.store.postgres import PostgresRecordStore
from algorail.engine.store.sqlite import SqliteRecordStore

_WRITER = """
import sys
from pathlib import Path
from algorail.engine.store.conformance import NOON_NS, run_at
from algorail.engine.store.sqlite import SqliteRecordStore
store = SqliteRecordStore(Path(sys.argv[1]), busy_timeout=20)
for number in range(20):
    store.write([run_at(NOON_NS + number * 10**6, algorithm=sys.argv[2]) for _ in range(5)])
store.close()
"""


def test_processes_write_one_day_at_once(tmp_path):
    command = [sys.executable, "-W", "error", "-c", _WRITER, str(tmp_path)]
    children = [subprocess.Popen([*command, name]) for name in ("one", "two")]
    assert [child.wait(60) for child in children] == [0, 0]
    store = SqliteRecordStore(tmp_path)
    for name in ("one", "two"):
        assert len(store.list(RunFilter(algorithm=name, limit=1_000))) == 100
    store.close()


def test_a_day_that_another_process_dropped_is_begun_again(tmp_path):
    mine, other = SqliteRecordStore(tmp_path), SqliteRecordStore(tmp_path)
    mine.write([run_at()])
    assert len(mine.list(RunFilter())) == 1
    other.drop_partition("2026-11-23")
    assert list(mine.list(RunFilter())) == []
    run = run_at()
    mine.write([run])
    assert [head.run_id for head in other.list(RunFilter())] == [run.head.run_id]
    mine.close()
    other.close()


def test_a_damaged_file_is_said(tmp_path):
    (tmp_path / "2026-11-23.db").write_bytes(b"not a database" * 1_000)
    store = SqliteRecordStore(tmp_path)
    with pytest.raises(Unavailable):
        store.write([run_at()])
    with pytest.raises(Unavailable):
        store.list(RunFilter())
    store.close()


def test_postgres_days_are_made_once_by_many_writers(postgres_database):
    stores = [PostgresRecordStore(postgres_database) for _ in range(3)]
    failed = []
    barrier = threading.Barrier(3)

    def work(store):
        barrier.wait()
        try:
            for number in range(5):
                store.write([run_at(NOON_NS + number * 10**6)])
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(stores[0].list(RunFilter())) == 15
    for store in stores:
        store.close()


def test_postgres_day_dropped_elsewhere_is_retried_and_begun_again(postgres_database):
    mine, other = PostgresRecordStore(postgres_database), PostgresRecordStore(postgres_database)
    mine.write([run_at()])
    other.drop_partition("2026-11-23")
    with pytest.raises(Unavailable) as caught:
        mine.write([run_at()])
    assert caught.value.retryable
    mine.write([run_at()])
    assert len(other.list(RunFilter())) == 1
    mine.close()
    other.close()


def test_postgres_that_cuts_connections_is_unavailable_once(postgres_database):
    store, other = PostgresRecordStore(postgres_database), PostgresRecordStore(postgres_database)
    store.write([run_at()])
    with other._connection() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(Unavailable):
        store.write([run_at()])
    store.write([run_at()])
    store.close()
    other.close()


def test_postgres_that_is_away_is_unavailable(tmp_path):
    with pytest.raises(Unavailable):
        PostgresRecordStore(f"postgresql://nobody@/none?host={tmp_path}")
