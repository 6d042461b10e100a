"""The child: imports one bundle and answers calls until its parent is gone.

Run as `python -I -m algorail.engine.registry.bundles.worker FD FOLDER MEMORY_BYTES MODULE:NAME …`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import inspect
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from algorail.engine.kind import BlockKind, Runner
from algorail.engine.kit.clock import SYSTEM_CLOCK
from algorail.engine.kit.errors import AlgorailError, NotFound
from algorail.engine.registry.bundles import wire

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class _Context:
    """The call context of a block inside a child."""

    run_id: str
    node_id: str
    attempt: int
    traceparent: str
    deadline: float | None
    key: str
    send: Callable[[Any], None]

    def remaining(self) -> float | None:
        """Seconds left for this call."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def effect_key(self) -> str:
        """Stable over retries."""
        return self.key

    def emit(self, delta: Any) -> None:
        """Send a part of the answer to the parent."""
        self.send(delta)


class _NoSecrets:
    """Bundles get no secrets: what they need comes in through a port."""

    def resolve(self, reference: str) -> str:
        """Always refuses."""
        raise NotFound(f"secret {reference!r} is not available to code bundles", code="secret-not-found")


@dataclass(slots=True)
class _Services:
    home: Path
    secrets: _NoSecrets = field(default_factory=_NoSecrets)
    clock: Any = SYSTEM_CLOCK
    settings: Any = field(default_factory=lambda: MappingProxyType({}))
    objects: dict[str, Any] = field(default_factory=dict)

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """One object per child and key."""
        if key not in self.objects:
            self.objects[key] = make()
        made: T = self.objects[key]
        return made


class Child:
    """One connection to the parent and the calls that run on it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, runners: dict[str, Runner]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._runners = runners
        self._calls: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Answer until the parent closes its end."""
        self._send(("ready", sorted(self._runners)))
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                verb, call_id, *rest = await wire.read(self._reader)
                if verb == "call":
                    task = asyncio.create_task(self._answer(call_id, *rest))
                    self._calls[call_id] = task
                    task.add_done_callback(partial(self._ended, call_id))
                elif call_id in self._calls:
                    self._calls[call_id].cancel()

    async def _answer(self, call_id: int, key: str, inputs: dict[str, Any], context: dict[str, Any]) -> None:
        self._send(("begun", call_id, None))
        try:
            value = await self._call(call_id, self._runners[key], inputs, context)
            message = wire.frame(("ok", call_id, value))
        except Exception as error:  # noqa: BLE001  # user code may raise anything; the parent gets it as data
            message = wire.frame(("error", call_id, _fields(error)))
        self._writer.write(message)

    def _ended(self, call_id: int, task: asyncio.Task[None]) -> None:
        del self._calls[call_id]
        if task.cancelled():  # perhaps before it began, so that only this is sure to be called
            self._send(("error", call_id, {"code": "cancelled", "message": "cancelled"}))

    async def _call(
        self, call_id: int, runner: Runner, inputs: dict[str, Any], context: dict[str, Any]
    ) -> Any:
        seconds = context.pop("remaining", None)
        deadline = None if seconds is None else time.monotonic() + seconds
        loop, home = asyncio.get_running_loop(), threading.get_ident()

        def emit(delta: Any) -> None:
            if threading.get_ident() == home:
                self._send(("emit", call_id, delta))
            else:
                loop.call_soon_threadsafe(self._send, ("emit", call_id, delta))

        args = [_Context(**context, deadline=deadline, send=emit)] if runner.wants_context else []
        if runner.in_thread and not runner.is_async:
            return await _in_thread(lambda: runner.call(*args, **inputs))
        value = runner.call(*args, **inputs)
        return await value if inspect.isawaitable(value) else value

    def _send(self, message: tuple[Any, ...]) -> None:
        self._writer.write(wire.frame(message))


async def _in_thread(call: Callable[[], Any]) -> Any:
    """Run in a thread; a cancelled call ends when its thread does, so that the parent sees a stuck one."""
    work = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def _fields(error: Exception) -> dict[str, Any]:
    if isinstance(error, AlgorailError):
        return {
            "code": error.code,
            "message": error.message,
            "cure": error.cure,
            "retryable": error.retryable,
        }
    if isinstance(error, MemoryError):
        return {"code": "bundle-memory", "message": "the block ran out of the memory that a bundle may use"}
    where = _last_line(error)
    return {"code": "block-raised", "message": f"{type(error).__name__}: {error}{where}", "retryable": True}


def _last_line(error: Exception) -> str:
    """Where in the bundle it was raised: the deepest frame of a source of this bundle."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename.startswith(sys.path[0]):
            places.append(f" ({Path(code.co_filename).name}:{trace.tb_lineno} in {code.co_name})")
        trace = trace.tb_next
    return places[-1] if places else ""


def load(names: list[str], home: Path) -> dict[str, Runner]:
    """Import the blocks `MODULE:NAME` and build their runners, by `name@version`."""
    services = _Services(home)
    runners = {}
    for name in names:
        module, _, attribute = name.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        kind: BlockKind = getattr(found, "kind", found)
        runners[kind.key] = kind.build(kind.config(), services)
    return runners


def limit(memory: int) -> None:
    """Die with the parent, and never take more address space than allowed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


async def serve(descriptor: int, folder: str, names: list[str]) -> None:
    """Load the bundle and answer on the inherited socket."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    try:
        try:
            runners = load(names, Path(folder))
        except Exception as error:  # noqa: BLE001  # whatever an import raises, the parent must be told
            writer.write(wire.frame(("broken", _fields(error))))
            await writer.drain()
            return
        await Child(reader, writer, runners).serve()
    finally:
        writer.close()


def main() -> None:
    """Entry point of the process."""
    descriptor, folder, memory, *names = sys.argv[1:]
    limit(int(memory))
    sys.path.insert(0, folder)
    asyncio.run(serve(int(descriptor), folder, names))


if __name__ == "__main__":
    main()
