"""Algorithms and their published versions. A version is immutable: only archiving marks it.

Functions take the transaction first (`Database.read` or `.write`), so that a publish, the move of an alias
and the audit line are one commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from algorail.engine.kit.errors import Conflict, NotFound
from algorail.engine.store.database import now_ns
from algorail.engine.store.tables import ALGORITHMS, VERSIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """A named callable; `latest` is its newest version, 0 while nothing is published."""

    name: str
    team: str
    created_ns: int
    archived_ns: int | None
    latest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """What is to be published.

    Attributes:
        plan: The plan as JSON, `ui` included.
        plan_hash: Content hash of the plan.
        contract: Types of inputs and output as JSON.
        change: Against the version before: `first`, `same`, `compatible` or `breaking`.
        bundle: Hash of the code bundle, empty if none.
    """

    plan: bytes
    plan_hash: str
    contract: bytes
    change: str
    bundle: str = ""
    note: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmVersion:
    """A published plan."""

    algorithm: str
    version: int
    plan: bytes
    plan_hash: str
    contract: bytes
    change: str
    bundle: str
    note: str
    author: str
    created_ns: int
    archived_ns: int | None


_LATEST = (
    select(func.coalesce(func.max(VERSIONS.c.version), 0))
    .where(VERSIONS.c.algorithm == ALGORITHMS.c.name)
    .scalar_subquery()
    .label("latest")
)


def ensure(tx: Connection, name: str, *, team: str = "") -> Algorithm:
    """The algorithm of that name, made if it is new (the team of an existing one stays)."""
    found = tx.execute(select(ALGORITHMS, _LATEST).where(ALGORITHMS.c.name == name)).mappings().one_or_none()
    if found is None:
        tx.execute(insert(ALGORITHMS).values(name=name, team=team, created_ns=now_ns()))
    return get(tx, name)


def get(tx: Connection, name: str) -> Algorithm:
    """An algorithm. Raises `NotFound`."""
    row = tx.execute(select(ALGORITHMS, _LATEST).where(ALGORITHMS.c.name == name)).mappings().one_or_none()
    if row is None:
        raise NotFound(
            f"there is no algorithm {name!r}",
            code="algorithm-not-found",
            cure="`GET /v1/algorithms` lists them",
        )
    return Algorithm(**row)


def list_all(tx: Connection, *, team: str = "", archived: bool = False) -> Sequence[Algorithm]:
    """Algorithms by name; of one team if given; archived ones only on demand."""
    query = select(ALGORITHMS, _LATEST).order_by(ALGORITHMS.c.name)
    if team:
        query = query.where(ALGORITHMS.c.team == team)
    if not archived:
        query = query.where(ALGORITHMS.c.archived_ns.is_(None))
    return [Algorithm(**row) for row in tx.execute(query).mappings()]


def archive(tx: Connection, name: str) -> Algorithm:
    """Hide an algorithm; its versions and runs stay. Raises `NotFound`."""
    get(tx, name)
    fresh = (ALGORITHMS.c.name == name) & ALGORITHMS.c.archived_ns.is_(None)
    tx.execute(update(ALGORITHMS).where(fresh).values(archived_ns=now_ns()))
    return get(tx, name)


def publish(tx: Connection, name: str, new: NewVersion, *, latest: int | None = None) -> AlgorithmVersion:
    """Add the next version, which also brings an archived algorithm back.

    Args:
        latest: The newest version that the caller compared contracts with; None skips the check.

    Raises:
        NotFound: If there is no such algorithm (`ensure` makes it).
        Conflict: `published-meanwhile` if another publisher was faster.
    """
    algorithm = get(tx, name)
    if latest is not None and algorithm.latest != latest:
        raise Conflict(
            f"{name!r} is at version {algorithm.latest} now, this publish was checked against {latest}",
            code="published-meanwhile",
            cure="look at the new version, then publish again",
        )
    if algorithm.archived_ns is not None:
        tx.execute(update(ALGORITHMS).where(ALGORITHMS.c.name == name).values(archived_ns=None))
    values = {field: getattr(new, field) for field in NewVersion.__dataclass_fields__}
    number = algorithm.latest + 1
    tx.execute(insert(VERSIONS).values(algorithm=name, version=number, created_ns=now_ns(), **values))
    return version(tx, name, number)


def version(tx: Connection, name: str, number: int) -> AlgorithmVersion:
    """A version. Raises `NotFound` that says which there are."""
    where = (VERSIONS.c.algorithm == name) & (VERSIONS.c.version == number)
    row = tx.execute(select(VERSIONS).where(where)).mappings().one_or_none()
    if row is None:
        latest = get(tx, name).latest
        raise NotFound(
            f"{name!r} has no version {number}",
            code="version-not-found",
            cure=f"versions 1 to {latest} exist" if latest else "nothing is published under this name yet",
        )
    return AlgorithmVersion(**row)


def versions(tx: Connection, name: str) -> Sequence[AlgorithmVersion]:
    """Every version, newest first. Raises `NotFound` if there is no such algorithm."""
    get(tx, name)
    query = select(VERSIONS).where(VERSIONS.c.algorithm == name).order_by(VERSIONS.c.version.desc())
    return [AlgorithmVersion(**row) for row in tx.execute(query).mappings()]


def by_hash(tx: Connection, plan_hash: str) -> AlgorithmVersion:
    """The oldest version with that plan, for reading old runs. Raises `NotFound`."""
    query = select(VERSIONS).where(VERSIONS.c.plan_hash == plan_hash).order_by(VERSIONS.c.created_ns).limit(1)
    row = tx.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no version has the plan {plan_hash!r}", code="version-not-found")
    return AlgorithmVersion(**row)


def archive_version(tx: Connection, name: str, number: int) -> AlgorithmVersion:
    """Mark a version as not to be used any more. Raises `NotFound`."""
    version(tx, name, number)
    where = (VERSIONS.c.algorithm == name) & (VERSIONS.c.version == number) & VERSIONS.c.archived_ns.is_(None)
    tx.execute(update(VERSIONS).where(where).values(archived_ns=now_ns()))
    return version(tx, name, number)


__all__ = [
    "Algorithm",
    "AlgorithmVersion",
    "NewVersion",
    "archive",
    "archive_version",
    "by_hash",
    "ensure",
    "get",
    "list_all",
    "publish",
    "version",
    "versions",
]
