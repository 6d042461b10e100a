"""A laboratory for asynchronous runs: counted blocks with gates, workers that fall silent on demand."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from algorail.engine.kind import Effect
from algorail.engine.kit.errors import InvalidInput
from algorail.engine.registry.kinds import InstalledKinds
from algorail.engine.service.calls import Call
from algorail.engine.service.engine import Engine
from algorail.engine.service.principal import Principal, Scope
from algorail.engine.service.settings import EngineSettings, Settings
from algorail.engine.store import queue
from algorail.engine.testing.fakes import kind_of
from algorail.engine.worker.sweeper import Sweeper
from algorail.engine.worker.worker import Worker

ADMIN = Principal("key", "tests", Scope.ADMIN)
SILENT = 0.001
"""A lease that is over at once: without heartbeats its worker is taken for dead."""


class Gate:
    """Holds every call of a node until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()


class Blocks:
    """Kinds whose calls are counted by node."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.keys: list[str] = []
        self.gates: dict[str, Gate] = {}

    async def step(self, ctx: Any, x: Any) -> Any:
        self.calls[ctx.node_id] += 1
        self.keys.append(ctx.effect_key())
        if gate := self.gates.get(ctx.node_id):
            gate.reached.set()
            await gate.open.wait()
        return x + 1

    def bear(self, x: Any) -> Any:
        return {"vector": np.arange(3, dtype=np.float32) + x, "raw": b"\x00\xff", "big": 2**70}

    def add_up(self, bundle: Any) -> int:
        return int(bundle["vector"].sum()) + len(bundle["raw"]) + (bundle["big"] == 2**70)

    def fail(self, x: Any) -> Any:
        raise InvalidInput("it always fails", code="always-fails")

    def kinds(self):
        return (
            kind_of(self.step, "step", wants_context=True),
            kind_of(self.step, "charge", wants_context=True, effect=Effect.WRITE, idempotent=False),
            kind_of(self.bear, "bear"),
            kind_of(self.add_up, "add_up"),
            kind_of(self.fail, "fail"),
        )


class Lab:
    """An engine, what it publishes, and workers."""

    def __init__(self, engine: Engine, blocks: Blocks) -> None:
        self.engine = engine
        self.blocks = blocks
        self.asynchronous = engine.asynchronous

    def gate(self, node: str) -> Gate:
        return self.blocks.gates.setdefault(node, Gate())

    def publish(
        self, name: str, *kinds: str, output: str = "integer", alias: str = "prod", **rest: Any
    ) -> None:
        """A chain of nodes `a`, `b` … of these kinds; a kind may be a whole node."""
        nodes, before = [], "x"
        for letter, kind in zip("abcdefgh", kinds or ("step",) * 5, strict=False):
            node = {"kind": f"{kind}@1"} if isinstance(kind, str) else kind
            port = "bundle" if node["kind"] == "add_up@1" else "x"
            nodes.append({"id": letter, "inputs": {port: {"ref": before}}, **node})
            before = letter
        plan = {
            "schema": "algorail/plan@1",
            "name": name,
            "inputs": {"x": {"type": "integer"}},
            "output": {"type": output},
            "nodes": nodes,
            "result": {"ref": before},
            **rest,
        }
        self.engine.publishing.publish(ADMIN, name, plan, alias=alias)

    def call(self, name: str, body: bytes = b'{"x": 1}', **rest: Any) -> Call:
        return Call(algorithm=name, body=body, principal=ADMIN, **rest)

    async def submit(self, name: str, body: bytes = b'{"x": 1}', **rest: Any) -> str:
        return (await self.asynchronous.submit(self.call(name, body, **rest))).run_id

    def row(self, run_id: str) -> queue.QueuedRun:
        return self.asynchronous.outcome(run_id)

    async def work(self, run_id: str = "") -> None:
        """A worker takes one run and brings it to its end."""
        worker = Worker(self.engine)
        for run in await worker.claim(run_id=run_id):
            await worker.work(run)

    async def die_at(self, node: str) -> asyncio.Task[None]:
        """A worker takes a run and falls silent inside a node; the sweeper notices."""
        gate = self.gate(node)
        worker = Worker(self.engine)
        (run,) = await worker.claim()
        task = asyncio.create_task(worker.work(run))
        await gate.reached.wait()
        gate.reached.clear()
        while self.row(run.run_id).status == "running":
            await self.sweep()
        return task

    async def sweep(self) -> list[str]:
        rung: list[str] = []
        await Sweeper(self.engine, rung.extend).sweep()
        return rung


@pytest.fixture
def lab(tmp_path):
    """`async with lab() as it: …`; by default every worker in it counts as silent as soon as it is waited for."""

    @asynccontextmanager
    async def made(**limits: Any):
        blocks = Blocks()
        settings = Settings(home=tmp_path, engine=EngineSettings(**{"async_lease": SILENT, **limits}))
        engine = Engine(settings, kinds=InstalledKinds(points=[], extra=blocks.kinds()))
        await engine.start()
        try:
            yield Lab(engine, blocks)
        finally:
            await engine.aclose()

    return made
