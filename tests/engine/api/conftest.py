"""A server on a real socket with the simple kinds, one for each test module, and plans to publish on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from algorail.engine.api.app import create_app
from algorail.engine.kind import BlockKind, Effect, Runner
from algorail.engine.plan.signature import Port, Signature
from algorail.engine.plan.types import INTEGER, STRING
from algorail.engine.registry.kinds import InstalledKinds
from algorail.engine.service.engine import Engine
from algorail.engine.service.settings import EngineSettings, Settings
from algorail.engine.testing.kinds import SIMPLE_KINDS, NoConfig
from algorail.engine.testing.server import RunningServer, running_server


async def _talk(ctx: Any, text: str) -> str:
    for word in text.split():
        ctx.emit(word)
        await asyncio.sleep(0)
    return text.upper()


async def _linger(x: int) -> int:
    await asyncio.sleep(30)
    return x


def _kind(name: str, ports: dict[str, Any], output: Any, runner: Runner, **rest: Any) -> BlockKind:
    signature = Signature({port: Port(kind) for port, kind in ports.items()}, output)
    return BlockKind(
        name=name,
        summary=f"Test kind {name}.",
        config=NoConfig,
        signature=lambda _config: signature,
        build=lambda _config, _services: runner,
        **rest,
    )


WRITTEN: list[int] = []


def _write(x: int) -> int:
    WRITTEN.append(x)
    return len(WRITTEN)


EXTRA_KINDS = (
    _kind("talk", {"text": STRING}, STRING, Runner(call=_talk, is_async=True, wants_context=True)),
    _kind("linger", {"x": INTEGER}, INTEGER, Runner(call=_linger, is_async=True)),
    _kind("lie", {"x": INTEGER}, INTEGER, Runner(call=lambda x: f"not {x}")),
    _kind("write", {"x": INTEGER}, INTEGER, Runner(call=_write), effect=Effect.WRITE, idempotent=False),
)


def make_engine(home: Path, **limits: Any) -> Engine:
    settings = Settings(home=home, engine=EngineSettings(**limits))
    return Engine(settings, kinds=InstalledKinds(points=[], extra=(*SIMPLE_KINDS, *EXTRA_KINDS)))


def node(name: str, kind: str, /, **inputs: Any) -> dict[str, Any]:
    bound = {port: value if isinstance(value, dict) else {"ref": value} for port, value in inputs.items()}
    return {"id": name, "kind": f"{kind}@1", "inputs": bound}


def plan(
    name: str, inputs: dict[str, Any], nodes: list[dict[str, Any]], output: str = "integer", **rest: Any
) -> dict[str, Any]:
    return {
        "schema": "algorail/plan@1",
        "name": name,
        "inputs": inputs,
        "output": {"type": output},
        "nodes": nodes,
        "result": {"ref": nodes[-1]["id"]},
        **rest,
    }


def adder(name: str, *, by: int = 1, **rest: Any) -> dict[str, Any]:
    """`x + by`, so that versions can be told apart by their answers."""
    return plan(name, {"x": {"type": "integer"}}, [node("sum", "add", a="x", b={"value": by})], **rest)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return make_engine(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def server(engine: Engine) -> Iterator[RunningServer]:
    with running_server(engine.settings, create_app(engine.settings, engine=engine)) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.admin_key}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as connected:
        yield connected


@pytest.fixture(scope="module")
def anyone(server: RunningServer) -> Iterator[httpx.Client]:
    """A connection that brings no key of its own."""
    with httpx.Client(base_url=server.url, timeout=30) as connected:
        yield connected


@pytest.fixture
def publish(client: httpx.Client) -> Callable[..., dict[str, Any]]:
    def published(document: dict[str, Any], **rest: Any) -> dict[str, Any]:
        body = {"plan": document, "alias": "prod", **rest}
        response = client.post(f"/v1/algorithms/{document['name']}/versions", json=body)
        assert response.is_success, response.text
        return response.json()

    return published


@pytest.fixture(scope="session")
def build() -> Any:
    """The helpers above, for test modules: `build.adder("name")`, `build.make_engine(home)`."""

    class Build:
        pass

    for helper in (adder, plan, node, make_engine):
        setattr(Build, helper.__name__, staticmethod(helper))
    Build.written = WRITTEN
    return Build
