"""Types as short text for messages, pictures and palettes."""

from __future__ import annotations

from algorail.engine.plan.types.model import (
    AnyType,
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

_SHOWN = 8
"""How many fields or values are named before the rest is cut."""


def describe(source: Type) -> str:
    """A short text for a person.

    >>> from algorail.engine.plan.types import ListType, STRING, VectorType, optional
    >>> describe(optional(ListType(STRING)))
    'list of string or null'
    >>> describe(VectorType(384))
    'Vector[384, float32]'
    """
    text = _shape(source)
    return f"{source.sensitivity} {text}" if source.sensitivity else text


def _shape(source: Type) -> str:  # noqa: PLR0911 - one line for each kind of type
    match source:
        case AnyType():
            return "any"
        case ScalarType(name=name):
            return name
        case FieldType(name=name):
            return name.capitalize()
        case VectorType(size=size, dtype=dtype):
            return f"Vector[{'any' if size is None else size}, {dtype}]"
        case LiteralType(values=values):
            return "one of " + _some([repr(value) for value in values]) if values else "nothing"
        case ListType(item=item):
            return f"list of {_inner(item)}"
        case DictType(value=value):
            return f"dict of {_inner(value)}"
        case UnionType(options=options):
            return " or ".join(describe(option) for option in options)
        case ObjectType():
            return _object(source)


def _inner(source: Type) -> str:
    text = describe(source)
    return f"({text})" if isinstance(source, UnionType) else text


def _object(source: ObjectType) -> str:
    names = [name if member.required else f"{name}?" for name, member in source.fields.items()]
    if not source.closed:
        names = [*names[:_SHOWN], "…"] if len(names) <= _SHOWN else names
    fields = "{" + _some(names) + "}"
    return f"{source.title} {fields}" if source.title else f"object {fields}"


def _some(words: list[str]) -> str:
    shown = words if len(words) <= _SHOWN + 1 else [*words[:_SHOWN], f"… {len(words) - _SHOWN} more"]
    return ", ".join(shown)
