"""The parent's end of one child: start, call, cancel, kill."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorail.engine.kit.errors import BlockFailed, Unavailable
from algorail.engine.registry.bundles import wire

logger = logging.getLogger("algorail.bundle")

_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "LD_LIBRARY_PATH")
"""The only variables a child inherits: it must not see keys or addresses of the server."""


def scrubbed_environment(*, also: Sequence[str] = ()) -> dict[str, str]:
    """The variables that other people's code may see.

    Args:
        also: Further names; one that ends with `_` means every name that begins with it.
    """
    families = tuple(name for name in also if name.endswith("_"))
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_VARIABLES or name in also or (families and name.startswith(families))
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start a child of a bundle.

    Attributes:
        python: Interpreter.
        folder: Where the sources lie.
        blocks: `MODULE:NAME` of every block.
        memory: Address space, bytes.
        start_seconds: How long importing may take.
        grace_seconds: How long a cancelled call may take to end before the child is killed.
    """

    python: Path
    folder: Path
    blocks: Sequence[str]
    memory: int
    start_seconds: float = 60.0
    grace_seconds: float = 0.5


class NeverBegun(Exception):
    """The child died before it came to this call, which may therefore be given to another."""


@dataclass(slots=True)
class _Call:
    node: str
    answer: asyncio.Future[Any]
    emit: Callable[[Any], None]
    begun: bool = False


@dataclass(slots=True, eq=False)
class Process:
    """A running child; many calls may be under way at once."""

    launch: Launch
    child: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    calls: dict[int, _Call] = field(default_factory=dict)
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    alive: bool = True
    _ids: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.tasks.append(asyncio.create_task(self._log()))

    def watch(self) -> None:
        """Take its answers from now on."""
        self.tasks.append(asyncio.create_task(self._listen()))

    async def call(
        self, key: str, inputs: dict[str, Any], context: dict[str, Any], emit: Callable[[Any], None]
    ) -> Any:
        """Run a block in the child.

        Raises:
            BlockFailed: What the block raised, or `bundle-crashed` (retryable) if the child died meanwhile.
            NeverBegun: If the child died before.
            TypeError: If the inputs are not plain data.
        """
        number = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        message = wire.frame(("call", number, key, inputs, context))
        self.calls[number] = _Call(context["node_id"], answer, emit)
        self.writer.write(message)
        try:
            return await answer
        except asyncio.CancelledError:
            self._cancel(number)
            raise
        finally:
            if answer.done() and not answer.cancelled():
                self.calls.pop(number, None)

    def kill(self) -> None:
        """End the child at once."""
        self.alive = False
        if self.child.returncode is None:
            # Not `child.kill()`: it polls, and so takes the exit status away from the event loop's watcher.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child.pid, signal.SIGKILL)

    async def aclose(self) -> None:
        """End the child and everything that watches it."""
        self.kill()
        await self.child.wait()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def _cancel(self, number: int) -> None:
        """Ask the child to stop the call; kill the child if it does not listen (an endless loop)."""
        if not self.alive:
            return
        self.writer.write(wire.frame(("cancel", number)))
        asyncio.get_running_loop().call_later(self.launch.grace_seconds, self._kill_if_stuck, number)

    def _kill_if_stuck(self, number: int) -> None:
        call = self.calls.get(number)
        # One that has not begun only waits for others, which are no worse for it.
        if call is not None and call.begun and self.alive:
            logger.warning("a block did not stop when it was told to; its worker is killed")
            self.kill()

    async def _listen(self) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    self._receive(await wire.read(self.reader))
        except (ValueError, TypeError) as error:
            logger.error("the worker of a code bundle does not keep to the protocol: %s", error)
        finally:
            self.kill()
            self._fail_all()

    def _receive(self, message: list[Any]) -> None:
        verb, number, payload = message
        call = self.calls.get(number)
        if call is None:
            return
        if verb == "begun":
            call.begun = True
            return
        if verb == "emit":
            call.emit(payload)
            return
        if not call.answer.done():
            if verb == "ok":
                call.answer.set_result(payload)
            else:
                call.answer.set_exception(BlockFailed(**payload, node=call.node))
        del self.calls[number]

    def _fail_all(self) -> None:
        tail = f"; it last said: {self.last_lines[-1]}" if self.last_lines else ""
        for call in self.calls.values():
            if call.answer.done():
                continue
            if not call.begun:
                call.answer.set_exception(NeverBegun())
                continue
            call.answer.set_exception(
                BlockFailed(
                    f"the worker of this code bundle died{tail}",
                    code="bundle-crashed",
                    node=call.node,
                    cure="see the server's log; the worker is replaced by itself",
                    retryable=True,
                )
            )
        self.calls.clear()

    async def _log(self) -> None:
        """Forward what the child prints; a line without an end is cut, never waited for."""
        while self.child.stdout is not None and (chunk := await self.child.stdout.read(4_096)):
            for line in chunk.decode("utf-8", "replace").splitlines():
                self.last_lines.append(line[:500])
                logger.info("%s", line[:500])


async def start(launch: Launch) -> Process:
    """Start a child and wait until it has imported its bundle.

    Raises:
        Unavailable: `bundle-broken` with what the import raised; `bundle-crashed`, if it does not start or
            dies; `bundle-slow`, if it takes longer than `start_seconds`.
    """
    process = await _spawned(launch)
    try:
        await asyncio.wait_for(_ready(process), launch.start_seconds)
    except TimeoutError as error:
        await process.aclose()
        raise Unavailable(
            f"a code bundle did not import within {launch.start_seconds:.0f} s",
            code="bundle-slow",
            cure="move slow work from the top of the file into the block",
            retryable=False,
        ) from error
    except BaseException:
        await process.aclose()
        raise
    process.watch()
    return process


async def _spawned(launch: Launch) -> Process:
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            child = await asyncio.create_subprocess_exec(
                str(launch.python), "-I", "-m", "algorail.engine.registry.bundles.worker",
                str(theirs.fileno()), str(launch.folder), str(launch.memory), *launch.blocks,
                pass_fds=(theirs.fileno(),),
                cwd=launch.folder,
                env=scrubbed_environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
        reader, writer = await asyncio.open_connection(sock=ours)
    except OSError as error:
        ours.close()
        raise Unavailable(
            f"the worker of a code bundle cannot be started: {error.strerror}", code="bundle-crashed"
        ) from error
    except BaseException:
        ours.close()
        raise
    return Process(launch, child, reader, writer)


async def _ready(process: Process) -> None:
    try:
        message = await wire.read(process.reader)
    except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
        process.kill()
        await process.child.wait()
        said = " / ".join(process.last_lines) or "nothing"
        raise Unavailable(
            f"the worker of a code bundle ended while starting; it said: {said}", code="bundle-crashed"
        ) from error
    if message[0] != "ready":
        fields = message[1]
        raise Unavailable(
            f"the code bundle does not import: {fields['message']}",
            code="bundle-broken",
            cure="publish a version whose file imports in a fresh interpreter with its declared requirements",
            retryable=False,
        )
