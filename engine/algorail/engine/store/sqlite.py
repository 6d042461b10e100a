"""The record in SQLite: one WAL file per UTC day, so that dropping a day is removing a file.

Several processes may write and read at once. A commit returns after fsync (`synchronous=FULL`). See
docs/adr/0007-record-store.md for why files and not tables.
"""

# ruff: noqa: S608 - names are constants of this package, values are always parameters

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from algorail.engine.kit.errors import NotFound
from algorail.engine.record.store import EncodedRun, RunFilter, RunHead
from algorail.engine.store.day_files import DayFiles
from algorail.engine.store.failures import storage_error
from algorail.engine.store.heads import COLUMNS, NUMBERS, conditions, days_of_filter, head_of, no_run
from algorail.engine.store.partitions import day_of_id, partition_of

_HEAD = ", ".join(COLUMNS)
_TYPED = ", ".join(f"{name} {'INTEGER' if name in NUMBERS else 'TEXT'} NOT NULL" for name in COLUMNS[1:])
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS run (run_id TEXT PRIMARY KEY NOT NULL, {_TYPED}, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS run_by_algorithm ON run (algorithm, run_id);
CREATE TABLE IF NOT EXISTS value (digest TEXT PRIMARY KEY NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
"""
_WRITE = f"INSERT OR REPLACE INTO run VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
_WRITE_VALUE = "INSERT OR IGNORE INTO value VALUES (?, ?)"


class SqliteRecordStore:
    """Runs in files `YYYY-MM-DD.db` of a folder.

    Args:
        folder: Made if it is missing.
        busy_timeout: Seconds that a writer waits for another process.
        max_pages: Largest size of a day in pages of 16 KiB, None for no limit.
    """

    def __init__(self, folder: Path, *, busy_timeout: float = 2.0, max_pages: int | None = None) -> None:
        self._files = DayFiles(
            folder, schema=_SCHEMA, marker="value", busy_timeout=busy_timeout, max_pages=max_pages
        )

    def write(self, batch: Sequence[EncodedRun]) -> None:
        """Commit the batch, day by day; see `RecordStore.write`."""
        days: dict[str, list[EncodedRun]] = {}
        for run in batch:
            days.setdefault(partition_of(run.head), []).append(run)
        for day, runs in sorted(days.items()):
            values = [value for run in runs for value in run.values]
            with _translated(), self._files.writing(day) as connection:
                connection.executemany(_WRITE, [(*run.head, run.body) for run in runs])
                if values:
                    connection.executemany(_WRITE_VALUE, values)

    def head(self, run_id: str) -> RunHead:
        """The row of a run. Raises `NotFound`."""
        row = self._find(f"SELECT {_HEAD} FROM run WHERE run_id = ?", run_id, self._days_of(run_id))
        if row is None:
            raise no_run(run_id)
        return head_of(row)

    def read(self, run_id: str) -> EncodedRun:
        """A run with its body. Raises `NotFound`."""
        row = self._find(f"SELECT {_HEAD}, body FROM run WHERE run_id = ?", run_id, self._days_of(run_id))
        if row is None:
            raise no_run(run_id)
        return EncodedRun(head_of(row[:-1]), row[-1])

    def value(self, digest: str) -> bytes:
        """A value kept apart, of any day. Raises `NotFound`."""
        row = self._find("SELECT data FROM value WHERE digest = ?", digest, self._files.days()[::-1])
        if row is None:
            raise NotFound(
                f"the record has no value {digest!r}; its day may be dropped", code="value-not-found"
            )
        return bytes(row[0])

    def list(self, where: RunFilter) -> Sequence[RunHead]:
        """A page of runs, newest first (by id, which begins with the time)."""
        clause, parameters = conditions(where, "?")
        query = f"SELECT {_HEAD} FROM run WHERE {clause} ORDER BY run_id DESC LIMIT ?"
        found: list[RunHead] = []
        for day in days_of_filter(self._files.days(), where):
            with _translated(), self._files.reading(day) as connection:
                if connection is not None:
                    rows = connection.execute(query, (*parameters, where.limit - len(found)))
                    found.extend(map(head_of, rows))
            if len(found) >= where.limit:
                break
        return found

    def partitions(self) -> Sequence[str]:
        """Days held, oldest first."""
        return self._files.days()

    def drop_partition(self, day: str) -> None:
        """Remove a day's file. Raises `NotFound`."""
        if not self._files.drop(day):
            raise NotFound(f"the record holds no day {day!r}", code="partition-not-found")

    def size_bytes(self) -> int:
        """Bytes of all files, write-ahead logs included."""
        return self._files.size_bytes()

    def close(self) -> None:
        """Close every file."""
        self._files.close()

    def _days_of(self, run_id: str) -> Sequence[str]:
        """The day inside the id, or every day for an id of another make."""
        day = day_of_id(run_id)
        return [day] if day else self._files.days()[::-1]

    def _find(self, query: str, key: str, days: Sequence[str]) -> tuple[Any, ...] | None:
        for day in days:
            with _translated(), self._files.reading(day) as connection:
                row = None if connection is None else connection.execute(query, (key,)).fetchone()
            if row is not None:
                return tuple(row)
        return None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise storage_error(error) from error


__all__ = ["SqliteRecordStore"]
