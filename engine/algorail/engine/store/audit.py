"""The audit log: who did what to which thing, only ever added to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from algorail.engine.store.database import now_ns
from algorail.engine.store.tables import AUDIT


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act.

    Attributes:
        actor: Id of the key, or `system`.
        action: Verb of the domain, such as `publish`, `alias.point`, `key.revoke`.
        subject: What it was done to, such as `answer_faq@3`.
    """

    id: int
    at_ns: int
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]


def append(
    tx: Connection, *, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None
) -> None:
    """Add a line, in the transaction of the act itself."""
    row = {
        "actor": actor,
        "action": action,
        "subject": subject,
        "details": msgspec.json.encode(details or {}),
    }
    tx.execute(insert(AUDIT).values(at_ns=now_ns(), **row))


def entries(
    tx: Connection,
    *,
    actor: str = "",
    action: str = "",
    subject: str = "",
    before: int | None = None,
    limit: int = 100,
) -> Sequence[AuditEntry]:
    """A page of lines, newest first; `before` is the id after which the page starts."""
    query = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
    for column, wanted in ((AUDIT.c.actor, actor), (AUDIT.c.action, action), (AUDIT.c.subject, subject)):
        if wanted:
            query = query.where(column == wanted)
    if before is not None:
        query = query.where(AUDIT.c.id < before)
    rows = (dict(row) for row in tx.execute(query).mappings())
    return [AuditEntry(**{**row, "details": msgspec.json.decode(row["details"])}) for row in rows]


__all__ = ["AuditEntry", "append", "entries"]
