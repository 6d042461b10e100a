"""Both record stores pass the exported conformance suite."""

from __future__ import annotations

import pytest

from algorail.engine.store.conformance import RecordStoreConformance
from algorail.engine.store.postgres import PostgresRecordStore
from algorail.engine.store.sqlite import SqliteRecordStore


class TestSqliteRecordStore(RecordStoreConformance):
    @pytest.fixture
    def store(self, tmp_path):
        store = SqliteRecordStore(tmp_path / "records")
        yield store
        store.close()


class TestPostgresRecordStore(RecordStoreConformance):
    @pytest.fixture
    def store(self, postgres_database):
        store = PostgresRecordStore(postgres_database)
        yield store
        store.close()
