"""The Alembic history goes up and down on both databases, and says what the models say."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import inspect

from algorail import migrations
from algorail.engine.store.database import Database
from algorail.engine.store.tables import METADATA


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)])
def url(request, tmp_path):
    return (
        f"sqlite:///{tmp_path / 'a.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_database")
    )


@pytest.fixture
def database(url):
    database = Database(url)
    yield database
    database.close()


def tables(database):
    return set(inspect(database.engine).get_table_names()) - {"algorail_schema"}


def test_up_and_down_and_up(database):
    assert migrations.revision(database.engine) == ""
    assert not migrations.is_current(database.engine)
    migrations.upgrade(database.engine)
    assert tables(database) == set(METADATA.tables)
    assert migrations.is_current(database.engine)
    migrations.downgrade(database.engine)
    assert tables(database) == set()
    migrations.upgrade(database.engine)
    migrations.upgrade(database.engine)
    assert migrations.is_current(database.engine)


def test_the_models_need_no_new_revision(database):
    migrations.upgrade(database.engine)
    assert migrations.check(database.engine) == []


def test_a_missing_table_is_found(database):
    migrations.upgrade(database.engine)
    with database.write() as tx:
        tx.exec_driver_sql("DROP TABLE engine_checkpoint")
    assert [change[0] for change in migrations.check(database.engine)] == ["add_table"]


def test_tables_of_others_are_left_alone(database):
    migrations.upgrade(database.engine)
    with database.write() as tx:
        tx.exec_driver_sql("CREATE TABLE engine_record_run_2026_11_23 (x INTEGER)")
    assert migrations.check(database.engine) == []


def test_every_table_has_the_prefix_and_every_constraint_a_name(database):
    migrations.upgrade(database.engine)
    assert all(name.startswith("engine_") for name in METADATA.tables)
    found = inspect(database.engine)
    for name in METADATA.tables:
        assert found.get_pk_constraint(name)["name"] == f"pk_{name}"
        assert all(key["name"].startswith(f"fk_{name}_") for key in found.get_foreign_keys(name))


def test_processes_that_start_at_once_migrate_once(url):
    code = (
        "import sys\nfrom algorail import migrations\nfrom algorail.engine.store.database import Database\n"
        "database = Database(sys.argv[1], busy_timeout=30)\nmigrations.upgrade(database.engine)\n"
        "assert migrations.is_current(database.engine)\ndatabase.close()\n"
    )
    children = [subprocess.Popen([sys.executable, "-W", "error", "-c", code, url]) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]


def test_a_broken_revision_leaves_nothing_behind(database, monkeypatch):
    from algorail.migrations import history

    def fail(*_arguments):
        raise RuntimeError("power cut")

    real = history.command.upgrade
    monkeypatch.setattr(history.command, "upgrade", lambda config, to: (real(config, to), fail()))
    with pytest.raises(RuntimeError):
        migrations.upgrade(database.engine)
    monkeypatch.undo()
    assert tables(database) == set()
    migrations.upgrade(database.engine)
    assert migrations.is_current(database.engine)
