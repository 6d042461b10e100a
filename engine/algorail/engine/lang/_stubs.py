"""Port types as Python annotations, for the type checker of the sandbox."""

from __future__ import annotations

from collections.abc import Mapping

from algorail.engine.plan.types import (
    DictType,
    FieldType,
    ListType,
    LiteralType,
    ObjectType,
    ScalarType,
    Type,
    UnionType,
    VectorType,
)

_SCALARS: Mapping[str, str] = {
    "null": "None",
    "boolean": "bool",
    "integer": "int",
    "number": "float",
    "string": "str",
    "bytes": "bytes",
}


class Stubs:
    """Annotations and the declarations that they need."""

    def __init__(self) -> None:
        self._declarations = ["from typing import Any, Literal, Mapping, NotRequired, TypeAlias, TypedDict"]

    @property
    def text(self) -> str:
        """The declarations, as a stub file."""
        return "\n".join(self._declarations) + "\n"

    def input(self, port: Type) -> str:
        """The name of the type of what the code may read: exact, down to the fields of objects."""
        return self._alias(self._exact(port))

    def output(self, port: Type) -> str:
        """The name of the type of what the code must return.

        Its outside only, because `list[int]` is no `list[float]` to a type checker.
        """
        options = port.options if isinstance(port, UnionType) else (port,)
        return self._alias(" | ".join(_flat(option) for option in options))

    def _alias(self, annotation: str) -> str:
        # A name of its own, because what a stub file imports is not visible in the code.
        name = f"Port{len(self._declarations)}"
        self._declarations.append(f"{name}: TypeAlias = {annotation}")
        return name

    def _exact(self, port: Type) -> str:
        match port:
            case ListType(item=item):
                return f"list[{self._exact(item)}]"
            case DictType(value=value):
                return f"dict[str, {self._exact(value)}]"
            case ObjectType() if port.closed:
                return self._typed_dict(port)
            case UnionType(options=options):
                return " | ".join(self._exact(option) for option in options)
            case _:
                return _flat(port)

    def _typed_dict(self, port: ObjectType) -> str:
        fields = {
            name: self._exact(field.type) if field.required else f"NotRequired[{self._exact(field.type)}]"
            for name, field in port.fields.items()
        }
        name = f"Object{len(self._declarations)}"
        members = ", ".join(f"{field!r}: {annotation}" for field, annotation in fields.items())
        self._declarations.append(f"{name} = TypedDict({name!r}, {{{members}}})")
        return name


def _flat(port: Type) -> str:
    annotation = "Any"
    match port:
        case ScalarType(name=name):
            annotation = _SCALARS[name]
        case LiteralType(values=values):
            annotation = f"Literal[{', '.join(repr(value) for value in values)}]"
        case ListType() | VectorType() | FieldType(name="table"):
            annotation = "list[Any] | tuple[Any, ...]"
        case DictType() | ObjectType():
            annotation = "Mapping[str, Any]"
        case FieldType(name="image"):
            annotation = "str"
    return annotation
