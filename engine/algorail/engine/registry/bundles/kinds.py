"""A bundle's blocks as block kinds: their ports from the manifest, their code from wherever it is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from algorail.engine.kind import BlockKind, CallContext, Kinds, NoConfig, Runner, Services
from algorail.engine.plan.signature import Port, Signature
from algorail.engine.plan.types import from_schema
from algorail.engine.registry.bundles.archive import BlockEntry, Manifest
from algorail.engine.registry.bundles.pool import Caller

Build: TypeAlias = Callable[[str, Services], Runner]
"""Makes the block of that key ready to be called; nothing of a bundle is imported before."""


class BundleKinds:
    """The blocks of one bundle first, then the installed ones.

    Args:
        manifest: The bundle's.
        installed: What else a plan may name.
        build: Asked only when a plan is built to run.
    """

    def __init__(self, manifest: Manifest, installed: Kinds, build: Build) -> None:
        self._installed = installed
        self._kinds = {key: bundled_kind(key, entry, build) for key, entry in manifest.blocks.items()}

    def get(self, key: str) -> BlockKind:
        """The kind of that key (see `Kinds.get`)."""
        return self._kinds.get(key) or self._installed.get(key)


def bundled_kind(key: str, entry: BlockEntry, build: Build) -> BlockKind:
    """The kind of one block of a bundle, as the manifest states it.

    Raises:
        InvalidInput: If a port has no type that the engine knows.
    """
    name, _, version = key.rpartition("@")
    ports = {
        port: Port(from_schema(spec.schema), required=spec.required, default=spec.default, doc=spec.doc)
        for port, spec in entry.inputs.items()
    }
    signature = Signature(ports, from_schema(entry.output))
    return BlockKind(
        name=name,
        version=int(version),
        summary=entry.summary,
        config=NoConfig,
        signature=lambda _config: signature,
        build=lambda _config, services: build(key, services),
        effect=entry.effect,
        idempotent=entry.idempotent,
        category="bundle",
        doc=entry.doc,
    )


def isolated(caller: Callable[[], Caller]) -> Build:
    """Runners that send each call to a child of the bundle.

    Args:
        caller: Gives the pool's `call`.
    """

    def build(key: str, _services: Services) -> Runner:
        call_child = caller()

        async def call(context: CallContext, **inputs: Any) -> Any:
            return await call_child(key, inputs, _portable(context), context.emit)

        return Runner(call=call, is_async=True, wants_context=True)

    return build


def _portable(context: CallContext) -> dict[str, Any]:
    """What of the context a child is told."""
    return {
        "run_id": context.run_id,
        "node_id": context.node_id,
        "attempt": context.attempt,
        "traceparent": context.traceparent,
        "key": context.effect_key(),
        "remaining": context.remaining(),
    }
