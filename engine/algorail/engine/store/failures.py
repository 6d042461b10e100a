"""Turns what databases raise into domain errors; no SQLAlchemy, sqlite3 or psycopg error leaves `store`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from algorail.engine.kit.errors import AlgorailError, Conflict, InvalidInput, Unavailable

_LOCKED = ("database is locked", "database table is locked", "database is busy")
_FULL = ("database or disk is full", "no space left on device")
_FULL_STATES = frozenset({"53100", "53200"})
_RETRY_STATES = frozenset({"40001", "40P01", "55P03", "57014"})
"""PostgreSQL: serialisation failure, deadlock, lock not available, statement timeout."""

LOCKED_CURE = "another process holds the write lock: try again; if it stays, look for a stuck process"
FULL_CURE = "free disk space under ALGORAIL_HOME or on the database server, or drop old days of the record"
AWAY_CURE = "check that the database runs and that its address and password are right, then try again"


def storage_error(error: BaseException) -> AlgorailError:
    """The domain error for what a driver raised while reading or writing."""
    text = str(error).lower()
    state = str(getattr(error, "sqlstate", "") or "")
    if state in _FULL_STATES or any(part in text for part in _FULL):
        return Unavailable("the storage is full", code="storage-full", cure=FULL_CURE)
    if any(part in text for part in _LOCKED):
        return Unavailable(
            "the database is locked by another writer", code="database-locked", cure=LOCKED_CURE
        )
    if state in _RETRY_STATES:
        return Unavailable("the database gave this transaction up", code="database-busy", cure="try again")
    return Unavailable(
        f"the database does not answer ({type(error).__name__})", code="database-unavailable", cure=AWAY_CURE
    )


@contextmanager
def translated() -> Iterator[None]:
    """Raise domain errors in place of SQLAlchemy's.

    Raises:
        Conflict: `already-exists` when a constraint refused the row.
        InvalidInput: `value-refused` when the database cannot hold a value (NUL in a text, a huge number).
        Unavailable: When it is locked, full or away.
    """
    try:
        yield
    except exc.IntegrityError as error:
        raise Conflict(
            "somebody else wrote the same thing first, or it refers to something that is gone",
            code="already-exists",
            cure="read it again, then repeat the change if it is still wanted",
        ) from error
    except exc.DataError as error:
        raise InvalidInput("the database cannot hold one of these values", code="value-refused") from error
    except exc.TimeoutError as error:
        raise Unavailable(
            "every database connection is in use", code="database-busy", cure="try again"
        ) from error
    except exc.DBAPIError as error:
        raise storage_error(error.orig or error) from error
    except (OverflowError, UnicodeEncodeError) as error:
        raise InvalidInput("the database cannot hold one of these values", code="value-refused") from error


__all__ = ["storage_error", "translated"]
