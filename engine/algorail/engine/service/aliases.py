"""Aliases: moving names, traffic splits, rollback. Every move is an epoch and an audit line."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from algorail.engine.kit.errors import Conflict, InvalidInput, PlanInvalid
from algorail.engine.kit.ids import NAME
from algorail.engine.service.library import Library
from algorail.engine.service.principal import Principal
from algorail.engine.service.splits import encode_split, percentages, resplit, split_of, versions_of
from algorail.engine.store import algorithms, aliases, audit
from algorail.engine.store.aliases import Alias, Target
from algorail.engine.store.database import Database


class Aliases:
    """The aliases of all algorithms. Blocking.

    Args:
        database: Where they stand.
        library: Knows what versions call.
    """

    def __init__(self, database: Database, library: Library) -> None:
        self._database = database
        self._library = library
        self.changed: list[Callable[[str], None]] = []
        """Called with an algorithm's name when one of its aliases moved."""

    def list_all(self, name: str) -> Sequence[Alias]:
        """The aliases of an algorithm. Raises `NotFound`."""
        with self._database.read() as tx:
            algorithms.get(tx, name)
            return aliases.list_all(tx, name)

    def point(self, by: Principal, name: str, alias: str, version: int) -> Alias:
        """Let an alias mean one version.

        Raises:
            NotFound: If the version is not there.
            Conflict: If it is archived.
            PlanInvalid: If it would call itself through what the aliases mean then.
        """
        with self._database.write() as tx:
            moved = point_to(tx, by, name, alias, version)
            self._require_no_cycle(by, moved)
        self._tell(name)
        return moved

    def split(self, by: Principal, name: str, alias: str, weights: Mapping[str, float]) -> Alias:
        """Split an alias over versions; as few units as possible change their version.

        Raises:
            InvalidInput: If the weights cannot be used.
            NotFound: If a version is not there.
            Conflict: If a version is archived.
            PlanInvalid: If a version would call itself.
        """
        check_name(alias)
        with self._database.write() as tx:
            algorithms.get(tx, name)
            before = next((each for each in aliases.list_all(tx, name) if each.name == alias), None)
            table = resplit(name, alias, before, weights, time.time_ns())
            for arm in table.arms:
                require_usable(tx, name, int(arm))
            epoch = before.epoch if before else None
            target = Target(split=encode_split(table))
            moved = aliases.point(tx, name, alias, target, author=by.key_id, epoch=epoch)
            self._require_no_cycle(by, moved)
            _note(tx, by, "alias.split", moved)
        self._tell(name)
        return moved

    def rollback(self, by: Principal, name: str, alias: str) -> Alias:
        """Let an alias mean what it meant before.

        Raises:
            NotFound: If there is no such alias.
            Conflict: If it never meant anything else, or what it meant is archived.
            PlanInvalid: If what it meant would call itself by now.
        """
        with self._database.write() as tx:
            moved = aliases.rollback(tx, name, alias, author=by.key_id)
            for version in versions_of(moved):
                require_usable(tx, name, version)
            self._require_no_cycle(by, moved)
            _note(tx, by, "alias.rollback", moved)
        self._tell(name)
        return moved

    def remove(self, by: Principal, name: str, alias: str) -> None:
        """Take an alias away; its history stays. Raises `NotFound`."""
        with self._database.write() as tx:
            aliases.remove(tx, name, alias, author=by.key_id)
            audit.append(tx, actor=by.key_id, action="alias.remove", subject=f"{name}@{alias}")
        self._tell(name)

    def _require_no_cycle(self, by: Principal, moved: Alias) -> None:
        """Refuse versions that lead back to their own algorithm, as publishing does. Raises `PlanInvalid`."""
        for version in versions_of(moved):
            plan = self._library.plan(moved.algorithm, str(version))
            problems = self._library.nesting(plan, by) if plan is not None else []
            if problems:
                raise PlanInvalid(
                    f"@{moved.name} of {moved.algorithm!r} cannot mean version {version}", problems=problems
                )

    def _tell(self, name: str) -> None:
        for tell in self.changed:
            tell(name)


def point_to(tx: Connection, by: Principal, name: str, alias: str, version: int) -> Alias:
    """Move an alias within a transaction, with its audit line."""
    check_name(alias)
    require_usable(tx, name, version)
    moved = aliases.point(tx, name, alias, Target(version=version), author=by.key_id)
    _note(tx, by, "alias.point", moved)
    return moved


def check_name(alias: str) -> None:
    """Refuse a name that an alias cannot have. Raises `InvalidInput`."""
    if not NAME.fullmatch(alias) or len(alias) > 63:
        raise InvalidInput(
            f"alias == {alias[:80]!r}, must be lower-case letters, digits, `-` and `_`, at most 63",
            code="alias-malformed",
        )


def require_usable(tx: Connection, name: str, version: int) -> None:
    """Refuse a version that is not there (`NotFound`) or archived (`Conflict`)."""
    if algorithms.version(tx, name, version).archived_ns is not None:
        raise Conflict(
            f"version {version} of {name!r} is archived",
            code="version-archived",
            cure="publish its plan again, or choose another version",
        )


def _note(tx: Connection, by: Principal, action: str, alias: Alias) -> None:
    table = split_of(alias)
    details = {"version": alias.version} if table is None else {"weights": percentages(table)}
    audit.append(
        tx,
        actor=by.key_id,
        action=action,
        subject=f"{alias.algorithm}@{alias.name}",
        details={**details, "epoch": alias.epoch},
    )


__all__ = ["Aliases", "check_name", "point_to", "require_usable"]
