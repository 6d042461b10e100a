"""Block kinds: code plus a configuration schema, registered under a versioned name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from algorail.engine.kit.clock import Clock
from algorail.engine.plan.signature import Port, Signature

T = TypeVar("T")


class Effect(StrEnum):
    """What a block does to the world; retries, replay, shadow and recovery obey it."""

    PURE = "pure"
    READ = "read"
    WRITE = "write"


class CallContext(Protocol):
    """What a block may know of the run that calls it."""

    @property
    def run_id(self) -> str:
        """The run."""
        ...

    @property
    def node_id(self) -> str:
        """The node that is called."""
        ...

    @property
    def attempt(self) -> int:
        """Which try this is, from 1."""
        ...

    @property
    def traceparent(self) -> str:
        """W3C trace context to pass on, empty if none."""
        ...

    def remaining(self) -> float | None:
        """Seconds left for this call, None if unlimited; never negative."""
        ...

    def effect_key(self) -> str:
        """Stable over retries and recovery: send it as Idempotency-Key."""
        ...

    def emit(self, delta: Any) -> None:
        """Send a part of the answer to whoever streams this run; nothing happens if nobody does."""
        ...


class Secrets(Protocol):
    """Resolves `Secret` references at run time."""

    def resolve(self, reference: str) -> str:
        """The secret's text. Raises `NotFound` naming the reference, never the value."""
        ...


class Services(Protocol):
    """What the process offers to blocks when they are built."""

    @property
    def home(self) -> Path:
        """State folder (ALGORAIL_HOME)."""
        ...

    @property
    def secrets(self) -> Secrets:
        """Where secret references are resolved."""
        ...

    @property
    def clock(self) -> Clock:
        """Where blocks read the time."""
        ...

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """Operator's settings by block kind name, such as `{"http_call": {"allow": ["10.0.0.7"]}}`."""
        ...

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """One object per process and key (a pool, a client); closed at shutdown (`close`, `aclose`)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A configured block, ready to be called with its inputs as keyword arguments.

    Attributes:
        call: `call(**inputs)`, or `call(ctx, **inputs)` when `wants_context`.
        is_async: Whether `call` returns an awaitable.
        wants_context: Whether the first argument is a `CallContext`.
        in_thread: Run the sync `call` in the engine's thread pool (CPU-bound or blocking code).
    """

    call: Callable[..., Any] | Callable[..., Awaitable[Any]]
    is_async: bool = False
    wants_context: bool = False
    in_thread: bool = False


class NoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The configuration of a block that has none, such as a user's own: what varies is a port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockKind:
    """A registered kind of block.

    Attributes:
        name: Identifier, `[a-z][a-z0-9_]*`.
        version: Whole number from 1; a change that breaks plans is a new version.
        summary: One sentence for palettes and docs.
        config: Frozen `msgspec.Struct` with `forbid_unknown_fields`; its JSON Schema draws the editor's form.
        signature: Ports for a configuration. Pure: no I/O, used by validation. Raises `ConfigInvalid`.
        build: Makes the runner; may open pools through `Services.shared`.
        effect: What the block does to the world. May depend on the configuration through `effect_of`.
        idempotent: For writes: whether doing it twice is the same as once.
        effect_of: (effect, idempotent) for a configuration, where it decides them.
        category: Palette group.
        doc: Markdown, shown in the editor and the docs.
    """

    name: str
    version: int = 1
    summary: str
    config: type[msgspec.Struct]
    signature: Callable[[Any], Signature]
    build: Callable[[Any, Services], Runner]
    effect: Effect = Effect.PURE
    idempotent: bool = True
    effect_of: Callable[[Any], tuple[Effect, bool]] | None = None
    category: str = "other"
    doc: str = field(default="", repr=False)

    @property
    def key(self) -> str:
        """The name in plans: `name@version`."""
        return f"{self.name}@{self.version}"


class Kinds(Protocol):
    """Looks kinds up by key; the registry of installed kinds and bundles implements it."""

    def get(self, key: str) -> BlockKind:
        """The kind. Raises `NotFound` that lists what is installed."""
        ...


__all__ = [
    "BlockKind",
    "CallContext",
    "Effect",
    "Kinds",
    "NoConfig",
    "Port",
    "Runner",
    "Secrets",
    "Services",
    "Signature",
]
