"""Aliases: moving names, each move a new epoch, the whole history kept so that rollback is a move too.

A target is a version or a split (the variant table of `ab_testing.assign` as JSON, opaque here).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from algorail.engine.kit.errors import Conflict, InvalidInput, NotFound
from algorail.engine.store.database import now_ns
from algorail.engine.store.tables import ALIAS_HISTORY, ALIASES


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What an alias points to: exactly one of the two."""

    version: int | None = None
    split: bytes | None = None

    def __post_init__(self) -> None:
        if (self.version is None) == (self.split is None):
            raise InvalidInput(
                "an alias points to a version or to a split, exactly one of them", code="alias-target"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """An alias at one epoch; both targets are None where the history says that it was removed."""

    algorithm: str
    name: str
    epoch: int
    version: int | None
    split: bytes | None
    author: str
    updated_ns: int


def get(tx: Connection, algorithm: str, name: str) -> Alias:
    """What an alias means now. Raises `NotFound` that lists the aliases there are."""
    found = {alias.name: alias for alias in list_all(tx, algorithm)}
    if name not in found:
        names = ", ".join(f"@{other}" for other in found) or "none"
        raise NotFound(
            f"{algorithm!r} has no alias {name!r}; it has {names}",
            code="alias-not-found",
            cure=f"`algorail alias set {algorithm} {name} VERSION` makes it",
        )
    return found[name]


def list_all(tx: Connection, algorithm: str) -> Sequence[Alias]:
    """The aliases of an algorithm, by name."""
    query = select(ALIASES).where(ALIASES.c.algorithm == algorithm).order_by(ALIASES.c.name)
    return [Alias(**row) for row in tx.execute(query).mappings()]


def history(tx: Connection, algorithm: str, name: str) -> Sequence[Alias]:
    """Every meaning the alias had, newest first."""
    where = (ALIAS_HISTORY.c.algorithm == algorithm) & (ALIAS_HISTORY.c.name == name)
    query = select(ALIAS_HISTORY).where(where).order_by(ALIAS_HISTORY.c.epoch.desc())
    return [Alias(**row) for row in tx.execute(query).mappings()]


def point(
    tx: Connection, algorithm: str, name: str, target: Target, *, author: str = "", epoch: int | None = None
) -> Alias:
    """Move (or make) an alias; the epoch goes up by one and never repeats, not even after a removal.

    Args:
        epoch: The epoch that the caller has seen; None skips the check.

    Raises:
        Conflict: `alias-moved-meanwhile` if somebody else moved it first.
    """
    last = _last_epoch(tx, algorithm, name)
    if epoch is not None and epoch != last:
        raise Conflict(
            f"the alias {name!r} of {algorithm!r} is at epoch {last} now, not {epoch}",
            code="alias-moved-meanwhile",
            cure="read the alias again, then repeat the move if it is still wanted",
        )
    row = {"version": target.version, "split": target.split, "author": author, "epoch": last + 1}
    where = (ALIASES.c.algorithm == algorithm) & (ALIASES.c.name == name)
    moved = tx.execute(update(ALIASES).where(where).values(updated_ns=now_ns(), **row))
    if moved.rowcount == 0:
        tx.execute(insert(ALIASES).values(algorithm=algorithm, name=name, updated_ns=now_ns(), **row))
    tx.execute(insert(ALIAS_HISTORY).values(algorithm=algorithm, name=name, updated_ns=now_ns(), **row))
    return get(tx, algorithm, name)


def rollback(tx: Connection, algorithm: str, name: str, *, author: str = "") -> Alias:
    """Point the alias to what it meant before its present meaning; doing it twice returns.

    Raises:
        NotFound: If there is no such alias.
        Conflict: `nothing-before` if it never meant anything else.
    """
    now = get(tx, algorithm, name)
    for past in history(tx, algorithm, name):
        if past.version is None and past.split is None:
            continue
        if (past.version, past.split) != (now.version, now.split):
            target = Target(version=past.version, split=past.split)
            return point(tx, algorithm, name, target, author=author, epoch=now.epoch)
    raise Conflict(
        f"the alias {name!r} of {algorithm!r} never pointed anywhere else",
        code="nothing-before",
        cure="set it to a version",
    )


def remove(tx: Connection, algorithm: str, name: str, *, author: str = "") -> None:
    """Take an alias away; its history stays. Raises `NotFound`."""
    now = get(tx, algorithm, name)
    tx.execute(delete(ALIASES).where((ALIASES.c.algorithm == algorithm) & (ALIASES.c.name == name)))
    gone = {"algorithm": algorithm, "name": name, "epoch": now.epoch + 1, "author": author}
    tx.execute(insert(ALIAS_HISTORY).values(updated_ns=now_ns(), **gone))


def pointing_to(tx: Connection, algorithm: str, version: int) -> Sequence[str]:
    """Names of the aliases that point straight to a version (splits are the caller's to read)."""
    where = (ALIASES.c.algorithm == algorithm) & (ALIASES.c.version == version)
    return list(tx.execute(select(ALIASES.c.name).where(where).order_by(ALIASES.c.name)).scalars())


def _last_epoch(tx: Connection, algorithm: str, name: str) -> int:
    where = (ALIAS_HISTORY.c.algorithm == algorithm) & (ALIAS_HISTORY.c.name == name)
    return int(
        tx.execute(select(func.coalesce(func.max(ALIAS_HISTORY.c.epoch), 0)).where(where)).scalar_one()
    )


__all__ = ["Alias", "Target", "get", "history", "list_all", "point", "pointing_to", "remove", "rollback"]
