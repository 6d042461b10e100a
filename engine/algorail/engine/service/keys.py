"""API keys: made, listed, revoked, and turned into principals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from algorail.engine.kit.errors import InvalidInput, NotFound
from algorail.engine.kit.home import write_private
from algorail.engine.service.principal import Principal, Scope
from algorail.engine.store import audit, keys
from algorail.engine.store.database import Database
from algorail.engine.store.keys import ApiKey

ADMIN_FILE = "admin.key"


class Keys:
    """The keys of one server. Blocking.

    Args:
        database: Where their hashes are.
        home: Where the first admin key is kept, readable by its user only.
    """

    def __init__(self, database: Database, home: Path) -> None:
        self._database = database
        self._file = home / ADMIN_FILE
        self.changed: list[Callable[[], None]] = []
        """Called when a key was revoked."""

    def principal(self, key: str) -> Principal | None:
        """Whose key it is; None for unknown and revoked ones."""
        with self._database.read() as tx:
            found = keys.find(tx, key)
        if found is None:
            return None
        return Principal(found.id, found.name, Scope[found.scope.upper()], found.team)

    def create(self, by: Principal, *, name: str, scope: str, team: str = "") -> tuple[ApiKey, str]:
        """A new key and its text, which cannot be had again.

        Raises:
            InvalidInput: `scope-unknown`.
        """
        if scope not in {known.label for known in Scope}:
            known = ", ".join(each.label for each in Scope)
            raise InvalidInput(f"scope == {scope!r}, must be one of {known}", code="scope-unknown")
        if by.team and team != by.team:
            raise InvalidInput(
                f"team == {team!r}, must be {by.team!r}: a team's admin makes keys of that team",
                code="team-not-yours",
            )
        text = keys.generate()
        with self._database.write() as tx:
            made = keys.add(tx, text, name=name, scope=scope, team=team)
            audit.append(
                tx,
                actor=by.key_id,
                action="key.create",
                subject=made.id,
                details={"name": name, "scope": scope, "team": team},
            )
        return made, text

    def list_all(self, by: Principal) -> Sequence[ApiKey]:
        """The keys within the caller's reach, newest first, revoked ones included."""
        with self._database.read() as tx:
            return [key for key in keys.list_all(tx) if by.owns(key.team)]

    def revoke(self, by: Principal, key_id: str) -> ApiKey:
        """End a key. Raises `NotFound`, also for keys of other teams."""
        with self._database.write() as tx:
            found = keys.get(tx, key_id)
            if not by.owns(found.team):
                raise NotFound(f"there is no key {key_id!r}", code="key-not-found")
            revoked = keys.revoke(tx, key_id)
            audit.append(tx, actor=by.key_id, action="key.revoke", subject=key_id)
        for tell in self.changed:
            tell()
        return revoked

    def admin_key(self) -> str:
        """The text of the first admin key, as kept in the home folder; empty if it was taken away."""
        try:
            return self._file.read_text("ascii").strip()
        except FileNotFoundError:
            return ""

    def ensure_admin(self) -> str | None:
        """Make the first admin key if there is no key at all; returns its text then, else None.

        The file is written before the hash is committed: a crash between the two leaves a file that the
        next start replaces, never a server that nobody can enter.
        """
        with self._database.write() as tx:
            if keys.list_all(tx):
                return None
            text = keys.generate()
            write_private(self._file, text + "\n")
            made = keys.add(tx, text, name="first admin", scope="admin")
            audit.append(tx, actor="system", action="key.create", subject=made.id, details={"scope": "admin"})
        return text


__all__ = ["ADMIN_FILE", "Keys"]
