"""Between port types and the tensors of the Open Inference Protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from algorail.engine.plan.types import AnyType, FieldType, ListType, ScalarType, Type, UnionType, VectorType
from algorail.model_host.spec import DATATYPES

_SCALARS = {"boolean": "bool", "integer": "int64", "number": "float64", "string": "string"}
_KINDS: dict[str, frozenset[str]] = {
    "boolean": frozenset({"BOOL"}),
    "integer": frozenset(name for name in DATATYPES.values() if "INT" in name),
    "number": frozenset(name for name in DATATYPES.values() if name.startswith(("FP", "INT", "UINT"))),
    "string": frozenset({"BYTES"}),
}


class TensorPort(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """How a port is sent.

    Attributes:
        name: Of the tensor; empty: the port's.
        datatype: Such as `FP32`; empty: the model's own if known, else what follows from the port's type.
        shape: Of one row, where the value is flat; empty: the value's own.
    """

    name: str = ""
    datatype: str = ""
    shape: list[int] = []


@dataclass(frozen=True, slots=True)
class TensorType:
    """A port type seen as one row of a tensor."""

    dtype: str
    depth: int


def tensor_of(kind: Type) -> TensorType | None:
    """What a value of that type is as a tensor, None if it is none."""
    depth = 0
    while isinstance(kind, ListType):
        kind = kind.item
        depth += 1
    if isinstance(kind, VectorType):
        return TensorType(kind.dtype, depth + 1)
    if isinstance(kind, FieldType) and kind.name == "image":
        return TensorType("string", depth)
    if isinstance(kind, ScalarType) and kind.name in _SCALARS:
        return TensorType(_SCALARS[kind.name], depth)
    return None


def shape_of(value: Any, depth: int) -> list[int]:
    """The shape of a value that is nested `depth` times."""
    shape: list[int] = []
    while len(shape) < depth:
        if isinstance(value, np.ndarray):
            return [*shape, *value.shape]
        shape.append(len(value))
        value = value[0] if value else ()
    return shape


def accepts(kind: Type, datatype: str) -> bool:
    """Whether a tensor of that datatype can fill an output of that type."""
    while isinstance(kind, ListType):
        kind = kind.item
    if isinstance(kind, VectorType):
        return datatype in _KINDS["integer" if "int" in kind.dtype else "number"]
    if isinstance(kind, ScalarType):
        return datatype in _KINDS.get(kind.name, ())
    if isinstance(kind, UnionType):
        return any(accepts(option, datatype) for option in kind.options)
    return isinstance(kind, AnyType) or datatype == "BYTES"


def rows_of(data: list[Any], shape: Sequence[int], kind: Type) -> list[Any]:
    """The rows of a flat tensor, arrays where the type is a vector.

    Raises:
        ValueError: If shape and data do not match.
    """
    if not shape or math.prod(shape) != len(data):
        raise ValueError(f"shape {list(shape)} with {len(data)} values")
    if isinstance(kind, VectorType):
        if len(shape) != 2:
            raise ValueError(f"shape {list(shape)}, expected [rows, {kind.size or 'n'}]")
        return list(np.asarray(data, dtype=kind.dtype).reshape(shape))
    return _nested(data, shape)


def _nested(data: list[Any], shape: Sequence[int]) -> list[Any]:
    for size in reversed(shape[1:]):
        data = [data[start : start + size] for start in range(0, len(data), size)] if size else [[]]
    return data
