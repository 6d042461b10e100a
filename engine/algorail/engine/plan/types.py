"""Port types: what a value may be. JSON-Schema-like, decided and compared only here.

Values between blocks are plain data: None, bool, int, float, str, bytes, list, dict and, for `Vector`,
one-dimensional numpy arrays. Models (pydantic, dataclass, TypedDict) exist only inside a user's block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Sensitivity: TypeAlias = Literal["", "pii", "secret"]
Scalar: TypeAlias = Literal["null", "boolean", "integer", "number", "string", "bytes"]
Dtype: TypeAlias = Literal["float16", "float32", "float64", "int8", "uint8", "int32", "int64"]


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
    """A field of an object type."""

    type: Type
    required: bool = True
    default: Any = None


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
