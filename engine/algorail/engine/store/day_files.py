"""One SQLite file a day: opening, sharing, dropping them. It knows no columns.

Another process may drop a day at any time, so a connection is used only while its path still leads to the
same file.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from algorail.engine.store.partitions import is_day

PAGE_BYTES = 16_384
"""Rows hold some KiB: with pages of 4 KiB a tenth of the file is slack and twice as much is written."""
WAL_BYTES = 16 * 1024 * 1024
"""Write-ahead log after which its pages are moved into the file."""

_OPEN_DAYS = 4
"""Days whose files stay open for writing; late runs of older days reopen theirs."""


class _Open(NamedTuple):
    connection: sqlite3.Connection
    inode: int


class DayFiles:
    """The files `YYYY-MM-DD.db` of a folder.

    Args:
        folder: Made if it is missing.
        schema: Script that makes the tables of a new file; must bear repetition.
        marker: The table that the script makes last.
        busy_timeout: Seconds to wait for another process.
        max_pages: Largest size of a file in pages of `PAGE_BYTES`, None for no limit.
    """

    def __init__(
        self, folder: Path, *, schema: str, marker: str, busy_timeout: float, max_pages: int | None
    ) -> None:
        self._folder = folder
        self._schema = schema
        self._marker = marker
        self._busy_timeout = busy_timeout
        self._max_pages = max_pages
        self._write_lock = threading.RLock()
        self._writers: OrderedDict[str, _Open] = OrderedDict()
        self._read_lock = threading.Lock()
        self._idle: dict[str, list[_Open]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def writing(self, day: str) -> Iterator[sqlite3.Connection]:
        """A transaction on a day: committed (and on disk) at the end, rolled back by an exception."""
        with self._write_lock:
            try:
                connection = self._writer(day)
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                self._forget_writer(day)  # closing rolls back
                raise

    @contextmanager
    def reading(self, day: str) -> Iterator[sqlite3.Connection | None]:
        """A connection for reading a day, None if there is no such day (any more)."""
        found = self._reader(day)
        if found is None:
            yield None
            return
        try:
            yield found.connection
        except BaseException:
            found.connection.close()
            raise
        with self._read_lock:
            if found.inode == self._inode(day):
                self._idle.setdefault(day, []).append(found)
            else:
                found.connection.close()

    def days(self) -> Sequence[str]:
        """Days held, oldest first."""
        return sorted(path.stem for path in self._folder.glob("*.db") if is_day(path.stem))

    def drop(self, day: str) -> bool:
        """Remove a day; False if there is none."""
        with self._write_lock, self._read_lock:
            if not is_day(day) or not self._path(day).exists():
                return False
            self._forget_writer(day)
            for idle in self._idle.pop(day, ()):
                idle.connection.close()
            for suffix in ("", "-wal", "-shm"):
                self._path(day).with_name(f"{day}.db{suffix}").unlink(missing_ok=True)
            return True

    def size_bytes(self) -> int:
        """Bytes of all files, write-ahead logs included."""
        return sum(path.stat().st_size for path in self._folder.glob("*.db*") if path.exists())

    def close(self) -> None:
        """Close every file."""
        with self._write_lock, self._read_lock:
            for day in list(self._writers):
                self._forget_writer(day)
            for found in self._idle.values():
                for idle in found:
                    idle.connection.close()
            self._idle.clear()

    def _path(self, day: str) -> Path:
        return self._folder / f"{day}.db"

    def _inode(self, day: str) -> int:
        """Which file the path leads to now, 0 if none."""
        try:
            return self._path(day).stat().st_ino
        except FileNotFoundError:
            return 0

    def _writer(self, day: str) -> sqlite3.Connection:
        found = self._writers.get(day)
        if found is not None and found.inode == self._inode(day):
            self._writers.move_to_end(day)
            return found.connection
        self._forget_writer(day)
        connection = self._connect(day, "rwc")
        try:
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint={WAL_BYTES // PAGE_BYTES}")
            connection.execute("PRAGMA synchronous=FULL")
            if self._max_pages is not None:
                connection.execute(f"PRAGMA max_page_count={int(self._max_pages)}")
            connection.executescript(self._schema)
        except BaseException:
            connection.close()
            raise
        self._writers[day] = _Open(connection, self._inode(day))
        if len(self._writers) > _OPEN_DAYS:
            self._forget_writer(next(iter(self._writers)))
        return connection

    def _forget_writer(self, day: str) -> None:
        found = self._writers.pop(day, None)
        if found is not None:
            found.connection.close()

    def _reader(self, day: str) -> _Open | None:
        inode = self._inode(day)
        with self._read_lock:
            idle = self._idle.get(day, [])
            while idle:
                found = idle.pop()
                if found.inode == inode:
                    return found
                found.connection.close()
        return self._open_reader(day, inode) if inode else None

    def _open_reader(self, day: str, inode: int) -> _Open | None:
        connection = self._connect(day, "rw")
        try:
            connection.execute("PRAGMA query_only=ON")
            made = connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = ?", (self._marker,)
            ).fetchone()
        except BaseException:
            connection.close()
            raise
        if made is None:  # another process is just making the file
            connection.close()
            return None
        return _Open(connection, inode)

    def _connect(self, day: str, mode: str) -> sqlite3.Connection:
        """Open a file; SQLite's own `ro` mode could not read a write-ahead log that nobody has open."""
        return sqlite3.connect(
            f"{self._path(day).absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
        )


__all__ = ["DayFiles"]
