"""Where runs are kept: the store that fits the database, and how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from algorail.engine.record.store import RecordStore
from algorail.engine.service.settings import Settings
from algorail.engine.store.database import Database
from algorail.engine.store.sqlite import SqliteRecordStore

FOLDER = "runs"


def record_store(settings: Settings, database: Database) -> RecordStore:
    """Day files in the home folder beside SQLite, partitioned tables in PostgreSQL."""
    if database.is_sqlite:
        return SqliteRecordStore(settings.home / FOLDER)
    # psycopg is an extra; who has no PostgreSQL need not install it.
    from algorail.engine.store.postgres import PostgresRecordStore  # noqa: PLC0415

    return PostgresRecordStore(settings.database_url)


def drop_old_days(store: RecordStore, days: int, *, today: datetime | None = None) -> list[str]:
    """Drop every day of the record that is more than `days` days old; returns them. Blocking."""
    first_kept = ((today or datetime.now(UTC)) - timedelta(days=days)).strftime("%Y-%m-%d")
    dropped = [day for day in store.partitions() if day < first_kept]
    for day in dropped:
        store.drop_partition(day)
    return dropped


__all__ = ["drop_old_days", "record_store"]
