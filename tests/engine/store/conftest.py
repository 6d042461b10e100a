"""Databases at the newest revision: SQLite always, PostgreSQL as an integration test."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from algorail import migrations
from algorail.engine.store.database import Database
from algorail.engine.store.tables import METADATA


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server):
    """One migrated PostgreSQL database for all tests here."""
    database = Database(postgres_server.new_database("repositories"), busy_timeout=0.2)
    migrations.upgrade(database.engine)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)])
def database(request, tmp_path):
    """An empty database of each make."""
    if request.param == "postgres":
        database = request.getfixturevalue("migrated_postgres")
        with database.write() as tx:
            tx.execute(text(f"TRUNCATE {', '.join(METADATA.tables)} CASCADE"))
    else:
        database = Database(f"sqlite:///{tmp_path / 'algorail.db'}", busy_timeout=0.2)
        migrations.upgrade(database.engine)
    yield database
    if request.param == "sqlite":
        database.close()
