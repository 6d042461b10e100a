"""The tables of the engine, all prefixed `engine_`. Rows never leave this package, domain objects do.

Times are whole nanoseconds since the epoch (UTC), read from the database's own clock. JSON is stored as
bytes, written by whoever owns its meaning. The record is kept elsewhere (`store.sqlite`, `store.postgres`).
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

from sqlalchemy import BigInteger, Index, Integer, MetaData, Table
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraint names are fixed, so that a migration can drop what another one made."""

METADATA = MetaData(naming_convention=NAMING)

_Serial = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up only what is declared INTEGER."""


class EngineTable(SQLModel):
    """Base of every table here; its metadata is what the migrations compare with."""

    metadata = METADATA


def _time(**options: Any) -> Any:
    return Field(sa_type=BigInteger, **options)


class AlgorithmRow(EngineTable, table=True):
    """A name and who owns it."""

    __tablename__: ClassVar[Any] = "engine_algorithm"
    name: str = Field(primary_key=True)
    team: str = ""
    created_ns: int = _time()
    archived_ns: int | None = _time(default=None)


class VersionRow(EngineTable, table=True):
    """A published plan; only `archived_ns` ever changes."""

    __tablename__: ClassVar[Any] = "engine_version"
    algorithm: str = Field(primary_key=True, foreign_key="engine_algorithm.name")
    version: int = Field(primary_key=True)
    plan: bytes
    plan_hash: str = Field(index=True)
    contract: bytes
    change: str
    bundle: str = ""
    note: str = ""
    author: str = ""
    created_ns: int = _time()
    archived_ns: int | None = _time(default=None)


class DraftRow(EngineTable, table=True):
    """The one editable copy of an algorithm."""

    __tablename__: ClassVar[Any] = "engine_draft"
    algorithm: str = Field(primary_key=True, foreign_key="engine_algorithm.name")
    revision: int
    plan: bytes
    author: str = ""
    updated_ns: int = _time()


class AliasRow(EngineTable, table=True):
    """A moving name: what it means now."""

    __tablename__: ClassVar[Any] = "engine_alias"
    algorithm: str = Field(primary_key=True, foreign_key="engine_algorithm.name")
    name: str = Field(primary_key=True)
    epoch: int
    version: int | None = None
    split: bytes | None = None
    author: str = ""
    updated_ns: int = _time()


class AliasHistoryRow(EngineTable, table=True):
    """Everything an alias ever meant, one row an epoch; a removed alias leaves neither version nor split."""

    __tablename__: ClassVar[Any] = "engine_alias_history"
    algorithm: str = Field(primary_key=True, foreign_key="engine_algorithm.name")
    name: str = Field(primary_key=True)
    epoch: int = Field(primary_key=True)
    version: int | None = None
    split: bytes | None = None
    author: str = ""
    updated_ns: int = _time()


class ApiKeyRow(EngineTable, table=True):
    """A key's hash; the key itself is shown once and never stored."""

    __tablename__: ClassVar[Any] = "engine_api_key"
    id: str = Field(primary_key=True)
    hash: str = Field(unique=True)
    name: str
    scope: str
    team: str = ""
    created_ns: int = _time()
    revoked_ns: int | None = _time(default=None)
    last_used_ns: int | None = _time(default=None)


class AuditRow(EngineTable, table=True):
    """One act of one person; rows are only ever added."""

    __tablename__: ClassVar[Any] = "engine_audit"
    id: int | None = Field(default=None, primary_key=True, sa_type=cast("Any", _Serial))
    at_ns: int = _time(index=True)
    actor: str
    action: str
    subject: str
    details: bytes


class IdempotencyRow(EngineTable, table=True):
    """What an idempotency key of a route was used for."""

    __tablename__: ClassVar[Any] = "engine_idempotency"
    route: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    body_hash: str
    run_id: str
    response: bytes | None = None
    created_ns: int = _time()
    expires_ns: int = _time(index=True)


class ConstantRow(EngineTable, table=True):
    """What an installation decides once."""

    __tablename__: ClassVar[Any] = "engine_constant"
    name: str = Field(primary_key=True)
    value: bytes
    created_ns: int = _time()


class BundleRow(EngineTable, table=True):
    """A code bundle, by content hash."""

    __tablename__: ClassVar[Any] = "engine_bundle"
    hash: str = Field(primary_key=True)
    manifest: bytes
    archive: bytes
    size: int = Field(sa_type=BigInteger)
    author: str = ""
    created_ns: int = _time()


class AsyncRunRow(EngineTable, table=True):
    """A run that was acknowledged before it was done; this row is the truth about it."""

    __tablename__: ClassVar[Any] = "engine_async_run"
    __table_args__ = (Index(None, "status", "available_ns"), Index(None, "status", "lease_until_ns"))
    run_id: str = Field(primary_key=True)
    algorithm: str = Field(index=True)
    version: int
    plan_hash: str
    alias: str = ""
    variant: str = ""
    reason: str = ""
    unit: str = ""
    labels: str = Field(default="{}", sa_column_kwargs={"server_default": "{}"})
    team: str = ""
    batch: str = Field(default="", index=True)
    trace: str = ""
    inputs: bytes
    output: bytes | None = None
    error: bytes | None = None
    status: str
    epoch: int = 0
    attempts: int = 0
    owner: str = ""
    created_ns: int = _time()
    available_ns: int = _time()
    deadline_ns: int | None = _time(default=None)
    lease_until_ns: int | None = _time(default=None)
    heartbeat_ns: int | None = _time(default=None)
    finished_ns: int | None = _time(default=None)


class OutboxRow(EngineTable, table=True):
    """A doorbell that is still to be rung at the broker; committed together with its run."""

    __tablename__: ClassVar[Any] = "engine_outbox"
    run_id: str = Field(primary_key=True, foreign_key="engine_async_run.run_id", ondelete="CASCADE")
    created_ns: int = _time(index=True)


class CheckpointRow(EngineTable, table=True):
    """The committed result of one node of one asynchronous run; never computed again."""

    __tablename__: ClassVar[Any] = "engine_checkpoint"
    run_id: str = Field(primary_key=True, foreign_key="engine_async_run.run_id", ondelete="CASCADE")
    node: str = Field(primary_key=True)
    epoch: int
    result: bytes
    created_ns: int = _time()


def _table(model: type[SQLModel]) -> Table:
    return cast("Table", model.__table__)  # type: ignore[attr-defined]  # SQLModel sets it at class creation


ALGORITHMS = _table(AlgorithmRow)
VERSIONS = _table(VersionRow)
DRAFTS = _table(DraftRow)
ALIASES = _table(AliasRow)
ALIAS_HISTORY = _table(AliasHistoryRow)
API_KEYS = _table(ApiKeyRow)
AUDIT = _table(AuditRow)
CONSTANTS = _table(ConstantRow)
IDEMPOTENCY = _table(IdempotencyRow)
BUNDLES = _table(BundleRow)
ASYNC_RUNS = _table(AsyncRunRow)
OUTBOX = _table(OutboxRow)
CHECKPOINTS = _table(CheckpointRow)
