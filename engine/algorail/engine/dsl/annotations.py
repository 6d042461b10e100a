"""Annotations of functions: resolved where they were written, and as port types."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args, get_origin

from algorail.engine.dsl.misuse import misuse
from algorail.engine.dsl.names import user_frame
from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan.annotations import type_of
from algorail.engine.plan.types import Type, from_schema


@dataclass(frozen=True, slots=True)
class Schema:
    """A note that says a port's type as JSON Schema, for types that no Python annotation has.

    size: Annotated[Any, Schema({"type": "integer", "x-sensitivity": "pii"})]
    """

    schema: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Named:
    """A note that gives an input a name that Python does not take, such as `class`."""

    name: str


def port_type(annotation: Any) -> Type:
    """The port type of an annotation; a `Schema` note wins."""
    if get_origin(annotation) is Annotated:
        for note in get_args(annotation)[1:]:
            if isinstance(note, Schema):
                return from_schema(dict(note.schema))
    return type_of(annotation)


def resolved_signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature with evaluated annotations; names of the scope around the function count, too.

    Raises:
        PlanInvalid: If an annotation names what is not there.
    """
    frame = user_frame()
    around = dict(frame.f_locals) if frame is not None else {}
    try:
        return inspect.signature(function, eval_str=True, locals=around)
    except NameError as error:
        raise misuse(
            "annotation-name",
            f"{_name(function)}: {error}",
            "import or define it above the function, not only for type checkers",
        ) from None


def port_types(function: Callable[..., Any], signature: inspect.Signature) -> tuple[dict[str, Type], Type]:
    """Types of the parameters, and of the result.

    Raises:
        PlanInvalid: For `*args`, missing annotations, and annotations that cannot be the type of a port.
    """
    name = _name(function)
    inputs: dict[str, Type] = {}
    for parameter in signature.parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise misuse(
                "variadic-parameter",
                f"{name}: {parameter} cannot be ports",
                "name every parameter, or take one list or dict",
            )
        if parameter.annotation is parameter.empty:
            raise misuse(
                "missing-annotation",
                f"{name}: parameter {parameter.name!r} has no annotation",
                f"write {parameter.name}: str, or whatever it is",
            )
        inputs[parameter.name] = _type(f"{name}: parameter {parameter.name!r}", parameter.annotation)
    if signature.return_annotation is signature.empty:
        raise misuse(
            "missing-annotation", f"{name}: the result has no annotation", f"write def {name}(…) -> str:"
        )
    return inputs, _type(f"{name}: the result", signature.return_annotation)


def _type(where: str, annotation: Any) -> Type:
    try:
        return port_type(annotation)
    except InvalidInput as error:
        raise misuse(error.code, f"{where}: {error.message}", error.cure) from error


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", repr(function))
