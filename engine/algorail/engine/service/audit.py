"""The audit log, read."""

from __future__ import annotations

from collections.abc import Sequence

from algorail.engine.service.principal import Principal
from algorail.engine.store import audit
from algorail.engine.store.audit import AuditEntry
from algorail.engine.store.database import Database


class Audit:
    """Who did what. Blocking.

    Args:
        database: Where the lines are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(
        self,
        by: Principal,
        *,
        action: str = "",
        subject: str = "",
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[AuditEntry]:
        """A page of lines, newest first.

        Raises:
            Forbidden: If the caller's key is bound to a team: the log is one for all of them.
        """
        by.require_all_teams("the audit log")
        with self._database.read() as tx:
            return audit.entries(tx, action=action, subject=subject, before=before, limit=limit)


__all__ = ["Audit"]
