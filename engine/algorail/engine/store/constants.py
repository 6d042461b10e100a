"""What an installation decides once and never again, the same for every process on the database."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import insert, select

from algorail.engine.kit.errors import Conflict
from algorail.engine.store.database import Database, now_ns
from algorail.engine.store.tables import CONSTANTS


def once(database: Database, name: str, make: Callable[[], bytes]) -> bytes:
    """The value that the first process made; later ones get the same.

    Raises:
        Unavailable: If the database is locked, full or away.
    """
    found = _find(database, name)
    if found is not None:
        return found
    value = make()
    try:
        with database.write() as tx:
            tx.execute(insert(CONSTANTS).values(name=name, value=value, created_ns=now_ns()))
    except Conflict:
        found = _find(database, name)
        if found is None:
            raise
        return found
    return value


def _find(database: Database, name: str) -> bytes | None:
    with database.read() as tx:
        value = tx.execute(select(CONSTANTS.c.value).where(CONSTANTS.c.name == name)).scalar_one_or_none()
    return None if value is None else bytes(value)


__all__ = ["once"]
