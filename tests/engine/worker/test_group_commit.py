"""Small writes share a transaction, and one that fails takes no other with it."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from algorail.engine.kit.errors import Conflict, InvalidInput, NotFound, Unavailable
from algorail.engine.store.database import Database
from algorail.engine.store.group_commit import GroupCommit


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'some.db'}", busy_timeout=0.05)
    with database.write() as tx:
        tx.execute(text("CREATE TABLE number (value INTEGER PRIMARY KEY)"))
    yield database
    database.close()


def numbers(database):
    with database.read() as tx:
        return sorted(tx.execute(text("SELECT value FROM number")).scalars())


class Writes:
    """Inserts numbers; odd ones are refused without harm, 13 breaks the transaction."""

    def __init__(self):
        self.groups = []

    def insert(self, tx, values):
        self.groups.append(list(values))
        outcomes = []
        for value in values:
            if value == 13:
                raise InvalidInput("thirteen")
            if value % 2:
                outcomes.append(NotFound(f"{value} is odd"))
                continue
            tx.execute(text("INSERT INTO number VALUES (:value)"), {"value": value})
            outcomes.append(value * 10)
        return outcomes


async def gathered(commits, work, values):
    return await asyncio.gather(*(commits.write(work, value) for value in values), return_exceptions=True)


def test_writes_at_once_share_a_transaction(database):
    commits, writes = GroupCommit(database), Writes()
    results = asyncio.run(gathered(commits, writes.insert, [n for n in range(50) if n != 13]))
    commits.close()
    assert results[:3:2] == [0, 20]
    assert isinstance(results[1], NotFound)
    assert numbers(database) == list(range(0, 50, 2))
    assert len(writes.groups) < 10


def test_a_write_that_breaks_its_transaction_breaks_no_other(database):
    commits, writes = GroupCommit(database), Writes()
    first, twice, thirteen, last = asyncio.run(gathered(commits, writes.insert, [2, 2, 13, 4]))
    commits.close()
    assert (first, last, type(twice), type(thirteen)) == (20, 40, Conflict, InvalidInput)
    assert numbers(database) == [2, 4]


def test_a_locked_database_is_waited_for_and_given_up_in_time(database):
    async def scenario(patience):
        commits = GroupCommit(database, patience=patience)
        try:
            with database.write():
                waiting = asyncio.create_task(commits.write(Writes().insert, 2))
                done, _ = await asyncio.wait([waiting], timeout=0.3)
            return bool(done), await waiting
        finally:
            commits.close()

    assert asyncio.run(scenario(30)) == (False, 20)
    with pytest.raises(Unavailable, match="locked"):
        asyncio.run(scenario(0))


def test_nothing_is_taken_after_the_end(database):
    commits = GroupCommit(database)
    commits.close()
    with pytest.raises(Unavailable):
        asyncio.run(commits.write(Writes().insert, 2))
