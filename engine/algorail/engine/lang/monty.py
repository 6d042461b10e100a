"""User code in Monty, a Python interpreter of its own in worker processes (https://github.com/pydantic/monty).

The code is a subset of Python 3.14 without classes from the host, files, network, clock or chance: the same
inputs give the same output. It may import `math`, `re`, `json`, `collections`, `itertools` and their like.
A worker that is killed or crashes takes one run with it, never the host; the pool starts another.
"""

from __future__ import annotations

import asyncio
import keyword
import os
import re
import textwrap
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import pydantic_monty

from algorail.engine.kit.errors import (
    AlgorailError,
    ConfigInvalid,
    InvalidInput,
    LimitExceeded,
    Overloaded,
    Problem,
)
from algorail.engine.lang._stubs import Stubs
from algorail.engine.lang.sandbox import MAX_CODE, Limits
from algorail.engine.plan.types import FieldType, Type, VectorType

MAX_DEPTH = 64
"""How deep inputs and outputs may nest."""

MAX_WAITING = 256
"""Runs that may wait for a worker at once, per process."""

_RECYCLE = 10_000
"""Runs after which a worker is replaced, so that no leak of the young library grows for ever."""

_POLICY: pydantic_monty.OSPolicy = {"datetime": "call_host", "sleep": "zero", "random_start": {"seed": 0}}
"""No clock (nobody answers the call), no waiting, and the same random numbers in every run."""


class MontySandbox:
    """A pool of Monty workers, started on the first run. Safe to use from several threads and event loops.

    The pool blocks, so each run waits in a thread of the sandbox's own. The library's asyncio pool is not
    used: its threads now and then abort the process when the interpreter ends.

    Args:
        limits: What one run may use.
        workers: Processes at most (about 30 MB each), None for one per processor.
    """

    def __init__(self, limits: Limits | None = None, workers: int | None = None) -> None:
        self.limits = limits or Limits()
        self._workers = workers or os.cpu_count() or 1
        self._lock = threading.Lock()
        self._pool: pydantic_monty.Monty | None = None
        self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="sandbox")
        self._waiting = 0

    def compile(self, code: str, inputs: Mapping[str, Type], output: Type) -> MontyProgram:
        """Check code without running it; see `Sandbox.compile`."""
        _refuse_early(code, inputs)
        code = textwrap.dedent(code)
        stubs = Stubs()
        parameters = ", ".join(f'{name}: "{stubs.input(port)}"' for name, port in inputs.items())
        head = f'def transform({parameters}) -> "{stubs.output(output)}":'
        problems = _check(head, code, stubs.text)
        if problems:
            first = problems[0]
            raise ConfigInvalid(
                f"the code is not valid: {first.message}", code=first.code, cure=first.cure, problems=problems
            )
        return MontyProgram(self, code, output)

    async def run(self, code: str, inputs: Mapping[str, Any]) -> Any:
        """Run code in a fresh session and return what it returns, as plain data."""
        values = {name: _sandboxed(value) for name, value in inputs.items()}
        if self._waiting >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} runs of user code are waiting for a worker", retry_after=1.0)
        self._waiting += 1
        try:
            work = self._threads.submit(self._run, code, values)
            return await asyncio.wrap_future(work)
        finally:
            self._waiting -= 1

    async def aclose(self) -> None:
        """End the workers, after what they are doing."""
        await asyncio.get_running_loop().run_in_executor(None, self.close)

    def close(self) -> None:
        """End the workers, after what they are doing."""
        self._threads.shutdown(cancel_futures=True)
        with self._lock:
            if self._pool is not None:
                self._pool.__exit__(None, None, None)
                self._pool = None

    def _run(self, code: str, values: dict[str, Any]) -> Any:
        limits: pydantic_monty.ResourceLimits = {
            "max_feed_duration_secs": self.limits.seconds,
            "max_memory": self.limits.memory,
            "max_recursion_depth": self.limits.depth,
        }
        printed = pydantic_monty.CollectString(max_bytes=self.limits.printed)
        try:
            with self._started().checkout(limits=limits, os_policy=_POLICY) as session:
                result = session.feed_run(code, inputs=values, print_callback=printed)
        except (pydantic_monty.MontyError, ValueError, RecursionError) as error:
            raise _failure(error, self.limits) from None
        return _Plain(self.limits.output).of(result)

    def _started(self) -> pydantic_monty.Monty:
        with self._lock:
            if self._pool is None:
                pool = pydantic_monty.Monty(
                    max_processes=self._workers,
                    max_checkouts_per_worker=_RECYCLE,
                    feed_duration_limit_grace=self.limits.seconds,
                )
                self._pool = pool.__enter__()
            return self._pool


class MontyProgram:
    """Code that `MontySandbox.compile` found right."""

    __slots__ = ("_as_vector", "_sandbox", "code")

    def __init__(self, sandbox: MontySandbox, code: str, output: Type) -> None:
        self.code = code
        self._sandbox = sandbox
        self._as_vector = output.dtype if isinstance(output, VectorType) else None

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """What the code returns; see `SandboxProgram`."""
        result = await self._sandbox.run(self.code, inputs)
        if self._as_vector is None:
            return result
        try:
            return np.asarray(result, dtype=self._as_vector)
        except (TypeError, ValueError, OverflowError):
            raise InvalidInput(
                f"the code returned no vector of {self._as_vector}", code="code-output"
            ) from None


