"""A bundle's blocks as block kinds: their ports from the manifest, their code behind a pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from algorail.engine.block.kind import BlockKind, CallContext, Effect, Kinds, Runner, Services
from algorail.engine.plan.signature import Port, Signature
from algorail.engine.plan.types import from_schema
from algorail.engine.registry.bundles.archive import BlockEntry, Manifest
from algorail.engine.registry.bundles.pool import Caller


class NoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user's own block has no configuration: what varies is a port."""


class BundleKinds:
    """The blocks of one bundle first, then the installed ones.

    Args:
        manifest: The bundle's.
        installed: What else a plan may name.
        caller: Gives the pool's `call`; asked only when a plan is built to run.
    """

    def __init__(self, manifest: Manifest, installed: Kinds, caller: Callable[[], Caller]) -> None:
        self._installed = installed
        self._kinds = {key: isolated_kind(key, entry, caller) for key, entry in manifest.blocks.items()}

    def get(self, key: str) -> BlockKind:
        """The kind of that key (see `Kinds.get`)."""
        return self._kinds.get(key) or self._installed.get(key)


def entry_signature(entry: BlockEntry) -> Signature:
    """The ports of a bundled block, as its manifest states them."""
    ports = {
        name: Port(
            from_schema(dict(port["schema"])),
            required=bool(port["required"]),
            default=port.get("default"),
            doc=str(port.get("doc", "")),
        )
        for name, port in entry.inputs.items()
    }
    return Signature(ports, from_schema(dict(entry.output)))


def isolated_kind(key: str, entry: BlockEntry, caller: Callable[[], Caller]) -> BlockKind:
    """A kind whose runner sends the call to a child of the bundle."""
    name, _, version = key.rpartition("@")
    signature = entry_signature(entry)

    def build(_config: NoConfig, _services: Services) -> Runner:
        call_child = caller()

        async def call(context: CallContext, **inputs: Any) -> Any:
            return await call_child(key, inputs, _portable(context), context.emit)

        return Runner(call=call, is_async=True, wants_context=True)

    return BlockKind(
        name=name,
        version=int(version),
        summary=entry.summary,
        config=NoConfig,
        signature=lambda _config: signature,
        build=build,
        effect=Effect(entry.effect),
        idempotent=entry.idempotent,
        category="bundle",
        doc=entry.doc,
    )


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
