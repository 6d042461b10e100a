"""Typing rules of the operators: from the types of the arguments to the type of the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan.compat import at_path, literal_scalar
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
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
    describe,
    union_of,
    without_null,
)

Rule: TypeAlias = Callable[[str, Sequence[Type]], Type]

_NUMERIC = frozenset({"integer", "number", "any"})
_UNKNOWN = frozenset({"any"})
_TEXTUAL = frozenset({"string", "any"})


def forms(source: Type) -> frozenset[str]:  # noqa: PLR0911 - one line for each kind of type
    """What a value of the type may be, without what is inside."""
    match source:
        case AnyType():
            return frozenset({"any"})
        case ScalarType(name=name):
            return frozenset({name})
        case LiteralType(values=values):
            return frozenset().union(*(forms(literal_scalar(value)) for value in values))
        case UnionType(options=options):
            return frozenset().union(*map(forms, options))
        case FieldType(name=field_name):
            return frozenset({{"image": "string", "table": "list", "secret": "secret"}[field_name]})
        case VectorType():
            return frozenset({"vector"})
        case ListType():
            return frozenset({"list"})
        case DictType() | ObjectType():
            return frozenset({"dict"})


def _all_forms(args: Sequence[Type]) -> frozenset[str]:
    return frozenset().union(*map(forms, args))


def _refused(name: str, args: Sequence[Type], wanted: str) -> InvalidInput:
    got = " and ".join(map(describe, args))
    cure = "say what to use instead of null: coalesce(x, …)" if "null" in _all_forms(args) else ""
    return InvalidInput(f"{name!r} takes {wanted}, not {got}", code="type-mismatch", cure=cure)


def arithmetic(name: str, args: Sequence[Type]) -> Type:
    """Numbers to a number: an integer if all are."""
    found = _all_forms(args)
    if not found <= _NUMERIC:
        raise _refused(name, args, "numbers")
    if "any" in found:
        return ANY
    return NUMBER if "number" in found else INTEGER


def division(name: str, args: Sequence[Type]) -> Type:
    """Numbers to a float."""
    arithmetic(name, args)
    return NUMBER


def addition(name: str, args: Sequence[Type]) -> Type:
    """Numbers, texts or lists."""
    found = _all_forms(args)
    if found == _UNKNOWN:
        return ANY
    if found <= _TEXTUAL:
        return STRING
    if found <= {"list", "any"}:
        return ListType(union_of(at_path(arg, (0,)) for arg in args))
    if found <= _NUMERIC:
        return arithmetic(name, args)
    raise _refused(name, args, "two numbers, two texts or two lists")


def order(name: str, args: Sequence[Type]) -> Type:
    """Two numbers or two texts to a boolean."""
    found = _all_forms(args)
    if found <= _NUMERIC or found <= _TEXTUAL:
        return BOOLEAN
    raise _refused(name, args, "two numbers or two texts")


def equality(name: str, args: Sequence[Type]) -> Type:
    """Two values that can be equal to a boolean."""
    left, right = (forms(arg) for arg in args)
    if "vector" in left | right or "secret" in left | right:
        raise _refused(name, args, "values that can be compared")
    if not _may_be_equal(left, right):
        raise _refused(name, args, "two values of one type (these are never equal)")
    return BOOLEAN


def _may_be_equal(left: frozenset[str], right: frozenset[str]) -> bool:
    return bool(left & right) or "any" in left | right or left | right >= {"integer", "number"}


def logic(name: str, args: Sequence[Type]) -> Type:
    """Booleans to a boolean."""
    if _all_forms(args) <= {"boolean", "any"}:
        return BOOLEAN
    raise _refused(name, args, "booleans (compare with a value first)")


def membership(name: str, args: Sequence[Type]) -> Type:
    """An item and a list, a key and a dict, or a part and a text."""
    item, where = args
    found = forms(where)
    if found == _UNKNOWN or (found <= _TEXTUAL and forms(item) <= _TEXTUAL):
        return BOOLEAN
    if found == frozenset({"dict"}) and forms(item) <= _TEXTUAL:
        return BOOLEAN
    if found == frozenset({"list"}) and _may_be_equal(forms(at_path(where, (0,))), forms(item)):
        return BOOLEAN
    raise _refused(name, args, "an item and a list, a key and a dict, or two texts")


def item(name: str, args: Sequence[Type]) -> Type:
    """The item at a position, or the value of a key."""
    where, key = args
    if forms(where) <= {"list", "any"} and forms(key) <= {"integer", "any"}:
        return at_path(where, (0,))
    if forms(key) <= _TEXTUAL and forms(where) <= {"dict", "any"}:
        return _value_of(where, key)
    raise _refused(name, args, "a list and a position, or a dict and a key")


def _value_of(where: Type, key: Type) -> Type:
    if isinstance(key, LiteralType):
        return union_of(at_path(where, (value,)) for value in key.values)
    match where:
        case DictType(value=value):
            return value
        case ObjectType(fields=fields, closed=True) if fields:
            return union_of(member.type for member in fields.values())
        case UnionType(options=options):
            return union_of(_value_of(option, key) for option in options)
    return ANY


def get(name: str, args: Sequence[Type]) -> Type:
    """The value of a key, or what is used when there is none."""
    where, key, otherwise = args
    if not (forms(key) <= _TEXTUAL and forms(where) <= {"dict", "any"}):
        raise _refused(name, args, "a dict, a key and what to use otherwise")
    return union_of((_value_of(where, key), otherwise))


def length(name: str, args: Sequence[Type]) -> Type:
    """A text, list, dict or vector to its size."""
    if _all_forms(args) <= {"string", "list", "dict", "vector", "any"}:
        return INTEGER
    raise _refused(name, args, "a text, a list, a dict or a vector")


def rounding(name: str, args: Sequence[Type]) -> Type:
    """A number to the nearest integer, or with digits to a number."""
    found = arithmetic(name, args[:1])
    if len(args) == 1:
        return INTEGER
    if not forms(args[1]) <= {"integer", "any"}:
        raise _refused(name, args, "a number and how many digits")
    return found


def text(name: str, args: Sequence[Type]) -> Type:
    """A number, boolean or text to a text."""
    if _all_forms(args) <= {"integer", "number", "boolean", "string", "any"}:
        return STRING
    raise _refused(name, args, "a number, a boolean or a text")


def coalesce(_name: str, args: Sequence[Type]) -> Type:
    """The first value that is not null: null only if the last one may be."""
    return union_of([*map(without_null, args[:-1]), args[-1]])
