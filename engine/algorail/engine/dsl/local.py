"""Runs an algorithm in this process, for notebooks and tests: the blocks it was written with, no record.

It knows no registry: kinds that an algorithm names by text only (`placed_kind`) need a server.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from algorail.engine.dsl.convert import converter
from algorail.engine.dsl.plain import to_plain
from algorail.engine.kind import BlockKind
from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.errors import NotFound
from algorail.engine.plan.values import inputs_validator

if TYPE_CHECKING:
    from algorail.engine.dsl.algorithm import Algorithm
    from algorail.engine.run.compile import CompiledPlan

T = TypeVar("T")


class LocalServices:
    """What blocks get in a notebook: a folder of its own, no secrets, no settings."""

    def __init__(self) -> None:
        self.home = Path(tempfile.gettempdir()) / "algorail-local"
        self.clock: Clock = SYSTEM_CLOCK
        self.settings: Mapping[str, Mapping[str, Any]] = {}
        self.secrets = self
        self._things: dict[str, Any] = {}
        self._lock = threading.RLock()

    def resolve(self, reference: str) -> str:
        """There are no secrets here."""
        raise NotFound(f"no secret {reference!r} in a local run", cure="run it on a server")

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """One object per run and key."""
        with self._lock:
            if key not in self._things:
                self._things[key] = make()
            found: T = self._things[key]
            return found

    async def close(self) -> None:
        """Closes what was shared."""
        for thing in self._things.values():
            if hasattr(thing, "aclose"):
                await thing.aclose()
            elif hasattr(thing, "close"):
                thing.close()


class _LocalKinds:
    def __init__(self, kinds: Mapping[str, BlockKind], algorithm: str) -> None:
        self._kinds = kinds
        self._algorithm = algorithm

    def get(self, key: str) -> BlockKind:
        """The kind that the algorithm was written with."""
        if key not in self._kinds:
            raise NotFound(
                f"{self._algorithm} names {key!r}, but its code is not at hand",
                code="unknown-kind",
                cure="publish the algorithm and run it on a server, or use a @block",
            )
        return self._kinds[key]


def run_local(algorithm: Algorithm, arguments: Mapping[str, Any]) -> Any:
    """One run with plain values or models, and its answer as the function declares it.

    Raises:
        InvalidInput: If the arguments do not fit the inputs.
        BlockFailed: If a block failed.
        NotFound: If a kind or a sub-algorithm is known by name only.
    """
    inputs = inputs_validator(algorithm.plan.inputs)(to_plain(dict(arguments)))
    output = _finished(_run(algorithm, inputs))
    convert = converter(algorithm.answer)
    return output if convert is None else convert(output)


async def _run(algorithm: Algorithm, inputs: dict[str, Any]) -> Any:
    services = LocalServices()
    try:
        return await compiled(algorithm, services).run(inputs)
    finally:
        await services.close()


def compiled(algorithm: Algorithm, services: LocalServices) -> CompiledPlan:
    """The algorithm, ready to run; sub-algorithms are the ones it was written with, whatever the version."""
    # Most who import an algorithm do not run it here.
    from algorail.engine.run.compile import compile_plan  # noqa: PLC0415

    def inner(name: str, version: str) -> CompiledPlan:
        found = algorithm.algorithms.get(name)
        if found is None:
            raise NotFound(f"the algorithm {name!r} ({version}) is not at hand", cure="run it on a server")
        return compiled(found, services)

    kinds = _LocalKinds(algorithm.kinds, algorithm.name)
    return compile_plan(algorithm.plan, kinds=kinds, services=services, algorithms=inner)


def _finished(run: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine; in a thread of its own where a loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, run).result()
