"""Runs the migrations on the engine of a `store.database.Database`, one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlmodel.sql.sqltypes import AutoString

from algorail.engine.store.tables import METADATA

FOLDER = Path(__file__).parent
VERSION_TABLE = "algorail_schema"
LOCK = 0x616C67  # any number that nobody else uses as a PostgreSQL advisory lock

TARGETS = [METADATA]
"""The metadata of every component that has tables."""


def upgrade(engine: Engine, to: str = "head") -> None:
    """Bring the database to a revision; a second process waits, then finds nothing to do."""
    with _locked(engine) as connection:
        command.upgrade(_config(connection), to)


def downgrade(engine: Engine, to: str = "base") -> None:
    """Take revisions back, down to `to`."""
    with _locked(engine) as connection:
        command.downgrade(_config(connection), to)


def check(engine: Engine) -> list[Any]:
    """What a new revision would have to change; empty when tables and models agree."""
    with engine.connect() as connection:
        found = compare_metadata(_context(connection), TARGETS)  # type: ignore[arg-type]  # a list is fine
        return list(found)


def revision(engine: Engine) -> str:
    """The revision that the database stands at, empty if none."""
    with engine.connect() as connection:
        return _context(connection).get_current_revision() or ""


def head() -> str:
    """The newest revision."""
    return ScriptDirectory.from_config(_config(None)).get_current_head() or ""


def is_current(engine: Engine) -> bool:
    """Whether the database stands at the newest revision."""
    return revision(engine) == head()


def revise(engine: Engine, message: str) -> None:
    """Write a new revision file from the difference between tables and models (for developers)."""
    with engine.connect() as connection:
        command.revision(_config(connection), message=message, autogenerate=True)


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts=options())


def options() -> dict[str, Any]:
    """How Alembic compares and writes, the same for every command."""
    return {
        "target_metadata": TARGETS,
        "version_table": VERSION_TABLE,
        "include_name": _ours,
        "compare_type": True,
        "render_as_batch": True,
        "render_item": _render,
    }


def _render(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Write SQLModel's own string type as the plain one, so that old revisions need no SQLModel."""
    return "sa.String()" if kind == "type" and isinstance(item, AutoString) else False


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave tables of others in the same database alone, such as the partitions of the record."""
    return kind != "table" or any(name in target.tables for target in TARGETS)


@contextmanager
def _locked(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other migration can overlap: SQLite's write lock, PostgreSQL's advisory lock."""
    with engine.connect() as plain:
        connection = plain.execution_options(algorail_begin="BEGIN IMMEDIATE")
        with connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            yield connection
