"""Code bundles: immutable archives by content hash, in the database so that every process can fetch them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from algorail.engine.kit.errors import NotFound
from algorail.engine.store.database import now_ns
from algorail.engine.store.tables import BUNDLES


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBundle:
    """A bundle without its bytes (`archive` reads those)."""

    hash: str
    manifest: bytes
    size: int
    author: str
    created_ns: int


_SHOWN = [BUNDLES.c[field] for field in StoredBundle.__dataclass_fields__]


def put(tx: Connection, *, hash: str, manifest: bytes, archive: bytes, author: str = "") -> StoredBundle:
    """Keep a bundle; the same hash again is the same bundle and changes nothing."""
    found = tx.execute(select(*_SHOWN).where(BUNDLES.c.hash == hash)).mappings().one_or_none()
    if found is None:
        row = {"hash": hash, "manifest": manifest, "archive": archive, "size": len(archive), "author": author}
        tx.execute(insert(BUNDLES).values(created_ns=now_ns(), **row))
    return get(tx, hash)


def get(tx: Connection, hash: str) -> StoredBundle:
    """What is known of a bundle. Raises `NotFound`."""
    row = tx.execute(select(*_SHOWN).where(BUNDLES.c.hash == hash)).mappings().one_or_none()
    if row is None:
        raise _missing(hash)
    return StoredBundle(**row)


def archive(tx: Connection, hash: str) -> bytes:
    """The bytes of a bundle. Raises `NotFound`."""
    found = tx.execute(select(BUNDLES.c.archive).where(BUNDLES.c.hash == hash)).scalar_one_or_none()
    if found is None:
        raise _missing(hash)
    return bytes(found)


def list_all(tx: Connection) -> Sequence[StoredBundle]:
    """Every bundle, newest first."""
    query = select(*_SHOWN).order_by(BUNDLES.c.created_ns.desc(), BUNDLES.c.hash)
    return [StoredBundle(**row) for row in tx.execute(query).mappings()]


def _missing(hash: str) -> NotFound:
    return NotFound(
        f"there is no code bundle {hash!r}", code="bundle-not-found", cure="upload it with POST /v1/bundles"
    )


__all__ = ["StoredBundle", "archive", "get", "list_all", "put"]
