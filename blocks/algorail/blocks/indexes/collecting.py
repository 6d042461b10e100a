"""Reads a source to its end: vectors into memory, ids and filterable fields into lists, payloads to disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from algorail.blocks.indexes.blobs import BlobWriter
from algorail.blocks.indexes.columns import Scalar, common_class
from algorail.blocks.indexes.manifest import FieldClass, Metric
from algorail.blocks.indexes.sources import Batch, Matrix, Payload, Source, invalid

MAX_FIELDS = 64
MAX_TEXT_CHARACTERS = 256
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Rows:
    """Everything that is indexed, in the order of the source.

    Attributes:
        vectors: Rows × dimensions; of unit length under the metric `cosine`.
        ids: The rows' own ids, None where the row number serves.
        fields: Values of the filterable payload fields, None where a row has none.
        payloads: Writer of the payloads, None if there are none; its spans are not written yet.
    """

    vectors: Matrix
    ids: list[int] | list[str] | None
    fields: dict[str, list[Scalar | None]]
    payloads: BlobWriter | None


class VectorBuffer:
    """A matrix that grows by doubling.

    Args:
        capacity: Rows to expect, None if unknown.
    """

    def __init__(self, capacity: int | None) -> None:
        self._capacity = capacity or 0
        self._data: Matrix = np.empty((0, 0), np.float32)
        self.count = 0

    def append(self, vectors: Matrix) -> None:
        """Add rows, which must have the dimensions of those before."""
        need = self.count + len(vectors)
        if self.count and vectors.shape[1] != self._data.shape[1]:
            size = self._data.shape[1]
            raise invalid(
                f"row {self.count + 1} has {vectors.shape[1]} dimensions, the rows before it {size}"
            )
        if need > len(self._data):
            grown = np.empty((max(need, self._capacity, 2 * len(self._data)), vectors.shape[1]), np.float32)
            if self.count:
                grown[: self.count] = self._data[: self.count]
            self._data = grown
        self._data[self.count : need] = vectors
        self.count = need

    def matrix(self) -> Matrix:
        """What was added."""
        return self._data[: self.count]


class FieldCollector:
    """Gathers the payload fields that filters may name.

    Args:
        wanted: Their names; None for every top-level field that holds numbers, booleans or short texts.
    """

    def __init__(self, wanted: Collection[str] | None) -> None:
        self._wanted = None if wanted is None else set(wanted)
        self._values: dict[str, list[Scalar | None]] = {name: [] for name in wanted or ()}
        self._given_up: set[str] = set()
        self._count = 0

    def append(self, payload: Payload) -> None:
        """Add the next row."""
        for name, value in payload.items():
            if (
                value is None
                or name in self._given_up
                or (self._wanted is not None and name not in self._wanted)
            ):
                continue
            if not self._suits(value):
                self._give_up(name, f"row {self._count + 1} has {type(value).__name__} {str(value)[:40]!r}")
                continue
            if name not in self._values and len(self._values) < MAX_FIELDS:
                self._values[name] = []
            if name in self._values:
                values = self._values[name]
                values.extend([None] * (self._count - len(values)))
                values.append(value)
        self._count += 1

    def finish(self) -> dict[str, list[Scalar | None]]:
        """The fields whose values all compare with each other.

        Raises:
            InvalidInput: If a field that was asked for is not one of them.
        """
        for name, values in list(self._values.items()):
            values.extend([None] * (self._count - len(values)))
            if common_class(values) is None:
                self._give_up(name, "its values are missing, of mixed classes, or too large for a number")
        return self._values

    def _suits(self, value: Any) -> bool:
        if isinstance(value, str):
            return self._wanted is not None or len(value) <= MAX_TEXT_CHARACTERS
        return isinstance(value, bool | int | float)

    def _give_up(self, name: str, why: str) -> None:
        if self._wanted is not None:
            raise invalid(
                f"field {name!r} cannot be filtered by: {why}", "one class of plain values per field"
            )
        self._given_up.add(name)
        self._values.pop(name, None)


def collect(
    source: Source,
    folder: Path,
    *,
    metric: Metric,
    id_field: str | None,
    filterable: Collection[str] | None,
    progress: Callable[[int, int | None], None],
) -> Rows:
    """Read every row, check it, and write the payloads to `folder`.

    Raises:
        InvalidInput: `index-source-invalid`, naming the first rows that are wrong.
    """
    vectors = VectorBuffer(source.count)
    fields = FieldCollector(filterable)
    ids: list[Any] = []
    writer: BlobWriter | None = None
    try:
        for batch in source.batches:
            _check_numbers(batch.vectors, vectors.count, metric)
            if batch.payloads is not None:
                writer = writer or BlobWriter(folder, "payloads")
                _append_payloads(batch, ids, id_field, fields, writer)
            vectors.append(batch.vectors)
            progress(vectors.count, source.count)
    finally:
        if writer is not None:
            writer.close()
    if not vectors.count:
        raise invalid("there are no rows")
    matrix = vectors.matrix()
    if metric == "cosine":
        matrix /= np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))[:, None]
    return Rows(matrix, _checked_ids(ids, vectors.count, id_field), fields.finish(), writer)


def field_classes(fields: dict[str, list[Scalar | None]]) -> dict[str, FieldClass]:
    """Class of each filterable field."""
    return {name: kind for name, values in fields.items() if (kind := common_class(values))}


def _append_payloads(
    batch: Batch, ids: list[Any], id_field: str | None, fields: FieldCollector, writer: BlobWriter
) -> None:
    for payload in batch.payloads or ():
        if id_field is not None and id_field in payload:
            ids.append(payload.pop(id_field))
        fields.append(payload)
        writer.append(msgspec.msgpack.encode(payload))


def _check_numbers(vectors: Matrix, before: int, metric: Metric) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
    bad = np.flatnonzero(~np.isfinite(squares))
    if len(bad):
        rows = (bad[:5] + before + 1).tolist()
        raise invalid(f"rows {rows} hold NaN, infinite or too large numbers ({len(bad)} of {len(vectors)})")
    zero = np.flatnonzero(squares == 0) if metric == "cosine" else bad
    if len(zero):
        raise invalid(
            f"rows {(zero[:5] + before + 1).tolist()} are zero vectors, which have no direction",
            "leave them out, or use the metric l2 or dot",
        )


def _checked_ids(ids: Sequence[Any], count: int, field: str | None) -> list[int] | list[str] | None:
    if not ids:
        return None
    if len(ids) != count:
        raise invalid(f"{count - len(ids)} of {count} rows have no id in field {field!r}")
    whole = all(type(each) is int and -_INT64 <= each < _INT64 for each in ids)
    if not whole and not all(isinstance(each, str) and each for each in ids):
        raise invalid(f"ids in field {field!r} must all be whole numbers or all be non-empty text")
    if len(set(ids)) != count:
        twice = [each for each, times in Counter(ids).most_common(5) if times > 1]
        raise invalid(f"ids are given twice in field {field!r}: {twice}")
    return list(ids)
