"""One database, SQLite or PostgreSQL: its engine, its transactions, its clock.

SQLite runs in WAL mode with `synchronous=FULL`: what was committed survives a power cut. Writers begin
IMMEDIATE, so a transaction waits at the start and does not fail in the middle. It knows no table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from algorail.engine.kit.home import make_private
from algorail.engine.store.failures import translated


class now_ns(FunctionElement[int]):  # noqa: N801  # reads as the SQL function that it is
    """The database's clock in a statement: nanoseconds since the epoch, exact to a millisecond."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ns, "sqlite")
def _sqlite_now(_element: now_ns, _compiler: Any, **_rest: Any) -> str:
    return "(CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000000)"


@compiles(now_ns, "postgresql")
def _postgres_now(_element: now_ns, _compiler: Any, **_rest: Any) -> str:
    return "(CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) * 1000)"


class Database:
    """An address and the pool of connections to it.

    Args:
        url: `sqlite:///FILE` or `postgresql://…` (psycopg 3 is the driver).
        pool_size: Connections kept open; as many again may be opened for a burst.
        busy_timeout: Seconds that a SQLite writer waits for its turn, and PostgreSQL for a lock.
    """

    def __init__(self, url: str, *, pool_size: int = 8, busy_timeout: float = 5.0) -> None:
        address = make_url(url)
        if address.drivername in {"postgresql", "postgres"}:
            address = address.set(drivername="postgresql+psycopg")
        self.is_sqlite = address.get_backend_name() == "sqlite"
        if self.is_sqlite and address.database:
            make_private(Path(address.database).parent)
        options: dict[str, Any] = {"timeout": busy_timeout} if self.is_sqlite else {"connect_timeout": 5}
        self.engine: Engine = create_engine(
            address,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=busy_timeout,
            pool_pre_ping=not self.is_sqlite,
            connect_args=options,
        )
        if self.is_sqlite:
            event.listen(self.engine, "connect", _set_pragmas)
            event.listen(self.engine, "begin", _begin)
        else:
            event.listen(self.engine, "connect", _lock_timeout(busy_timeout))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view. Raises `Unavailable`."""
        with translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: committed at the end of the block, rolled back by an exception.

        Raises:
            Conflict: If somebody else wrote the same thing first.
            Unavailable: If the database is locked, full or away.
        """
        with translated(), self.engine.connect() as plain:
            connection = plain.execution_options(algorail_begin="BEGIN IMMEDIATE")
            with connection.begin():
                yield connection

    def check_writable(self) -> None:
        """Take the write lock and let it go, for readiness. Raises `Unavailable`."""
        with self.write() as tx:
            tx.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def current_ns(tx: Connection) -> int:
    """The time by the database's clock, the only one that decides leases and expiries."""
    return int(tx.execute(select(now_ns())).scalar_one())


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin on its own; `_begin` does
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "journal_size_limit=16777216"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("algorail_begin", "BEGIN"))


def _lock_timeout(seconds: float) -> Any:
    def apply(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {int(seconds * 1000)}")
        connection.commit()

    return apply


__all__ = ["Database", "current_ns", "now_ns"]
