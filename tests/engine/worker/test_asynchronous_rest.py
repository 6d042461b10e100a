"""Asynchronous runs over REST: 202, Location, progress, output, cancel, batches, keys, teams."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import httpx
import pytest

from algorail.engine.api.app import create_app
from algorail.engine.kind import Effect
from algorail.engine.kit.errors import InvalidInput
from algorail.engine.registry.kinds import InstalledKinds
from algorail.engine.service.engine import Engine
from algorail.engine.service.settings import EngineSettings, Settings
from algorail.engine.testing.fakes import kind_of
from algorail.engine.testing.server import running_server
from algorail.engine.worker.executors import executor_of


def _increase(x):
    return x + 1


async def _linger(x):
    await asyncio.sleep(60)
    return x


def _fail(x):
    raise InvalidInput("it always fails", code="always-fails")


def plan(name, kind):
    return {
        "schema": "algorail/plan@1",
        "name": name,
        "inputs": {"x": {"type": "integer"}},
        "output": {"type": "integer"},
        "nodes": [{"id": "only", "kind": f"{kind}@1", "inputs": {"x": {"ref": "x"}}}],
        "result": {"ref": "only"},
    }


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    kinds = (
        kind_of(_increase, "increase"),
        kind_of(_linger, "linger", effect=Effect.WRITE, idempotent=False),
        kind_of(_fail, "fail"),
    )
    settings = Settings(
        home=tmp_path_factory.mktemp("home"), engine=EngineSettings(async_lease=0.3, async_waiting=50)
    )
    engine = Engine(settings, kinds=InstalledKinds(points=[], extra=kinds))
    app = create_app(settings, engine=engine, executor=executor_of)
    with (
        running_server(settings, app) as server,
        httpx.Client(base_url=server.url, headers={"x-api-key": server.admin_key}, timeout=30) as connected,
    ):
        for kind in ("increase", "linger", "fail"):
            body = {"plan": plan(kind, kind), "alias": "prod"}
            assert connected.post(f"/v1/algorithms/{kind}/versions", json=body).is_success
        yield connected


def ended(client, place):
    """Poll as a caller does, until there is an answer."""
    end = time.monotonic() + 20
    while (answer := client.get(place)).status_code == 202:
        assert time.monotonic() < end
        time.sleep(0.02)
    return answer


def test_a_run_is_accepted_then_answered(client):
    answer = client.post("/v1/algorithms/increase/runs", json={"x": 4})
    assert answer.status_code == 202
    document = answer.json()
    assert answer.headers["location"] == document["status_url"] == f"/v1/runs/{document['run_id']}"
    output = ended(client, document["output_url"])
    assert (output.status_code, output.json(), output.headers["x-algorail-version"]) == (200, 5, "1")
    assert output.headers["x-algorail-run-id"] == document["run_id"]
    shown = client.get(document["status_url"]).json()
    assert (shown["status"], shown["output"], shown["queue"]["attempts"]) == ("succeeded", 5, 1)
    assert document["run_id"] in [run["run_id"] for run in client.get("/v1/runs").json()["runs"]]


def test_wrong_inputs_are_refused_before_anything_is_written(client):
    assert client.post("/v1/algorithms/increase/runs", json={"x": "four"}).status_code == 422
    assert client.post("/v1/algorithms/nowhere/runs", json={"x": 4}).status_code == 404
    assert client.post("/v1/algorithms/increase/runs", content=b"{").status_code == 422
    assert client.get("/v1/runs/run_none/output").status_code == 404
    assert client.post("/v1/runs/run_none/cancel").status_code == 404


def test_a_failure_is_a_problem_document(client):
    document = client.post("/v1/algorithms/fail/runs", json={"x": 4}).json()
    output = ended(client, document["output_url"])
    assert (output.status_code, output.json()["code"], output.json()["node"]) == (502, "block-failed", "only")
    assert output.headers["content-type"] == "application/problem+json"


def test_a_cancelled_run_stays_cancelled(client):
    document = client.post("/v1/algorithms/linger/runs", json={"x": 4}).json()
    assert client.post(f"{document['status_url']}/cancel").json()["status"] == "cancelled"
    assert ended(client, document["output_url"]).json()["code"] == "run-cancelled"
    assert client.post(f"{document['status_url']}/cancel").json()["status"] == "cancelled"


def test_the_same_key_is_the_same_run(client):
    headers = {"idempotency-key": "once"}
    first, again = (
        client.post("/v1/algorithms/increase/runs", json={"x": 4}, headers=headers) for _ in range(2)
    )
    assert first.json()["run_id"] == again.json()["run_id"]
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    other = client.post("/v1/algorithms/increase/runs", json={"x": 5}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


def test_a_batch_and_a_queue_that_is_full(client):
    body = {"inputs": [{"x": n} for n in range(20)]}
    answer = client.post("/v1/algorithms/increase/batch", json=body)
    place = answer.headers["location"]
    assert (answer.status_code, place) == (202, f"/v1/batches/{answer.json()['batch']}")
    end = time.monotonic() + 20
    while not (found := client.get(place).json())["done"]:
        assert time.monotonic() < end
    assert (found["total"], found["counts"]) == (20, {"succeeded": 20})
    outputs = [client.get(f"/v1/runs/{run['run_id']}/output").json() for run in found["runs"]]
    assert outputs == list(range(1, 21))
    full = client.post("/v1/algorithms/increase/batch", json={"inputs": [{"x": 1}] * 51})
    assert (full.status_code, full.json()["code"]) == (429, "queue-full")
    assert int(full.headers["retry-after"]) > 0


def test_other_teams_see_neither_runs_nor_batches(client):
    body = {"name": "blue", "scope": "operator", "team": "blue"}
    blue = {"x-api-key": client.post("/v1/keys", json=body).json()["key"]}
    document = client.post("/v1/algorithms/increase/runs", json={"x": 4}).json()
    batch = client.post("/v1/algorithms/increase/batch", json={"inputs": [{"x": 1}]}).headers["location"]
    for place in (document["status_url"], document["output_url"], batch):
        assert client.get(place, headers=blue).status_code == 404
    assert client.post(f"{document['status_url']}/cancel", headers=blue).status_code == 404
    assert client.post("/v1/algorithms/increase/runs", json={"x": 4}, headers=blue).status_code == 404


def test_celery_is_imported_by_those_who_use_it_only():
    code = (
        "import sys, algorail.engine.api.app, algorail.engine.worker.executors\n"
        "sys.exit(bool({'celery', 'kombu'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
