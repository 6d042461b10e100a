"""Payload fields as sorted columns: a filter becomes a few binary searches before the vector search.

A column keeps the positions of the rows that have a value, sorted by it: equality and ranges are slices.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from algorail.blocks.indexes.blobs import Array, Blob, BlobWriter, map_array, save_array
from algorail.blocks.indexes.manifest import FieldClass
from algorail.engine.kit.errors import InvalidInput

Scalar: TypeAlias = bool | int | float | str
Positions: TypeAlias = NDArray[np.int32]

_EXACT_FLOAT = 2**53
_INT64 = 2**63


def class_of(value: Scalar) -> FieldClass:
    """Which values compare with it."""
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def common_class(values: Iterable[Scalar | None]) -> FieldClass | None:
    """The class that all present values share; None if they do not, or are too large to compare exactly."""
    present = [value for value in values if value is not None]
    classes = {class_of(value) for value in present}
    if len(classes) != 1:
        return None
    if classes != {"number"}:
        return classes.pop()
    bound = _EXACT_FLOAT if any(isinstance(value, float) for value in present) else _INT64 - 1
    return "number" if all(abs(value) <= bound for value in present if isinstance(value, int)) else None


def write_column(folder: Path, stem: str, values: Sequence[Scalar | None]) -> None:
    """Write a column of one class; a value's position is its place in `values`, None is no value."""
    rows = np.array([row for row, value in enumerate(values) if value is not None], dtype=np.int32)
    present: list[Any] = [values[row] for row in rows]
    if isinstance(present[0], str):
        _write_text(folder, stem, rows, present)
        return
    keys = np.asarray(present, dtype=np.float64 if any(type(v) is float for v in present) else np.int64)
    order = np.argsort(keys, kind="stable")
    save_array(folder / f"{stem}-rows.npy", rows[order])
    save_array(folder / f"{stem}-keys.npy", keys[order])


def _write_text(folder: Path, stem: str, rows: Positions, texts: list[str]) -> None:
    # Python sorts text by code point, which is the order of its UTF-8 bytes.
    order = sorted(range(len(texts)), key=texts.__getitem__)
    save_array(folder / f"{stem}-rows.npy", rows[order])
    starts = [
        place for place, item in enumerate(order) if not place or texts[item] != texts[order[place - 1]]
    ]
    blob = BlobWriter(folder, f"{stem}-keys")
    for start in starts:
        blob.append(texts[order[start]].encode())
    blob.finish()
    save_array(folder / f"{stem}-starts.npy", np.asarray([*starts, len(order)], dtype=np.int64))


class _Keys(Protocol):
    """Where a value begins and ends among the sorted rows."""

    def left(self, value: Any) -> int: ...

    def right(self, value: Any) -> int: ...


class _NumberKeys:
    def __init__(self, keys: Array) -> None:
        self._keys = keys
        self._whole = keys.dtype.kind == "i"

    def left(self, value: float) -> int:
        return self._find(math.ceil(value) if self._whole else value, "left")

    def right(self, value: float) -> int:
        return self._find(math.floor(value) if self._whole else value, "right")

    def _find(self, value: float, side: Any) -> int:
        if isinstance(value, int) and not -_INT64 <= value < _INT64:
            return 0 if value < 0 else len(self._keys)
        return int(np.searchsorted(self._keys, self._keys.dtype.type(value), side))


class _TextKeys:
    def __init__(self, keys: Blob, starts: Array) -> None:
        self._keys, self._starts = keys, starts

    def left(self, value: str) -> int:
        return int(self._starts[bisect_left(self._keys, value.encode())])

    def right(self, value: str) -> int:
        return int(self._starts[bisect_right(self._keys, value.encode())])


class Column:
    """A payload field of a loaded index.

    Args:
        folder: The artefact's folder.
        stem: Start of the names of the column's files.
        kind: Class of its values.
    """

    def __init__(self, folder: Path, stem: str, kind: FieldClass) -> None:
        self.kind = kind
        self._rows: Positions = map_array(folder / f"{stem}-rows.npy")
        self._keys: _Keys
        if kind == "text":
            self._keys = _TextKeys(Blob(folder, f"{stem}-keys"), map_array(folder / f"{stem}-starts.npy"))
        else:
            self._keys = _NumberKeys(map_array(folder / f"{stem}-keys.npy"))

    def rows(self, operator: str, value: Any) -> Positions:
        """Positions of the rows for which `field operator value` holds; a row without the field never counts.

        Raises:
            InvalidInput: `filter-invalid`, if the value is of another class than the field.
        """
        if operator == "in":
            parts = [self.rows("eq", item) for item in dict.fromkeys(value)]
            return np.concatenate(parts) if parts else self._rows[:0]
        self._check(value)
        start, stop = _RANGES[operator](self._keys, value, len(self._rows))
        return self._rows[start:stop]

    def _check(self, value: Scalar) -> None:
        if class_of(value) != self.kind or (isinstance(value, float) and not math.isfinite(value)):
            raise InvalidInput(
                f"the filter compares a field of class {self.kind} with {value!r}",
                code="filter-invalid",
                cure=f"give a finite {self.kind} value",
            )


_RANGES: dict[str, Callable[[_Keys, Any, int], tuple[int, int]]] = {
    "eq": lambda keys, value, _: (keys.left(value), keys.right(value)),
    "ge": lambda keys, value, count: (keys.left(value), count),
    "gt": lambda keys, value, count: (keys.right(value), count),
    "le": lambda keys, value, _: (0, keys.right(value)),
    "lt": lambda keys, value, _: (0, keys.left(value)),
}
OPERATORS = (*_RANGES, "in")
