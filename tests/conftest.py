"""Fixtures that every component's tests may use: real servers, started on first need."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from algorail.engine.testing.servers import PostgresServer, Server, start_postgres, start_valkey

SERVER_FIXTURES = {"postgres_server", "postgres_url", "postgres_database", "valkey_server", "valkey_url"}

_database_numbers = count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that needs a server is an integration test, whether it says so or not."""
    for item in items:
        if SERVER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for the session; `new_database` gives a test its own."""
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """The database that all tests of the session share."""
    return postgres_server.url


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> str:
    """The URL of an empty database for one test."""
    return postgres_server.new_database(f"test_{next(_database_numbers)}")


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Server]:
    """One Valkey for the session."""
    with start_valkey() as server:
        yield server


@pytest.fixture(scope="session")
def valkey_url(valkey_server: Server) -> str:
    """The Valkey that all tests of the session share."""
    return valkey_server.url
