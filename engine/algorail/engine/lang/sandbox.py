"""What the engine asks of a sandbox for user code, so that the library behind it can be exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from algorail.engine.plan.types import Type

MAX_CODE = 20_000
"""Characters of a piece of code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run of user code may use.

    Attributes:
        memory: Bytes of its heap.
        seconds: Time that it computes.
        depth: Calls within calls.
        printed: Characters that it may print (they go nowhere).
        output: Size of what it returns: 8 for an item, 1 for a character.
    """

    memory: int = 64 * 1024 * 1024
    seconds: float = 1.0
    depth: int = 200
    printed: int = 64 * 1024
    output: int = 16 * 1024 * 1024


class SandboxProgram(Protocol):
    """Checked user code; every call starts afresh."""

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """What the code returns for these inputs, as plain data.

        Raises:
            InvalidInput: If the code fails, or returns what no port carries.
            LimitExceeded: If it uses more than it may.
            Overloaded: If too many runs wait for a worker.
        """
        ...


class Sandbox(Protocol):
    """Runs user code that may do no harm: no files, no network, no clock, bounded time and memory."""

    def compile(self, code: str, inputs: Mapping[str, Type], output: Type) -> SandboxProgram:
        """Check code without running it.

        Args:
            code: The body of a function: it reads the inputs by name and ends with `return`;
                indentation that all lines share does not count.
            inputs: Types of the inputs.
            output: Type of what it returns.

        Raises:
            ConfigInvalid: With every problem, each with its line.
        """
        ...

    async def aclose(self) -> None:
        """End the workers."""
        ...
