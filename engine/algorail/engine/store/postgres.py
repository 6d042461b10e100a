"""The record in PostgreSQL: binary COPY into tables by UTC day, so that dropping a day is DROP TABLE.

Bodies are compressed before they come here, so the column is EXTERNAL: the server's own compression would
only cost time. The tables are the store's own (`engine_record_…`), outside the Alembic history: partitions
come and go.
"""

# ruff: noqa: S608 - names are constants of this package or checked days, values are always parameters

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from queue import Empty, LifoQueue
from typing import Any

import psycopg
from psycopg import Connection, errors, sql

from algorail.engine.kit.errors import NotFound
from algorail.engine.record.store import EncodedRun, RunFilter, RunHead
from algorail.engine.store.failures import storage_error
from algorail.engine.store.heads import COLUMNS, NUMBERS, conditions, head_of, no_run
from algorail.engine.store.partitions import day_of_id, is_day, partition_of

RUNS = "engine_record_run"
VALUES = "engine_record_value"
_LOCK = 0x616C68  # any number that nobody else uses as a PostgreSQL advisory lock
_HEAD = ", ".join(COLUMNS)
_TYPED = ", ".join(f"{name} {'bigint' if name in NUMBERS else 'text'} NOT NULL" for name in COLUMNS)
_TYPES = ["text", *("int8" if name in NUMBERS else "text" for name in COLUMNS), "bytea"]
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS {RUNS} (
    day text NOT NULL, {_TYPED}, body bytea NOT NULL, PRIMARY KEY (run_id, day)
) PARTITION BY LIST (day);
CREATE INDEX IF NOT EXISTS {RUNS}_by_algorithm ON {RUNS} (algorithm, run_id);
CREATE TABLE IF NOT EXISTS {VALUES} (
    day text NOT NULL, digest text NOT NULL, data bytea NOT NULL, PRIMARY KEY (digest, day)
) PARTITION BY LIST (day);
ALTER TABLE {RUNS} ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE {VALUES} ALTER COLUMN data SET STORAGE EXTERNAL;
"""
_COPY = f"COPY {{table}} (day, {_HEAD}, body) FROM STDIN (FORMAT BINARY)"
_MERGE = f"""
INSERT INTO {RUNS} SELECT * FROM incoming ON CONFLICT (run_id, day)
DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in (*COLUMNS[1:], "body"))}
"""


class PostgresRecordStore:
    """Runs in a PostgreSQL database.

    Args:
        url: A `postgresql://` address.
        statement_timeout: Seconds after which the server gives a statement up.
    """

    def __init__(self, url: str, *, statement_timeout: float = 10.0) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._settings = f"-c statement_timeout={int(statement_timeout * 1000)} -c synchronous_commit=on"
        self._idle: LifoQueue[Connection[Any]] = LifoQueue()
        self._days: set[str] = set()
        self._lock = threading.Lock()
        with self._connection() as connection:
            connection.execute(sql.SQL("SELECT pg_advisory_xact_lock({})").format(_LOCK))
            if not _exists(connection, VALUES):
                connection.execute(_SCHEMA)

    def write(self, batch: Sequence[EncodedRun]) -> None:
        """Commit the batch in one transaction; see `RecordStore.write`."""
        rows = {run.head.run_id: (partition_of(run.head), run) for run in batch}
        ordered = sorted(rows.values(), key=lambda pair: (pair[0], pair[1].head.run_id))
        for day, _ in groupby(ordered, key=lambda pair: pair[0]):
            self._ensure_day(day)
        try:
            self._write(ordered, merge=False)
        except _KnownRun:
            self._write(ordered, merge=True)

    def head(self, run_id: str) -> RunHead:
        """The row of a run. Raises `NotFound`."""
        return head_of(self._one(_HEAD, run_id))

    def read(self, run_id: str) -> EncodedRun:
        """A run with its body. Raises `NotFound`."""
        row = self._one(f"{_HEAD}, body", run_id)
        return EncodedRun(head_of(row[:-1]), bytes(row[-1]))

    def value(self, digest: str) -> bytes:
        """A value kept apart, of any day. Raises `NotFound`."""
        with self._connection() as connection:
            query = f"SELECT data FROM {VALUES} WHERE digest = %s LIMIT 1"
            row = connection.execute(query.encode(), (digest,)).fetchone()
        if row is None:
            raise NotFound(
                f"the record has no value {digest!r}; its day may be dropped", code="value-not-found"
            )
        return bytes(row[0])

    def list(self, where: RunFilter) -> Sequence[RunHead]:
        """A page of runs, newest first (by id, which begins with the time)."""
        clause, parameters = conditions(where, "%s")
        query = f"SELECT {_HEAD} FROM {RUNS} WHERE {clause} ORDER BY run_id DESC LIMIT %s"
        with self._connection() as connection:
            rows = connection.execute(query.encode(), (*parameters, where.limit)).fetchall()
        return [head_of(row) for row in rows]

    def partitions(self) -> Sequence[str]:
        """Days held, oldest first."""
        query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass"
        with self._connection() as connection:
            names = [str(name) for (name,) in connection.execute(query, (RUNS,)).fetchall()]
        return sorted(name.removeprefix(f"{RUNS}_").replace("_", "-") for name in names)

    def drop_partition(self, day: str) -> None:
        """Drop a day's tables. Raises `NotFound`."""
        if not is_day(day) or day not in self.partitions():
            raise NotFound(f"the record holds no day {day!r}", code="partition-not-found")
        with self._lock, self._connection() as connection:
            self._days.discard(day)
            for parent in (RUNS, VALUES):
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_part(parent, day)))

    def size_bytes(self) -> int:
        """Bytes of all partitions, with their indexes."""
        query = (
            "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint "
            "FROM pg_inherits WHERE inhparent = ANY(%s::regclass[])"
        )
        with self._connection() as connection:
            row = connection.execute(query, ([RUNS, VALUES],)).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Close every idle connection."""
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return

    def _write(self, rows: Sequence[tuple[str, EncodedRun]], *, merge: bool) -> None:
        with self._connection() as connection:
            table = "incoming" if merge else RUNS
            if merge:
                connection.execute(f"CREATE TEMP TABLE incoming (LIKE {RUNS}) ON COMMIT DROP".encode())
            with connection.cursor() as cursor, cursor.copy(_COPY.format(table=table).encode()) as copy:
                copy.set_types(_TYPES)
                for day, run in rows:
                    copy.write_row((day, *run.head, run.body))
            if merge:
                connection.execute(_MERGE.encode())
            values = {(day, digest): data for day, run in rows for digest, data in run.values}
            if values:
                with connection.cursor() as cursor:
                    query = f"INSERT INTO {VALUES} VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
                    ordered = sorted(values.items())
                    cursor.executemany(query.encode(), [(*key, data) for key, data in ordered])

    def _one(self, columns: str, run_id: str) -> tuple[Any, ...]:
        day = day_of_id(run_id)
        narrowed, parameters = (" AND day = %s", (run_id, day)) if day else ("", (run_id,))
        with self._connection() as connection:
            query = f"SELECT {columns} FROM {RUNS} WHERE run_id = %s{narrowed}"
            row = connection.execute(query.encode(), parameters).fetchone()
        if row is None:
            raise no_run(run_id)
        return tuple(row)

    def _ensure_day(self, day: str) -> None:
        """Make a day's partitions beside the parents and attach them, which does not stop other writers."""
        with self._lock:
            if day in self._days:
                return
            with self._connection() as connection:
                connection.execute(sql.SQL("SELECT pg_advisory_xact_lock({})").format(_LOCK))
                for parent in (RUNS, VALUES):
                    if not _exists(connection, _name(parent, day)):
                        _attach(connection, parent, day)
            self._days.add(day)

    @contextmanager
    def _connection(self) -> Iterator[Connection[Any]]:
        """A connection in a transaction that is committed at the end."""
        try:
            connection = self._open()
            try:
                with connection.transaction():
                    yield connection
            except BaseException:
                connection.close()
                raise
            self._idle.put(connection)
        except errors.UniqueViolation as error:
            raise _KnownRun from error
        except errors.CheckViolation as error:  # no partition: another process has dropped the day
            self._days.clear()
            raise storage_error(error) from error
        except psycopg.Error as error:
            raise storage_error(error) from error

    def _open(self) -> Connection[Any]:
        while True:
            try:
                connection = self._idle.get_nowait()
            except Empty:
                return psycopg.connect(
                    self._url,
                    autocommit=True,
                    connect_timeout=5,
                    options=self._settings,
                    tcp_user_timeout=10_000,
                )
            if not connection.closed and not connection.broken:
                return connection


class _KnownRun(Exception):  # a turn in the flow, not an error
    """A run id of the batch is on record already."""


def _name(parent: str, day: str) -> str:
    return f"{parent}_{day.replace('-', '_')}"


def _part(parent: str, day: str) -> sql.Identifier:
    return sql.Identifier(_name(parent, day))


def _exists(connection: Connection[Any], table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
    return row is not None and row[0] is not None


def _attach(connection: Connection[Any], parent: str, day: str) -> None:
    names = {"part": _part(parent, day), "parent": sql.Identifier(parent), "day": sql.Literal(day)}
    make = "CREATE TABLE {part} (LIKE {parent} INCLUDING DEFAULTS INCLUDING STORAGE)"
    attach = "ALTER TABLE {parent} ATTACH PARTITION {part} FOR VALUES IN ({day})"
    connection.execute(sql.SQL(make).format(**names))
    connection.execute(sql.SQL(attach).format(**names))


__all__ = ["PostgresRecordStore"]
