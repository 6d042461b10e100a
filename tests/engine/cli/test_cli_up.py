"""`algorail up` as a process: what it announces, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.integration

ALGORAIL = str(Path(sys.executable).with_name("algorail"))


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALGORAIL_")}
    return kept | {"ALGORAIL_HOME": str(tmp_path / "state"), "PYTHONUNBUFFERED": "1"}


@contextmanager
def up(env: dict[str, str], *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [ALGORAIL, "up", "--port", "0", *words]
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process, process.stdout.readline()
        finally:
            process.terminate()
            process.wait(30)


def refused(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ALGORAIL, "up", *words], env=env, capture_output=True, text=True, check=False, timeout=60
    )


def test_it_announces_itself_privately_and_withdraws(env, tmp_path):
    written = tmp_path / "state" / "server.json"
    with up(env) as (process, said):
        assert said.startswith("Algorail is up at http://127.0.0.1:")
        assert stat.S_IMODE(written.stat().st_mode) == 0o600
        told = json.loads(written.read_text())
        assert told["url"] in said
        assert told["key"] not in said
        headers = {"authorization": f"Bearer {told['key']}"}
        assert httpx.get(f"{told['url']}/v1/algorithms", headers=headers).json() == {"algorithms": []}
        listed = subprocess.run([ALGORAIL, "list"], env=env, capture_output=True, text=True, check=False)
        assert "none yet" in listed.stdout
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130)
        assert not written.exists()


def test_json_tells_address_and_folder(env, tmp_path):
    with up(env, "--json") as (process, first):
        document = json.loads(first + "".join(process.stdout.readline() for _ in range(3)))
    assert document["url"].startswith("http://127.0.0.1:")
    assert document["home"] == str(tmp_path / "state")


def test_a_taken_port_is_named(env):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = refused(env, "--port", port)
    assert done.returncode == 1
    assert "port-taken" in done.stderr
    assert "choose a port with --port" in done.stderr


def test_an_address_that_others_can_reach_must_be_meant(env, tmp_path):
    done = refused(env, "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 1
    assert "host-exposed" in done.stderr
    assert "--expose" in done.stderr
    assert not (tmp_path / "state" / "server.json").exists()


def test_a_wrong_setting_is_named_without_a_traceback(env):
    done = refused(env | {"ALGORAIL_ENGINE__MAX_RUNS": "many"}, "--port", "0")
    assert done.returncode == 1
    assert "max_runs" in done.stderr
    assert "Traceback" not in done.stderr
