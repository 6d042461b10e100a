"""`algorail worker` as an operator starts and stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

MAIN = "from algorail.engine.cli import main; main()"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_without_a_broker_stops_cleanly(tmp_path, number):
    command = [sys.executable, "-c", MAIN, "worker", "--concurrency", "2"]
    environment = {**os.environ, "ALGORAIL_HOME": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert "Working on the runs of" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(timeout=30) == 0


@pytest.mark.slow
def test_a_celery_worker_works_and_stops_cleanly(tmp_path, valkey_url):
    command = [sys.executable, "-c", MAIN, "worker", "--log-level", "info"]
    environment = {
        **os.environ,
        "ALGORAIL_HOME": str(tmp_path),
        "ALGORAIL_ENGINE__BROKER_URL": valkey_url,
    }
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert any(" ready." in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(timeout=30) == 0
