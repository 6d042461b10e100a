"""Who calls: scopes and principals. It knows neither keys nor HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from algorail.engine.kit.errors import Forbidden


class Scope(IntEnum):
    """What a key may do; each scope includes the ones below it."""

    VIEWER = 1
    """Call algorithms, read plans and runs."""
    AUTHOR = 2
    """Also write drafts, publish versions and code bundles, move aliases and splits, replay runs: all that
    one person needs to take an algorithm to production alone."""
    OPERATOR = 3
    """Also archive, and read the audit log."""
    ADMIN = 4
    """Also make and revoke keys."""

    @classmethod
    def named(cls, name: str) -> Scope:
        """The scope of that lower-case name. Raises `KeyError`."""
        return cls[name.upper()] if name.islower() else cls[""]

    @property
    def label(self) -> str:
        """The lower-case name, as in documents."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that proved who it is.

    Attributes:
        key_id: Identifier of its key, for the audit log.
        name: Name of the key.
        scope: What it may do.
        team: Team whose algorithms it may touch; empty means every team.
    """

    key_id: str
    name: str
    scope: Scope
    team: str = ""

    def owns(self, team: str) -> bool:
        """Whether things of `team` are within its reach."""
        return not self.team or self.team == team

    def require(self, scope: Scope) -> None:
        """Refuse a caller of a lower scope.

        Raises:
            Forbidden: `scope-missing`.
        """
        if self.scope < scope:
            raise Forbidden(
                f"this needs the scope {scope.label!r}, the key {self.name!r} has {self.scope.label!r}",
                code="scope-missing",
                cure="use a key of that scope, or ask an admin for one",
            )

    def require_all_teams(self, what: str) -> None:
        """Refuse a caller that is bound to a team.

        Args:
            what: What is one for all teams, as `the audit log`.

        Raises:
            Forbidden: `team-bound`.
        """
        if self.team:
            raise Forbidden(
                f"{what} cannot be told apart by team",
                code="team-bound",
                cure="use a key that is bound to no team",
            )


__all__ = ["Principal", "Scope"]
