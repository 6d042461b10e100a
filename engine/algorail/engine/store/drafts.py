"""Drafts: the one editable copy of an algorithm, guarded by a revision (the ETag)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from algorail.engine.kit.errors import Conflict, NotFound
from algorail.engine.store.database import now_ns
from algorail.engine.store.tables import DRAFTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An editable plan, as JSON, perhaps not valid yet."""

    algorithm: str
    revision: int
    plan: bytes
    author: str
    updated_ns: int

    @property
    def etag(self) -> str:
        """The revision as an HTTP entity tag."""
        return f'"{self.revision}"'


def find(tx: Connection, algorithm: str) -> Draft | None:
    """The draft, None if there is none."""
    row = tx.execute(select(DRAFTS).where(DRAFTS.c.algorithm == algorithm)).mappings().one_or_none()
    return None if row is None else Draft(**row)


def get(tx: Connection, algorithm: str) -> Draft:
    """The draft. Raises `NotFound`."""
    found = find(tx, algorithm)
    if found is None:
        raise NotFound(f"{algorithm!r} has no draft", code="draft-not-found", cure="write one with PUT")
    return found


def save(tx: Connection, algorithm: str, plan: bytes, *, revision: int | None, author: str = "") -> Draft:
    """Write the draft of an existing algorithm.

    Args:
        revision: The revision that was edited; 0 for a new draft; None overwrites whatever is there.

    Raises:
        Conflict: `draft-changed` if it is at another revision.
    """
    found = find(tx, algorithm)
    current = found.revision if found else 0
    if revision is not None and revision != current:
        raise _changed(algorithm, current, revision)
    row = {"plan": plan, "author": author, "revision": current + 1}
    if found is None:
        tx.execute(insert(DRAFTS).values(algorithm=algorithm, updated_ns=now_ns(), **row))
    else:
        where = (DRAFTS.c.algorithm == algorithm) & (DRAFTS.c.revision == current)
        if tx.execute(update(DRAFTS).where(where).values(updated_ns=now_ns(), **row)).rowcount == 0:
            raise _changed(algorithm, get(tx, algorithm).revision, current)
    return get(tx, algorithm)


def remove(tx: Connection, algorithm: str, *, revision: int | None = None) -> None:
    """Throw the draft away. Raises `NotFound`, or `Conflict` if it is at another revision."""
    current = get(tx, algorithm).revision
    if revision is not None and revision != current:
        raise _changed(algorithm, current, revision)
    tx.execute(delete(DRAFTS).where((DRAFTS.c.algorithm == algorithm) & (DRAFTS.c.revision == current)))


def _changed(algorithm: str, current: int, seen: int) -> Conflict:
    return Conflict(
        f"the draft of {algorithm!r} is at revision {current}, the change was made to {seen}",
        code="draft-changed",
        cure="read the draft again and repeat the change on it",
        details={"revision": current},
    )


__all__ = ["Draft", "find", "get", "remove", "save"]
