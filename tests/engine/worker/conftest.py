"""Engines with counted blocks, workers in processes that can be killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from algorail.engine.block.kind import BlockKind, Effect
from algorail.engine.plan import codec
from algorail.engine.registry.kinds import InstalledKinds
from algorail.engine.service.calls import Call
from algorail.engine.service.engine import Engine
from algorail.engine.service.principal import Principal, Scope
from algorail.engine.service.settings import EngineSettings, Settings
from algorail.engine.testing.fakes import kind_of

ADMIN = Principal("key", "tests", Scope.ADMIN)


class Counter:
    """Blocks that count how often each was called, by run and node."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.gates: dict[str, asyncio.Event] = {}

    async def step(self, ctx: Any, x: int) -> int:
        self.calls.append((ctx.run_id, ctx.node_id))
        gate = self.gates.get(ctx.node_id)
        if gate is not None:
            await gate.wait()
        return x + 1

    def kinds(self) -> tuple[BlockKind, ...]:
        return (
            kind_of(self.step, "step", wants_context=True),
            kind_of(self.step, "charge", wants_context=True, effect=Effect.WRITE, idempotent=False),
        )


def chain(name: str, *kinds: str, **rest: Any) -> dict[str, Any]:
    """A plan of steps that follow one another: `a` to `e` by default."""
    nodes, before = [], "x"
    for letter, kind in zip("abcdefgh", kinds or ("step",) * 5, strict=False):
        nodes.append({"id": letter, "kind": f"{kind}@1", "inputs": {"x": {"ref": before}}})
        before = letter
    return {
        "schema": "algorail/plan@1",
        "name": name,
        "inputs": {"x": {"type": "integer"}},
        "output": {"type": "integer"},
        "nodes": nodes,
        "result": {"ref": before},
        **rest,
    }


def make_engine(home: Path, counter: Counter, **limits: Any) -> Engine:
    settings = Settings(home=home, engine=EngineSettings(**{"async_lease": 3.0, **limits}))
    return Engine(settings, kinds=InstalledKinds(points=[], extra=counter.kinds()))


def call(name: str, body: bytes = b'{"x": 1}', **rest: Any) -> Call:
    return Call(algorithm=name, body=body, principal=ADMIN, **rest)
