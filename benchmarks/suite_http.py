"""An invocation over HTTP against a bare ASGI app and handlers by hand, each on uvicorn in its own process.

POST of 1 KB JSON through six blocks, validated in and out. What counts is the CPU time of the *server's*
process per request; it tells it itself. 32 connections, keep-alive. The engine is measured with a durable
record (commit and fsync before the answer), with an asynchronous one and without.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from algorail.engine.api import serving
from algorail.engine.api.app import create_app
from algorail.engine.registry.kinds import InstalledKinds
from algorail.engine.service.engine import Engine
from algorail.engine.service.settings import Settings
from algorail.engine.testing.kinds import SIMPLE_KINDS
from benchmarks.harness import Bench, Comparison, Timing
from benchmarks.http_rivals import bare, fastapi_handler, starlette_route

CONNECTIONS = 32
REQUESTS = int(os.environ.get("ALGORAIL_BENCH_REQUESTS", "2000"))
BODY = json.dumps({"x": 1, "text": "lorem ipsum " * 80}).encode()
RIVALS: dict[str, Callable[[], ASGIApp]] = {
    "bare ASGI app": lambda: bare,
    "Starlette route by hand, nothing checked": starlette_route,
    "FastAPI + pydantic handler by hand": fastapi_handler,
}
MODES = ("durable", "async", "off")
BUDGET = 2.4
SERVED: dict[str, Any] = {"server_header": False, "proxy_headers": False}
"""As `api.serving` serves; the same for everybody."""
MEGABYTE = 2**20


@dataclass(slots=True)
class Target:
    """A path of a served application."""

    name: str
    port: int
    request: bytes


def plan(mode: str) -> dict[str, Any]:
    """Six blocks in a chain, a text of about 1 KB passed along."""
    nodes = []
    before = "x"
    for number in range(5):
        inputs = {"a": {"ref": before}, "b": {"value": number}}
        nodes.append({"id": f"n{number}", "kind": "add@1", "inputs": inputs})
        before = f"n{number}"
    nodes.append({"id": "shouted", "kind": "shout@1", "inputs": {"text": {"ref": "text"}}})
    integer, text = {"type": "integer"}, {"type": "string"}
    output = {
        "type": "object",
        "properties": {"sum": integer, "text": text},
        "required": ["sum", "text"],
        "additionalProperties": False,
    }
    return {
        "schema": "algorail/plan@1",
        "name": f"chain_{mode}",
        "inputs": {"x": integer, "text": text},
        "output": output,
        "nodes": nodes,
        "result": {"dict": {"sum": {"ref": before}, "text": {"ref": "shouted"}}},
        "record": {"mode": mode},
    }


def metered(app: ASGIApp) -> ASGIApp:
    """The application, and `/cpu` that tells the seconds of CPU and the bytes of memory it has used."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/cpu":
            await app(scope, receive, send)
            return
        body = json.dumps([time.process_time(), resident_bytes()]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return served


def resident_bytes() -> int:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def serve(what: str, home: str) -> None:
    """Run one server; called in a child process."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(listener.getsockname()[1], flush=True)
    if what == "engine":
        settings = Settings(home=Path(home))
        kinds = InstalledKinds(points=[], extra=SIMPLE_KINDS)
        app = create_app(settings, engine=Engine(settings, kinds=kinds))
        serving.serve(metered(app), listener, on_ready=_nothing, on_stop=_nothing, log_level="error")
        return
    config = uvicorn.Config(metered(RIVALS[what]()), log_level="error", access_log=False, **SERVED)
    uvicorn.Server(config).run(sockets=[listener])


def _nothing() -> None:
    """Nobody waits to be told."""


async def suite(bench: Bench) -> None:
    """Interleave the floor, what is written by hand and the engine's modes, round by round."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        children = {"engine": child("engine", folder)}
        try:
            engine = port_of(children["engine"])
            await wait_until_ready(engine)
            seconds = round(time.perf_counter() - started, 2)
            busy, memory = await usage(engine)
            bench.fact("API process", "from start to ready, new database", seconds, unit="s", budget=2)
            bench.fact("API process", "CPU of that", round(busy, 2), unit="s", budget=2)
            bench.fact("API process", "RSS when ready", round(memory / MEGABYTE), unit="MiB", budget=150)
            children |= {name: child(name, folder) for name in RIVALS}
            targets = [Target(name, port_of(children[name]), post("/", "")) for name in RIVALS]
            key = (Path(folder) / "admin.key").read_text().strip()
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{engine}") as client:
                for mode in MODES:
                    await publish(client, mode, key)
                    path = f"/v1/algorithms/chain_{mode}/invoke"
                    targets.append(Target(f"invoke, record {mode}", engine, post(path, key)))
            await compare(bench, targets)
            _, memory = await usage(engine)
            bench.fact("API process", "RSS after the load", round(memory / MEGABYTE), unit="MiB", budget=150)
        finally:
            for process in children.values():
                process.terminate()
                process.wait()


async def compare(bench: Bench, targets: list[Target]) -> None:
    """CPU of the server per request, as a ratio to the floor of the same round."""
    samples: list[list[tuple[float, float]]] = [[] for _ in targets]
    for target in targets:
        await load(target, REQUESTS // 4)
    for _ in range(bench.rounds):
        for target, kept in zip(targets, samples, strict=True):
            before, _ = await usage(target.port)
            began = time.perf_counter()
            await load(target, REQUESTS)
            wall = time.perf_counter() - began
            after, _ = await usage(target.port)
            kept.append((wall / REQUESTS, (after - before) / REQUESTS))
    timings = []
    for target, kept in zip(targets, samples, strict=True):
        ratios = [mine[1] / base[1] for mine, base in zip(kept, samples[0], strict=True)]
        walls, cpus = zip(*kept, strict=True)
        budget = BUDGET if target.name.endswith("durable") else None
        timings.append(
            Timing(
                target.name,
                statistics.median(walls) * 1e6,
                statistics.median(cpus) * 1e6,
                statistics.median(ratios),
                budget,
            )
        )
    title = f"POST {len(BODY)} bytes → 6 blocks → JSON, {CONNECTIONS} connections"
    bench.comparisons.append(Comparison(title, "cpu", tuple(timings)))


async def load(target: Target, requests: int) -> None:
    """Send requests over all connections; every answer must be a 200."""
    await asyncio.gather(*(_talk(target, requests // CONNECTIONS) for _ in range(CONNECTIONS)))


async def _talk(target: Target, requests: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    try:
        for _ in range(requests):
            writer.write(target.request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{target.name}: {head[:200]!r}")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
    finally:
        writer.close()
        await writer.wait_closed()


def post(path: str, key: str) -> bytes:
    """The bytes of a request."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(BODY)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + BODY


def child(what: str, home: str) -> subprocess.Popen[str]:
    """A server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.suite_http", what, home]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def port_of(process: subprocess.Popen[str]) -> int:
    """The port that a child printed."""
    if process.stdout is None:
        raise RuntimeError("the child has no output to read")
    return int(process.stdout.readline())


async def wait_until_ready(port: int) -> None:
    """The socket listens before the server does: the first request waits in its queue."""
    async with httpx.AsyncClient(timeout=60) as client:
        (await client.get(f"http://127.0.0.1:{port}/readyz")).raise_for_status()


async def usage(port: int) -> tuple[float, int]:
    """Seconds of CPU and bytes of memory of a server."""
    async with httpx.AsyncClient(timeout=60) as client:
        seconds, memory = (await client.get(f"http://127.0.0.1:{port}/cpu")).json()
    return seconds, memory


async def publish(client: httpx.AsyncClient, mode: str, key: str) -> None:
    """Publish the chain with a record mode."""
    document = plan(mode)
    response = await client.post(
        f"/v1/algorithms/{document['name']}/versions",
        json={"plan": document, "alias": "prod"},
        headers={"x-api-key": key},
    )
    response.raise_for_status()


if __name__ == "__main__":
    serve(*sys.argv[1:])
