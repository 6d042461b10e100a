"""The disk is full or a file is locked: said with a cure, and nothing that was acknowledged is lost."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from algorail.engine.api.app import create_app
from algorail.engine.registry.kinds import InstalledKinds
from algorail.engine.service.engine import Engine
from algorail.engine.service.settings import Settings
from algorail.engine.store.sqlite import SqliteRecordStore
from algorail.engine.testing.kinds import SIMPLE_KINDS
from algorail.engine.testing.server import RunningServer, running_server


class SmallDisk:
    """A record store on a disk with room for a few runs, until it is enlarged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = SqliteRecordStore(folder, busy_timeout=0.05, max_pages=16)

    def enlarge(self) -> None:
        small, self._store = self._store, SqliteRecordStore(self.folder, busy_timeout=0.05)
        small.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def disk(tmp_path: Path) -> SmallDisk:
    return SmallDisk(tmp_path / "small")


@pytest.fixture
def server(tmp_path: Path, disk: SmallDisk) -> Iterator[RunningServer]:
    settings = Settings(home=tmp_path / "home")
    engine = Engine(settings, kinds=InstalledKinds(points=[], extra=SIMPLE_KINDS), records=disk)
    with running_server(settings, create_app(settings, engine=engine)) as running:
        yield running


@pytest.fixture
def client(server: RunningServer, build) -> Iterator[httpx.Client]:
    """A client that waits for two seconds at most, with `shouting` published."""
    text = {"type": "string"}
    document = build.plan("shouting", {"text": text}, [build.node("loud", "shout", text="text")], "string")
    headers = {"x-api-key": server.admin_key, "x-algorail-deadline-ms": "500"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as connected:
        body = {"plan": document, "alias": "prod"}
        assert connected.post("/v1/algorithms/shouting/versions", json=body).status_code == 201
        yield connected


def invoke(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/v1/algorithms/shouting/invoke", json={"text": text})


def is_on_record(client: httpx.Client, run_id: str) -> bool:
    return client.get(f"/v1/runs/{run_id}").status_code == 200


def assert_refused(response: httpx.Response, cure: str) -> None:
    problem = response.json()
    assert (response.status_code, problem["code"]) == (503, "record-unavailable")
    assert response.headers["retry-after"] == "1"
    assert problem["retryable"] is True
    assert cure in problem["cure"]
    assert "idempotency key" in problem["cure"]


def test_a_full_disk_refuses_and_recovers(client, server, disk):
    noise = random.Random(1)
    acknowledged = []
    for _ in range(100):
        response = invoke(client, noise.randbytes(12_000).hex())
        if response.status_code != 200:
            break
        acknowledged.append(response.headers["x-algorail-run-id"])
    assert_refused(response, "free disk space")
    assert acknowledged
    assert all(is_on_record(client, run_id) for run_id in acknowledged), "reading goes on"
    disk.enlarge()
    after = invoke(client, "again")
    assert after.status_code == 200
    acknowledged.append(after.headers["x-algorail-run-id"])
    assert all(is_on_record(client, run_id) for run_id in acknowledged)
    kept = client.get("/v1/runs", params={"limit": 1_000}).json()["runs"]
    assert len(kept) == len(acknowledged) + 1, (
        "the run that was refused is on record, too, once there is room"
    )
    assert server.engine.writer.stats().dropped == 0


def test_a_locked_file_refuses_and_recovers(client, disk):
    first = invoke(client, "first")
    assert first.status_code == 200
    with closing(sqlite3.connect(disk.folder / f"{disk.partitions()[0]}.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        assert_refused(invoke(client, "second"), "another process holds the write lock")
        assert is_on_record(client, first.headers["x-algorail-run-id"])
    third = invoke(client, "third")
    assert third.status_code == 200
    outputs = {head["run_id"] for head in client.get("/v1/runs").json()["runs"]}
    assert {first.headers["x-algorail-run-id"], third.headers["x-algorail-run-id"]} < outputs
    assert len(outputs) == 3