def _refuse_early(code: str, inputs: Mapping[str, Type]) -> None:
    if len(code) > MAX_CODE:
        message = f"the code has {MAX_CODE} characters at most, this has {len(code)}"
        raise ConfigInvalid(message, code="code-limit", cure="write a block of your own in Python")
    if "\0" in code or not code.strip():
        raise ConfigInvalid("the code is empty or has a character U+0000", code="code-syntax")
    for name, port in inputs.items():
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("__"):
            raise ConfigInvalid(f"an input must be named like a variable, not {name!r}", code="code-name")
        if isinstance(port, FieldType) and port.name == "secret":
            message = f"{name} is a secret, which no user code may read"
            raise ConfigInvalid(message, code="code-secret", cure="pass it on to the block that needs it")


@lru_cache(maxsize=1_024)
def _check(head: str, code: str, stubs: str) -> tuple[Problem, ...]:
    """What the type checker says of the code as the body of a function, which is never called."""
    function = f"{head}\n{textwrap.indent(code, '    ')}\n"
    limits: pydantic_monty.ResourceLimits = {"max_feed_duration_secs": 5.0, "max_memory": Limits().memory}
    try:
        with (
            pydantic_monty.Monty(max_processes=1, request_timeout=20.0) as pool,
            pool.checkout(
                limits=limits,
                os_policy=_POLICY,
                type_check=True,
                type_check_stubs=stubs,
                type_check_format="concise",
            ) as session,
        ):
            session.feed_run(function)
    except pydantic_monty.MontyTypingError as error:
        return tuple(_problems(error.display()))
    except pydantic_monty.MontyError as error:
        message = str(error).partition("\n")[0]
        return (
            Problem(code="code-syntax", message=message, cure="use the subset of Python that Monty knows"),
        )
    return ()


_DIAGNOSTIC = re.compile(r"^main\.py:(\d+):(\d+): (?:error|warning)\[([\w-]+)\] (.*)$", re.MULTILINE)


def _problems(report: str) -> Iterator[Problem]:
    found = _DIAGNOSTIC.findall(report)
    for line, column, rule, message in found:
        syntax = rule == "invalid-syntax"
        # The head of the function is line 1 there, and the body is indented by four.
        where = f"line {int(line) - 1}, column {max(1, int(column) - 4)}" if line != "1" else "at its end"
        cure = "end with return" if "implicitly return" in message else ""
        yield Problem(
            code="code-syntax" if syntax else "code-type", message=f"{message} ({where})", cure=cure
        )
    if not found:
        yield Problem(code="code-type", message=report.strip())


_LIMITS = {
    "MemoryError": "it used more than {0.memory} bytes of memory, or printed more than {0.printed}",
    "TimeoutError": "it ran longer than {0.seconds:g} seconds",
    "RecursionError": "it made calls within calls more than {0.depth} deep",
}


def _failure(error: Exception, limits: Limits) -> AlgorailError:
    if isinstance(error, pydantic_monty.MontyCrashedError):
        return LimitExceeded("the code brought its worker down", code="code-limit")
    if isinstance(error, pydantic_monty.MontyConversionError):
        return InvalidInput(str(error), code="code-value")
    message = str(error).partition("\n")[0]
    kind = message.partition(":")[0]
    if kind in _LIMITS:
        text = _LIMITS[kind].format(limits)
        return LimitExceeded(f"the code was stopped: {text}", code="code-limit", cure="make it smaller")
    frames = error.traceback() if isinstance(error, pydantic_monty.MontyRuntimeError) else []
    where = f" (line {frames[-1].line})" if frames else ""
    cure = (
        "user code has no clock, files or network" if "not supported in this environment" in message else ""
    )
    return InvalidInput(f"the code failed: {message:.500}{where}", code="code-failed", cure=cure)


def _sandboxed(value: Any, depth: int = 0) -> Any:
    """A port value as Monty takes it: arrays become lists."""
    if depth > MAX_DEPTH:
        raise InvalidInput(f"an input of user code may nest {MAX_DEPTH} deep at most", code="code-value")
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_sandboxed(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {key: _sandboxed(item, depth + 1) for key, item in value.items()}
    return value


class _Plain:
    """Turns what Monty gives back into plain data, within a budget."""

    def __init__(self, budget: int) -> None:
        self.left = budget

    def of(self, value: Any, depth: int = 0) -> Any:
        self.left -= 8 + (len(value) if isinstance(value, str | bytes) else 0)
        if self.left < 0:
            raise LimitExceeded("the code returned too much", code="code-limit", cure="return less")
        if depth > MAX_DEPTH:
            message = f"the code returned something that nests deeper than {MAX_DEPTH}"
            raise LimitExceeded(message, code="code-limit")
        if value is None or type(value) in {bool, float, str, bytes}:
            return value
        if type(value) is int and -(2**63) <= value < 2**64:
            return value
        if type(value) in {list, tuple}:
            return [self.of(item, depth + 1) for item in value]
        if type(value) is dict and all(type(key) is str for key in value):
            return {key: self.of(item, depth + 1) for key, item in value.items()}
        raise InvalidInput(
            f"the code returned {_named(value)}, which no port carries",
            code="code-output",
            cure="return None, bool, int (64 bits), float, str, bytes, list or dict with string keys",
        )


def _named(value: Any) -> str:
    if type(value) is int:
        return "an integer of more than 64 bits"
    return "a dict with keys other than strings" if isinstance(value, dict) else f"a {type(value).__name__}"
