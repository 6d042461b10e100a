"""`transform`: user text in a sandboxed Python, typed in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from textwrap import dedent
from typing import Any, TypeVar, overload

import msgspec

from algorail.blocks._schemas import Schema, ports_from, schema_of, type_from
from algorail.engine.dsl import placed
from algorail.engine.kind import BlockKind, Effect, Runner, Services
from algorail.engine.kit.errors import ConfigInvalid
from algorail.engine.lang.monty import MontySandbox
from algorail.engine.lang.sandbox import MAX_CODE, Sandbox
from algorail.engine.plan.signature import Signature
from algorail.engine.plan.values import compile_validator

R = TypeVar("R")


class TransformConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Configuration of a `transform`.

    Attributes:
        code: The body of a function: it reads the inputs by name and ends with `return`.
        inputs: JSON Schema of each input, by name; one with a `default` is optional.
        output: JSON Schema of what the code returns.
    """

    code: str
    inputs: dict[str, Schema]
    output: Schema


def signature(config: TransformConfig) -> Signature:
    """The ports that the configuration declares. The code is looked at when the block is built."""
    if not config.code.strip():
        raise ConfigInvalid("code is empty", code="code-syntax", cure="write the body of a function")
    if len(config.code) > MAX_CODE:
        raise ConfigInvalid(f"code has more than {MAX_CODE} characters", code="code-limit")
    return Signature(ports_from(config.inputs), type_from(config.output, "output"))


def build(config: TransformConfig, services: Services) -> Runner:
    """Type-check the code and prepare to run it.

    Raises:
        ConfigInvalid: With every problem of the code, each with its line.
    """
    ports = signature(config)
    sandbox: Sandbox = services.shared("transform:sandbox", MontySandbox)
    program = sandbox.compile(
        config.code, {name: port.type for name, port in ports.inputs.items()}, ports.output
    )
    validate = compile_validator(ports.output)

    async def call(**inputs: Any) -> Any:
        return validate(await program(inputs))

    return Runner(call=call, is_async=True)


KIND = BlockKind(
    name="transform",
    summary="Reshape values with a few lines of sandboxed Python.",
    config=TransformConfig,
    signature=signature,
    build=build,
    effect=Effect.PURE,
    category="compute",
    doc=__doc__,
)


@overload
def transform(code: str, *, inputs: Mapping[str, Any], output: type[R]) -> Callable[..., R]: ...
@overload
def transform(code: str, *, inputs: Mapping[str, Any], output: Any) -> Callable[..., Any]: ...
def transform(code: str, *, inputs: Mapping[str, Any], output: Any) -> Any:
    """A block that runs a few lines of Python in a sandbox.

    Args:
        code: The body of a function: it reads the inputs by name and ends with `return`.
        inputs: Type of each input: a Python annotation, a port type or a JSON Schema.
        output: Type of what the code returns.
    """
    schemas = {name: schema_of(source) for name, source in inputs.items()}
    return placed(
        KIND, TransformConfig(code=dedent(code).strip("\n"), inputs=schemas, output=schema_of(output))
    )
