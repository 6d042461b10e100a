"""One replica as a child process: started, known to be ready, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from algorail.engine.kit.errors import Unavailable

LOG_TAIL = 2000
"""Bytes of a replica's log that an error quotes."""


class ReplicaProcess:
    """A running replica. It ends with its supervisor, whatever happens to that.

    Attributes:
        url: Its base address.
        pid: Its process.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}"
        self.pid = process.pid

    @classmethod
    async def start(cls, options: Sequence[str], log: Path, within: float) -> ReplicaProcess:
        """Start a replica and wait until it is ready.

        The kernel ends a replica with the *thread* that started it, so this must be called from a
        thread that lives as long as the replica should: the event loop's own.

        Args:
            options: Of `python -m algorail.model_host.serve`.
            log: Where its output is appended.
            within: Seconds it may take to load.

        Raises:
            Unavailable: `replica-failed`, with the end of its log, or `replica-slow`.
        """
        receive, send = os.pipe()
        try:
            with log.open("ab") as stream:
                command = ["-m", "algorail.model_host.serve", *options]
                process = await asyncio.create_subprocess_exec(
                    sys.executable, *command, "--ready-fd", str(send), "--parent", str(os.getpid()),
                    stdin=asyncio.subprocess.DEVNULL, stdout=stream, stderr=stream, pass_fds=(send,),
                )  # fmt: skip
        except BaseException:
            os.close(receive)
            raise
        finally:
            os.close(send)
        try:
            async with asyncio.timeout(within):
                line = await _line(receive)
        except BaseException as error:
            await _kill(process)
            if isinstance(error, TimeoutError):
                raise Unavailable(
                    f"the replica was not ready after {within:g} s", code="replica-slow"
                ) from None
            raise
        if not line:
            status = await process.wait()
            raise Unavailable(
                f"the replica ended with status {status} before it was ready: {_tail(log)}",
                code="replica-failed",
                retryable=False,
            )
        return cls(process, json.loads(line)["port"])

    async def wait(self) -> int:
        """Its exit status, once it ends."""
        return await self._process.wait()

    async def stop(self, grace: float) -> None:
        """Let it finish what runs, then end it; by force after `grace` seconds."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(grace):
                await self._process.wait()
        except TimeoutError:
            await _kill(self._process)


async def _line(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    stream = os.fdopen(descriptor, "rb")
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stream)
    try:
        return await reader.readline()
    finally:
        transport.close()


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _tail(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - LOG_TAIL))
        lines = stream.read().decode(errors="replace").strip().splitlines()
    return " | ".join(lines[-5:]) or "its log is empty"
