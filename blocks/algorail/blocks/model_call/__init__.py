"""`model_call@1`: any model that answers over HTTP, as a typed block."""

from __future__ import annotations

from algorail.blocks.model_call.call import ModelCaller
from algorail.blocks.model_call.config import ModelCallConfig, signature
from algorail.engine.block.kind import BlockKind, Effect, Runner, Services


def _build(config: ModelCallConfig, services: Services) -> Runner:
    return Runner(call=ModelCaller(config, services).__call__, is_async=True, wants_context=True)


KIND = BlockKind(
    name="model_call",
    summary="Calls a model over HTTP: Open Inference Protocol, plain JSON or OpenAI-compatible.",
    config=ModelCallConfig,
    signature=signature,
    build=_build,
    effect=Effect.READ,
    category="models",
    doc="See docs/blocks/model_call.md.",
)

__all__ = ["KIND", "ModelCallConfig"]
