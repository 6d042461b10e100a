"""`expression`: one small field computed in CEL, typed before the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

import msgspec

from algorail.blocks._schemas import Schema, ports_from, schema_of, type_from
from algorail.engine.dsl import placed
from algorail.engine.kind import BlockKind, Effect, Runner, Services
from algorail.engine.kit.errors import ConfigInvalid, Problem
from algorail.engine.lang.cel import compile_cel
from algorail.engine.lang.language import Program
from algorail.engine.plan.compat import compatible
from algorail.engine.plan.signature import Port, Signature
from algorail.engine.plan.types import AnyType, Type
from algorail.engine.plan.values import compile_validator

R = TypeVar("R")


class ExpressionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Configuration of an `expression`.

    Attributes:
        cel: The expression, at most 1,000 characters.
        inputs: JSON Schema of each variable, by name; one with a `default` is optional.
        output: JSON Schema of the result; left out, it is what the expression gives.
    """

    cel: str
    inputs: dict[str, Schema] = {}
    output: Schema | None = None


def _compiled(config: ExpressionConfig) -> tuple[Program, dict[str, Port], Type]:
    ports = ports_from(config.inputs)
    program = compile_cel(config.cel, {name: port.type for name, port in ports.items()})
    if config.output is None:
        return program, ports, program.type
    declared = type_from(config.output, "output")
    # What the checker cannot tell is checked on the value.
    mismatch = None if isinstance(program.type, AnyType) else compatible(program.type, declared)
    if mismatch is not None:
        problem = Problem(
            code=mismatch.code,
            message=f"the expression does not give the declared output: {mismatch.reason}",
            port="output",
            expected=mismatch.expected,
            got=mismatch.got,
            cure=mismatch.cure,
        )
        raise ConfigInvalid(problem.message, code=problem.code, problems=[problem])
    return program, ports, declared


def signature(config: ExpressionConfig) -> Signature:
    """The declared variables, and the type of the result.

    Raises:
        ConfigInvalid: With every problem of the expression, each with its place.
    """
    _, ports, output = _compiled(config)
    return Signature(ports, output)


def build(config: ExpressionConfig, services: Services) -> Runner:  # noqa: ARG001 - an expression needs none
    """The compiled expression; the same text and types are compiled once."""
    program, _, output = _compiled(config)
    if config.output is None:
        return Runner(call=program)
    validate = compile_validator(output)
    return Runner(call=lambda **inputs: validate(program(inputs)))


KIND = BlockKind(
    name="expression",
    summary="Compute a small value with a CEL expression.",
    config=ExpressionConfig,
    signature=signature,
    build=build,
    effect=Effect.PURE,
    category="compute",
    doc=__doc__,
)


@overload
def expression(cel: str, *, inputs: Mapping[str, Any], output: type[R]) -> Callable[..., R]: ...
@overload
def expression(cel: str, *, inputs: Mapping[str, Any], output: Any = None) -> Callable[..., Any]: ...
def expression(cel: str, *, inputs: Mapping[str, Any], output: Any = None) -> Any:
    """A block that computes one value with a CEL expression.

    Args:
        cel: The expression, at most 1,000 characters.
        inputs: Type of each variable: a Python annotation, a port type or a JSON Schema.
        output: Type of the result; left out, it is what the expression gives.
    """
    schemas = {name: schema_of(source) for name, source in inputs.items()}
    declared = None if output is None else schema_of(output)
    return placed(KIND, ExpressionConfig(cel=cel, inputs=schemas, output=declared))
