"""API keys: stored as hashes, looked up by hash, revoked rather than deleted."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from algorail.engine.kit.errors import NotFound
from algorail.engine.kit.ids import new_id
from algorail.engine.store.database import now_ns
from algorail.engine.store.tables import API_KEYS

PREFIX = "ark_"
"""Marks a key in logs and scanners of leaked secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it may be shown: never its text, never its hash."""

    id: str
    name: str
    scope: str
    team: str
    created_ns: int
    revoked_ns: int | None
    last_used_ns: int | None


_SHOWN = [API_KEYS.c[field] for field in ApiKey.__dataclass_fields__]


def generate() -> str:
    """A new key text with 256 bits of chance."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """What is stored of a key. A fast hash is enough: the key is random, not a password."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def add(tx: Connection, key: str, *, name: str, scope: str, team: str = "") -> ApiKey:
    """Store a key's hash."""
    key_id = new_id("key")
    row = {"id": key_id, "hash": hash_key(key), "name": name, "scope": scope, "team": team}
    tx.execute(insert(API_KEYS).values(created_ns=now_ns(), **row))
    return get(tx, key_id)


def get(tx: Connection, key_id: str) -> ApiKey:
    """A key by its id. Raises `NotFound`."""
    row = tx.execute(select(*_SHOWN).where(API_KEYS.c.id == key_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no key {key_id!r}", code="key-not-found", cure="`GET /v1/keys` lists them")
    return ApiKey(**row)


def find(tx: Connection, key: str) -> ApiKey | None:
    """The live key of that text, None if there is none or it was revoked.

    The look-up is by the hash, so its timing tells nothing about the key.
    """
    where = (API_KEYS.c.hash == hash_key(key)) & API_KEYS.c.revoked_ns.is_(None)
    row = tx.execute(select(*_SHOWN).where(where)).mappings().one_or_none()
    return None if row is None else ApiKey(**row)


def list_all(tx: Connection) -> Sequence[ApiKey]:
    """Every key, newest first, revoked ones included."""
    return [ApiKey(**row) for row in tx.execute(select(*_SHOWN).order_by(API_KEYS.c.id.desc())).mappings()]


def revoke(tx: Connection, key_id: str) -> ApiKey:
    """End a key; ending it twice changes nothing. Raises `NotFound`."""
    get(tx, key_id)
    where = (API_KEYS.c.id == key_id) & API_KEYS.c.revoked_ns.is_(None)
    tx.execute(update(API_KEYS).where(where).values(revoked_ns=now_ns()))
    return get(tx, key_id)


def touch(tx: Connection, key_id: str) -> None:
    """Note that a key was used now; callers do it once a minute at most, not at every request."""
    tx.execute(update(API_KEYS).where(API_KEYS.c.id == key_id).values(last_used_ns=now_ns()))


__all__ = ["ApiKey", "add", "find", "generate", "get", "hash_key", "list_all", "revoke", "touch"]
