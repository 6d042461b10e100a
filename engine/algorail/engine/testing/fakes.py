"""Stand-ins for what a process offers to plans: kinds made from functions, services in memory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from algorail.engine.kind import BlockKind, Effect, NoConfig, Runner
from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.errors import NotFound
from algorail.engine.plan.signature import Port, Signature
from algorail.engine.plan.types import AnyType

T = TypeVar("T")


def kind_of(
    function: Callable[..., Any],
    name: str = "",
    *,
    wants_context: bool = False,
    in_thread: bool = False,
    effect: Effect = Effect.PURE,
    idempotent: bool = True,
) -> BlockKind:
    """A block kind that calls a function; ports are its parameters, of any type."""
    parameters = list(inspect.signature(function).parameters.values())[1 if wants_context else 0 :]
    ports = {one.name: Port(AnyType(), one.default is one.empty, None) for one in parameters}
    runner = Runner(
        call=function,
        is_async=inspect.iscoroutinefunction(function),
        wants_context=wants_context,
        in_thread=in_thread,
    )
    return BlockKind(
        name=name or function.__name__,
        summary="made from a function",
        config=NoConfig,
        signature=lambda _config: Signature(ports, AnyType()),
        build=lambda _config, _services: runner,
        effect=effect,
        idempotent=idempotent,
    )


class FakeKinds:
    """Looks up the kinds that it was given."""

    def __init__(self, *kinds: BlockKind) -> None:
        self._kinds = {kind.key: kind for kind in kinds}

    def get(self, key: str) -> BlockKind:
        """The kind. Raises `NotFound` that lists what is there."""
        try:
            return self._kinds[key]
        except KeyError:
            raise NotFound(f"no block kind {key!r}; there are: {', '.join(sorted(self._kinds))}") from None


class FakeSecrets:
    """Secrets from a mapping."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets

    def resolve(self, reference: str) -> str:
        """The secret's text. Raises `NotFound`."""
        try:
            return self._secrets[reference]
        except KeyError:
            raise NotFound(f"no secret {reference!r}") from None


class FakeServices:
    """Services without a process; `close` ends what was shared."""

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        home: Path = Path(),
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.clock = clock
        self.settings = settings or {}
        self.secrets = FakeSecrets(secrets or {})
        self._shared: dict[str, Any] = {}

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """One object per key."""
        if key not in self._shared:
            self._shared[key] = make()
        found: T = self._shared[key]
        return found

    def close(self) -> None:
        """Close what has a `close`."""
        for thing in self._shared.values():
            if hasattr(thing, "close"):
                thing.close()
