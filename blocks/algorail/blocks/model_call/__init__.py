"""`model_call@1`: any model that answers over HTTP, as a typed block.

    classify = model_call("digits", inputs={"pixels": Annotated[Vector, dim(64)]}, output=Prediction)

It knows how to speak to a model, where models answer, and what to do when one does not; it does not know
how they are deployed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, overload

from algorail.blocks._schemas import schema_of
from algorail.blocks.model_call.config import ModelCallConfig, signature
from algorail.engine.dsl import placed
from algorail.engine.kind import BlockKind, Effect, Runner, Services

R = TypeVar("R")


def _build(config: ModelCallConfig, services: Services) -> Runner:
    # An HTTP client is only needed where models are called, not where algorithms are written.
    from algorail.blocks.model_call.call import ModelCaller  # noqa: PLC0415

    return Runner(call=ModelCaller(config, services).__call__, is_async=True, wants_context=True)


KIND = BlockKind(
    name="model_call",
    summary="Calls a model over HTTP: Open Inference Protocol, plain JSON or OpenAI-compatible.",
    config=ModelCallConfig,
    signature=signature,
    build=_build,
    effect=Effect.READ,
    category="models",
    doc=(
        "A model is named as the model host or the operator's settings know it. Inputs and output are typed; "
        "an answer that does not fit is an error. Addresses that fail are left alone for a while, the "
        "deadline of the run is sent along, and only attempts that changed nothing are repeated."
    ),
)


@overload
def model_call(
    model: str = ...,
    *,
    inputs: Mapping[str, Any] = ...,
    output: type[R],
    batch: Literal[True],
    **options: Any,
) -> Callable[..., list[R]]: ...
@overload
def model_call(
    model: str = ...,
    *,
    inputs: Mapping[str, Any] = ...,
    output: type[R],
    batch: Literal[False] = ...,
    **options: Any,
) -> Callable[..., R]: ...
@overload
def model_call(
    model: str = ..., *, inputs: Mapping[str, Any] = ..., batch: bool = ..., **options: Any
) -> Callable[..., Any]: ...
def model_call(
    model: str = "",
    *,
    inputs: Mapping[str, Any] | None = None,
    output: Any = None,
    batch: bool = False,
    **options: Any,
) -> Callable[..., Any]:
    """A model as a block of an algorithm.

    Args:
        model: Name that the model host or the operator's settings know.
        inputs: Port → Python type (or JSON Schema), of one row if `batch`.
        output: Python type (or JSON Schema) of the answer, of one row if `batch`.
        batch: Every input is a list of rows, and so is the output.
        options: The other fields of `ModelCallConfig`, such as `protocol="openai_chat"`.

    Raises:
        ConfigInvalid: With every problem.
    """
    config = {
        "model": model,
        "inputs": {port: schema_of(kind) for port, kind in (inputs or {}).items()},
        "output": {} if output is None else schema_of(output),
        "batch": batch,
        **options,
    }
    return placed(KIND, config)


__all__ = ["KIND", "ModelCallConfig", "model_call"]
