"""kill -9 in the middle of durable runs: what was answered is on record, units keep their version."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

CHILD = Path(__file__).with_name("server_process.py")


@contextmanager
def process(home: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    child = subprocess.Popen([sys.executable, str(CHILD), str(home), "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        # The socket listens already: the first request waits in its queue until the server answers.
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            assert client.get("/healthz").status_code == 200
            client.headers["x-api-key"] = (home / "admin.key").read_text().strip()
            yield client, child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


@pytest.mark.slow
def test_no_answered_run_is_lost_and_no_unit_flips(tmp_path, build):
    answered: dict[str, str] = {}
    with process(tmp_path) as (client, child):
        for by in (1, 2):
            body = {"plan": build.adder("durable", by=by), "alias": "prod"}
            assert client.post("/v1/algorithms/durable/versions", json=body).status_code == 201
        weights = {"weights": {"1": 50, "2": 50}}
        assert client.put("/v1/algorithms/durable/aliases/prod", json=weights).status_code == 200
        units: dict[str, str] = {}
        enough = threading.Event()

        def call(worker: int) -> None:
            number = 0
            while True:
                unit = f"{worker}-{number % 20}"
                number += 1
                try:
                    answer = client.post(
                        "/v1/algorithms/durable/invoke", json={"x": number}, headers={"x-algorail-unit": unit}
                    )
                except httpx.TransportError:
                    return
                units[unit] = answer.headers["x-algorail-version"]
                answered[answer.headers["x-algorail-run-id"]] = unit
                if len(answered) >= 60:
                    enough.set()

        workers = [threading.Thread(target=call, args=(n,)) for n in range(4)]
        for worker in workers:
            worker.start()
        assert enough.wait(60)
        child.kill()
        for worker in workers:
            worker.join(30)
    assert len(answered) >= 60
    with process(tmp_path) as (client, _):
        for run_id, unit in answered.items():
            run = client.get(f"/v1/runs/{run_id}").json()
            assert (run["status"], run["unit"], str(run["version"])) == ("succeeded", unit, units[unit])
        for unit, version in units.items():
            answer = client.post(
                "/v1/algorithms/durable/invoke", json={"x": 1}, headers={"x-algorail-unit": unit}
            )
            assert answer.headers["x-algorail-version"] == version
