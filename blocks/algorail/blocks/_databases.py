"""Named, read-only database connections: pools, time limits, and errors without addresses in them.

The operator declares them, `{"db_lookup": {"connections": {"crm": {"url": "postgresql://app@db/crm",
"password": "secret-reference", "pool": 5}}}}`; plans know the names only.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, TextClause, create_engine, exc, make_url, text
from sqlalchemy.pool import QueuePool

from algorail.engine.kind import Services
from algorail.engine.kit.errors import (
    AlgorailError,
    ConfigInvalid,
    InvalidInput,
    LimitExceeded,
    Overloaded,
    Unavailable,
)

POOL_SIZE = 5
POOL_SECONDS = 5.0
"""How long a lookup waits for a free connection."""

CONNECT_SECONDS = 5

_PROGRESS_STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock: below a millisecond."""

_READING = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
    }
)

_MAX_VALUE = 16 * 1024 * 1024
"""Bytes of one string or blob in SQLite."""


class Database:
    """One named connection; subclasses know a dialect."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self._engine = engine

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    def fetch(
        self, statement: TextClause, values: Mapping[str, Any], *, rows: int, seconds: float
    ) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Column names and at most `rows` rows, read in a read-only transaction within `seconds`.

        Raises:
            InvalidInput: If the database refuses the statement or a value.
            LimitExceeded: If it takes too long.
            Overloaded: If no connection becomes free.
            Unavailable: If the database does not answer.
        """
        try:
            with (
                self._engine.connect() as connection,
                self._limited(connection, seconds),
                connection.execute(statement, values) as result,
            ):
                return list(result.keys()), [tuple(row) for row in result.fetchmany(rows)]
        except exc.TimeoutError:
            message = f"all connections to {self.name!r} are busy"
            raise Overloaded(message, code="db-busy", retry_after=1.0) from None
        except exc.DBAPIError as error:
            raise self._explained(error, seconds) from None
        except exc.SQLAlchemyError as error:
            raise InvalidInput(
                f"the lookup in {self.name!r} failed: {type(error).__name__}", code="db-refused"
            ) from None

    def close(self) -> None:
        """Close the pool."""
        self._engine.dispose()

    @contextmanager
    def _limited(self, connection: Connection, seconds: float) -> Iterator[None]:
        raise NotImplementedError

    def _is_timeout(self, error: exc.DBAPIError) -> bool:
        raise NotImplementedError

    def _explained(self, error: exc.DBAPIError, seconds: float) -> AlgorailError:
        # Only what the driver says: SQLAlchemy's own text has the statement and its parameters.
        said = str(error.orig).strip().partition("\n")[0]
        if self._is_timeout(error):
            return LimitExceeded(
                f"the lookup in {self.name!r} took more than {seconds:.3g} seconds",
                code="db-timeout",
                cure="add an index, or allow more with timeout=",
                retryable=True,
            )
        if isinstance(error, exc.OperationalError | exc.InterfaceError) and not _is_refusal(said):
            return Unavailable(f"the database {self.name!r} does not answer", code="db-unavailable")
        return InvalidInput(f"the database {self.name!r} refused the lookup: {said}", code="db-refused")


def _is_refusal(said: str) -> bool:
    """SQLite says everything with an OperationalError."""
    refusals = (
        "no such",
        "syntax error",
        "not authorized",
        "prohibited",
        "readonly",
        "ambiguous",
        "wrong number",
    )
    return any(word in said for word in (*refusals, "unrecognized token", "incomplete input", "misuse"))


class _Sqlite(Database):
    """A file, opened read-only; everything but reading is refused by an authorizer as well."""

    @contextmanager
    def _limited(self, connection: Connection, seconds: float) -> Iterator[None]:
        raw: Any = connection.connection.driver_connection
        end = time.monotonic() + seconds
        raw.set_progress_handler(lambda: time.monotonic() > end, _PROGRESS_STEPS)
        # Only now, because SQLAlchemy asks a new connection for settings.
        raw.set_authorizer(_authorize)
        try:
            yield
        finally:
            raw.set_authorizer(None)
            raw.set_progress_handler(None, 0)

    def _is_timeout(self, error: exc.DBAPIError) -> bool:
        return str(error.orig) == "interrupted"


class _Postgres(Database):
    """PostgreSQL: a read-only transaction with a statement timeout, rows from a server-side cursor."""

    @contextmanager
    def _limited(self, connection: Connection, seconds: float) -> Iterator[None]:
        connection.execution_options(postgresql_readonly=True)
        millis = max(1, int(seconds * 1_000))
        connection.execute(
            text("SELECT set_config('statement_timeout', :millis, true)"), {"millis": str(millis)}
        )
        connection.execution_options(stream_results=True)
        yield

    def _is_timeout(self, error: exc.DBAPIError) -> bool:
        return getattr(error.orig, "sqlstate", "") == "57014"


def database(name: str, services: Services) -> Database:
    """The connection of that name, one pool per process.

    Raises:
        ConfigInvalid: If the operator declared none of that name, or one that cannot be.
    """
    declared = services.settings.get("db_lookup", {}).get("connections", {})
    if name not in declared:
        choices = ", ".join(sorted(declared)) or "none"
        raise ConfigInvalid(
            f"there is no database connection {name!r}",
            code="db-connection",
            cure=f"declared are: {choices}; the operator declares them",
        )
    return services.shared(f"db_lookup:{name}", _maker(name, declared[name], services))


def _maker(name: str, declared: Mapping[str, Any] | str, services: Services) -> Callable[[], Database]:
    settings = {"url": declared} if isinstance(declared, str) else dict(declared)

    def make() -> Database:
        try:
            url = make_url(
                services.secrets.resolve(settings["url_from"]) if "url_from" in settings else settings["url"]
            )
        except (KeyError, exc.ArgumentError):
            cure = "give it a url, such as sqlite:///data.db, or a url_from, the reference of a secret"
            raise _unusable(name, cure) from None
        if "password" in settings:
            url = url.set(password=services.secrets.resolve(settings["password"]))
        pool = settings.get("pool", POOL_SIZE)
        if type(pool) is not int or pool < 1:
            raise _unusable(name, "pool is a number of connections, at least 1")
        match url.get_backend_name():
            case "sqlite":
                return _Sqlite(name, _sqlite_engine(name, url, services.home, pool))
            case "postgresql":
                return _Postgres(name, _postgres_engine(url, pool))
            case other:
                raise _unusable(name, f"there is sqlite and postgresql, not {other}")

    return make


def _unusable(name: str, cure: str) -> ConfigInvalid:
    return ConfigInvalid(f"the database connection {name!r} cannot be used", code="db-connection", cure=cure)


def _sqlite_engine(name: str, url: URL, home: Path, pool: int) -> Engine:
    if not url.database or url.database == ":memory:" or url.query:
        raise _unusable(name, "name a file, without options: sqlite:///file.db")
    path = (home / url.database).resolve()
    if not Path(url.database).is_absolute() and not path.is_relative_to(home.resolve()):
        raise _unusable(name, "a relative file must lie in the state folder; write an absolute path")

    def connect() -> sqlite3.Connection:
        address = f"file:{quote(str(path))}?mode=ro"
        raw = sqlite3.connect(address, uri=True, check_same_thread=False, timeout=CONNECT_SECONDS)
        raw.execute("PRAGMA query_only = ON")
        raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE)
        return raw

    return create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
    )


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action not in _READING or "load_extension" in (first, second):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _postgres_engine(url: URL, pool: int) -> Engine:
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "algorail"},
    )
