"""Between JSON and columns: strict decoding by the model's own types, and back.

Numbers are taken by msgspec, so a bool is no int, a string no number, and NaN or 1e999 are no JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec
import numpy as np

from algorail.engine.kit.errors import AlgorailError, InvalidInput
from algorail.model_host.spec import DATATYPES, Tensor

Columns: TypeAlias = dict[str, "np.ndarray[Any, Any]"]
"""Arrays by name; the first dimension is the rows."""

NAMES: Mapping[str, str] = {name: name for name in DATATYPES if name != "string"}
"""Numpy type names that a protocol can carry."""

DTYPES: Mapping[str, str] = {datatype: name for name, datatype in DATATYPES.items()}
"""Open Inference Protocol datatype → our name."""


def element(dtype: str) -> Any:
    """The msgspec type of one JSON value of that dtype."""
    if dtype == "string":
        return str
    if dtype == "bool":
        return bool
    if dtype.startswith("float"):
        return float
    if dtype == "uint64":
        return Annotated[int, msgspec.Meta(ge=0)]
    limits = np.iinfo(dtype)
    return Annotated[int, msgspec.Meta(ge=int(limits.min), le=int(limits.max))]


def row_type(tensor: Tensor) -> Any:
    """The msgspec type of one row's value."""
    found = element(tensor.dtype)
    for size in reversed(tensor.shape):
        found = list.__class_getitem__(found)
        if size >= 0:
            found = Annotated[found, msgspec.Meta(min_length=size, max_length=size)]
    return found


def to_array(name: str, dtype: str, values: Any) -> np.ndarray[Any, Any]:
    """An array of (nested) lists whose elements were decoded strictly.

    Raises:
        InvalidInput: If the lists are ragged, or a number does not fit the type.
    """
    if dtype == "string":
        return _objects(values)
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(values, dtype=dtype)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"input {name!r}: {error}", code="tensor-invalid") from None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidInput(f"input {name!r} holds a number that {dtype} cannot", code="tensor-invalid")
    return array


def _objects(values: Any) -> np.ndarray[Any, Any]:
    shape, inner = [], values
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    array = np.empty(shape, dtype=object)
    array[...] = values
    return array


def check_rows(name: str, tensor: Tensor, shape: Sequence[int]) -> None:
    """Compare the shape of a whole tensor, rows first, with the model's.

    Raises:
        InvalidInput: `tensor-shape`, with both shapes.
    """
    fits = len(shape) == len(tensor.shape) + 1 and all(
        want in (-1, got) for want, got in zip(tensor.shape, shape[1:], strict=True)
    )
    if not fits:
        want = [-1, *tensor.shape]
        raise InvalidInput(
            f"input {name!r} has shape {list(shape)}, must be {want} (-1 is any)", code="tensor-shape"
        )


def from_model(outputs: Mapping[str, Tensor], found: Mapping[str, Any], rows: int) -> Columns:
    """What the model returned, if it is what its manifest promises.

    Raises:
        AlgorailError: `model-lies`, naming the output.
    """
    columns: Columns = {}
    for name, tensor in outputs.items():
        column = np.asarray(found[name])
        if column.shape[:1] != (rows,) or not _same(tensor.shape, column.shape[1:]):
            raise AlgorailError(
                f"the model returned {name!r} of shape {list(column.shape)} for {rows} rows of {tensor}",
                code="model-lies",
            )
        if tensor.dtype != "string":
            column = np.ascontiguousarray(column, dtype=tensor.dtype)
            if column.dtype.kind == "f" and not np.isfinite(column).all():
                raise AlgorailError(f"the model returned NaN or infinity in {name!r}", code="model-lies")
        columns[name] = column
    return columns


def _same(want: Sequence[int], got: Sequence[int]) -> bool:
    return len(want) == len(got) and all(a in (-1, b) for a, b in zip(want, got, strict=True))


def to_json(column: np.ndarray[Any, Any]) -> Any:
    """What orjson can write: numeric arrays as they are, text as lists."""
    return column.tolist() if column.dtype.kind in "OU" else column


def zeros(inputs: Mapping[str, Tensor]) -> Columns:
    """One row of zeros and empty texts; sizes that may be any are one."""
    columns: Columns = {}
    for name, tensor in inputs.items():
        shape = (1, *(max(size, 1) if size < 0 else size for size in tensor.shape))
        columns[name] = (
            np.full(shape, "", dtype=object) if tensor.dtype == "string" else np.zeros(shape, tensor.dtype)
        )
    return columns


def elements(shape: Sequence[int]) -> int:
    """How many elements a shape has."""
    return math.prod(shape)
