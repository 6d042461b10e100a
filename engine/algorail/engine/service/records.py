"""Where runs are kept: the store that fits the database, in which form, and how long."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from algorail.engine.plan import codec
from algorail.engine.record import retention
from algorail.engine.record.codec import decode
from algorail.engine.record.encoder import RecordEncoder, RecordOptions
from algorail.engine.record.masks import Masker
from algorail.engine.record.shape import RecordShape
from algorail.engine.record.store import RecordStore
from algorail.engine.run.outcome import ErrorInfo, RunRecord
from algorail.engine.service.settings import Settings
from algorail.engine.store import algorithms
from algorail.engine.store.constants import once
from algorail.engine.store.database import Database
from algorail.engine.store.sqlite import SqliteRecordStore

FOLDER = "runs"
_SALT = "record-salt"


class RecordForm:
    """In which form runs are recorded: the operator's choices, and the installation's salt.

    Args:
        settings: What the operator says.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.engine
        self._salt = b""

    def load_salt(self, database: Database) -> None:
        """Take the salt from the database, or put it there; until then masks carry no digests. Blocking.

        It is there and not in the home folder, because processes on several machines must agree on it.
        """
        self._salt = once(database, _SALT, lambda: secrets.token_bytes(32))

    def encoder(self) -> RecordEncoder:
        """A new encoder; each thread needs its own."""
        limits = self._settings
        return RecordEncoder(
            RecordOptions(
                whole=limits.record_whole_bytes,
                large=limits.record_value_bytes,
                arrays=limits.record_arrays,
                array_bytes=limits.record_array_bytes,
                salt=self._salt,
            )
        )

    def told(self, record: RunRecord, shape: RecordShape) -> ErrorInfo | None:
        """A run's error as it may be told, and is recorded: its message without what is sensitive."""
        nested = any(block.children for block in record.blocks)
        if record.error is None or not (shape.is_sensitive or nested):
            return record.error
        encoded = self.encoder().encode(record, shape)
        return decode(encoded, shape, dict(encoded.values).__getitem__).error

    def masked_unit(self, unit: str) -> str:
        """How runs of a unit are found where units are sensitive."""
        return Masker(self._salt).unit(unit) if self._salt and unit else ""


def record_store(settings: Settings, database: Database) -> RecordStore:
    """Day files in the home folder beside SQLite, partitioned tables in PostgreSQL."""
    if database.is_sqlite:
        return SqliteRecordStore(settings.home / FOLDER)
    # psycopg is an extra; who has no PostgreSQL need not install it.
    from algorail.engine.store.postgres import PostgresRecordStore  # noqa: PLC0415

    return PostgresRecordStore(settings.database_url)


def drop_old_days(store: RecordStore, database: Database, days: int) -> Sequence[str]:
    """Drop the days of the record that nobody wants any more; returns them. Blocking.

    Args:
        days: The operator's default; an algorithm whose newest version asks for longer is heard.
    """
    with database.read() as tx:
        newest = [
            algorithms.version(tx, found.name, found.latest)
            for found in algorithms.list_all(tx)
            if found.latest
        ]
    wishes = [codec.from_json(version.plan).record.days for version in newest]
    return retention.drop_expired(store, retention.days_kept(days, wishes))


__all__ = ["drop_old_days", "record_store"]
