"""The kinds of types and how they combine: unions, sensitivity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

from msgspec import UNSET

Sensitivity: TypeAlias = Literal["", "pii", "secret"]
Scalar: TypeAlias = Literal["null", "boolean", "integer", "number", "string", "bytes"]
Dtype: TypeAlias = Literal["float16", "float32", "float64", "int8", "uint8", "int32", "int64"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)

ABSENT: Any = UNSET
"""The default of a field that has none: when it is missing, it stays missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    sensitivity: Sensitivity = ""
    doc: str = ""


@dataclass(frozen=True, slots=True)
class AnyType(_Base):
    """Anything; not checked before the run."""


@dataclass(frozen=True, slots=True)
class ScalarType(_Base):
    """One of the JSON scalars, or bytes (base64 in JSON)."""

    name: Scalar


@dataclass(frozen=True, slots=True)
class LiteralType(_Base):
    """One of these values (str, int, bool or None)."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ListType(_Base):
    """A list of items of one type."""

    item: Type


@dataclass(frozen=True, slots=True)
class DictType(_Base):
    """String keys, values of one type."""

    value: Type


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object type.

    A field that is not required and has a default is filled in; one without a default may be missing,
    and reading it through a path then gives null.
    """

    type: Type
    required: bool = True
    default: Any = ABSENT

    @property
    def assured(self) -> bool:
        """Whether a checked value always has it."""
        return self.required or self.default is not ABSENT


@dataclass(frozen=True, slots=True)
class ObjectType(_Base):
    """Named fields; `closed` refuses others."""

    fields: Mapping[str, Field] = field(default_factory=dict)
    closed: bool = True
    title: str = ""


@dataclass(frozen=True, slots=True)
class UnionType(_Base):
    """One of several types; `Optional[X]` is a union with null."""

    options: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class VectorType(_Base):
    """A one-dimensional array: `size` items (None: any) of `dtype`."""

    size: int | None = None
    dtype: Dtype = "float32"


@dataclass(frozen=True, slots=True)
class FieldType(_Base):
    """A meaning beyond a shape: `image` (base64 string), `table` (list of rows), `secret` (a reference)."""

    name: Literal["image", "table", "secret"]


Type: TypeAlias = (
    AnyType | ScalarType | LiteralType | ListType | DictType | ObjectType | UnionType | VectorType | FieldType
)

ANY = AnyType()
NULL = ScalarType("null")
BOOLEAN = ScalarType("boolean")
INTEGER = ScalarType("integer")
NUMBER = ScalarType("number")
STRING = ScalarType("string")
BYTES = ScalarType("bytes")

_RANK: Mapping[Sensitivity, int] = {"": 0, "pii": 1, "secret": 2}


def join_sensitivity(*marks: Sensitivity) -> Sensitivity:
    """The strictest of them.

    >>> join_sensitivity("", "secret", "pii")
    'secret'
    """
    strictest: Sensitivity = ""
    for mark in marks:
        if _RANK[mark] > _RANK[strictest]:
            strictest = mark
    return strictest


def marked(source: Type, sensitivity: Sensitivity) -> Type:
    """The type, at least as sensitive as told."""
    joined = join_sensitivity(source.sensitivity, sensitivity)
    return source if joined == source.sensitivity else replace(source, sensitivity=joined)


def children(source: Type) -> Iterator[Type]:
    """The types right inside a type."""
    match source:
        case ListType(item=item):
            yield item
        case DictType(value=value):
            yield value
        case ObjectType(fields=fields):
            for member in fields.values():
                yield member.type
        case UnionType(options=options):
            yield from options


def deep_sensitivity(source: Type) -> Sensitivity:
    """The strictest mark of the type and of everything inside it."""
    return join_sensitivity(source.sensitivity, *map(deep_sensitivity, children(source)))


def union_of(types: Iterable[Type]) -> Type:
    """The one type that takes a value of any of them: flat, without repetition; `Any` swallows the others.

    Of no types at all it is the literal without values, which nothing has and which fits everywhere.

    The marks of the parts stay on the parts, except where `Any` takes over.
    """
    options: list[Type] = []
    for each in types:
        parts = (
            [marked(part, each.sensitivity) for part in each.options]
            if isinstance(each, UnionType)
            else [each]
        )
        options += [part for part in parts if part not in options]
    wildcard = next((option for option in options if isinstance(option, AnyType)), None)
    if wildcard is not None:
        return marked(wildcard, join_sensitivity(*map(deep_sensitivity, options)))
    if not options:
        return LiteralType(())
    return options[0] if len(options) == 1 else UnionType(tuple(options))


def optional(source: Type) -> Type:
    """The type or null."""
    return union_of((source, NULL))


def without_null(source: Type) -> Type:
    """The type for a value that is known not to be null."""
    if not isinstance(source, UnionType):
        return source
    rest = [each for each in source.options if not (isinstance(each, ScalarType) and each.name == "null")]
    return marked(union_of(rest), source.sensitivity) if rest else source
