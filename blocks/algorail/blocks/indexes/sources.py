"""Where rows come from: arrays, .npy, .jsonl and .parquet, read in batches; nothing is ever unpickled."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from algorail.blocks.indexes.blobs import Array
from algorail.engine.kit.errors import InvalidInput

Matrix: TypeAlias = NDArray[np.float32]
Payload: TypeAlias = dict[str, Any]

BATCH = 4_096
MAX_DIMENSIONS = 65_536
MAX_LINE_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows: their vectors and, where the source has them, payloads (with the ids still in)."""

    vectors: Matrix
    payloads: Sequence[Payload] | None


@dataclass(frozen=True, slots=True)
class Source:
    """Rows to index.

    Attributes:
        name: File name, empty for an array.
        count: Number of rows, None if not known before reading.
        batches: The rows, once.
    """

    name: str
    count: int | None
    batches: Iterator[Batch]


def open_source(
    source: str | Path | Array,
    *,
    vector: str = "vector",
    payloads: str | Path | Iterable[Mapping[str, Any]] | None,
) -> Source:
    """Open what the rows come from.

    Args:
        source: A matrix (rows × dimensions), or a file ending in .npy, .jsonl or .parquet.
        vector: Field or column of the vector, for .jsonl and .parquet; the other fields are the payload.
        payloads: One mapping per row, or a .jsonl file of them, for arrays and .npy.

    Raises:
        InvalidInput: `index-source-invalid`, if it cannot be read as that.
    """
    if isinstance(source, np.ndarray):
        return _from_matrix(source, "", payloads)
    path = Path(source)
    if not path.is_file():
        raise invalid(f"there is no file {path}")
    if path.suffix == ".npy":
        return _from_matrix(_map_npy(path), path.name, payloads)
    if payloads is not None:
        raise invalid(f"{path.name} has its payloads in itself", "separate payloads belong to .npy files")
    if path.suffix == ".jsonl":
        return Source(path.name, None, _rows_to_batches(read_jsonl(path), vector))
    if path.suffix == ".parquet":
        return _from_parquet(path, vector)
    raise invalid(f"cannot read {path.name!r}", "give a file ending in .npy, .jsonl or .parquet")


def read_jsonl(path: Path) -> Iterator[Payload]:
    """The objects of a file with one JSON object per line; empty lines do not count."""
    decoder = msgspec.json.Decoder(Payload)
    try:
        file = path.open("rb")
    except OSError as error:
        raise invalid(f"{path} cannot be opened: {error.strerror}") from error
    with file:
        for number in range(1, 2**62):
            line = file.readline(MAX_LINE_BYTES + 1)
            if not line:
                return
            if len(line) > MAX_LINE_BYTES:
                raise invalid(f"line {number} of {path.name} has more than {MAX_LINE_BYTES} bytes")
            if line.isspace():
                continue
            try:
                yield decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise invalid(f"line {number} of {path.name} is not a JSON object: {error}") from error


def as_float32(values: Array, where: str) -> Matrix:
    """A matrix as contiguous float32; whole numbers and other float widths are converted.

    Raises:
        InvalidInput: If it is no matrix of numbers.
    """
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise invalid(
            f"{where} has shape {values.shape} and dtype {values.dtype}", "give rows × dimensions of numbers"
        )
    if not 1 <= values.shape[1] <= MAX_DIMENSIONS:
        raise invalid(f"{where} has {values.shape[1]} dimensions, must be between 1 and {MAX_DIMENSIONS}")
    with np.errstate(over="ignore"):  # too large becomes infinite and is refused with its row number
        return np.ascontiguousarray(values, dtype=np.float32)


def invalid(message: str, cure: str = "") -> InvalidInput:
    """The error for a source that cannot be indexed."""
    return InvalidInput(message, code="index-source-invalid", cure=cure)


def _map_npy(path: Path) -> Array:
    """Map rather than read: a header that promises terabytes then fails on the file's real size."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, OverflowError, SyntaxError) as error:
        raise invalid(f"{path.name} is not a readable .npy file: {error}") from error
    return array


def _from_matrix(
    matrix: Array, name: str, payloads: str | Path | Iterable[Mapping[str, Any]] | None
) -> Source:
    where = name or "the array"
    as_float32(matrix[:0], where)
    objects = read_jsonl(Path(payloads)) if isinstance(payloads, str | Path) else payloads
    return Source(
        name, len(matrix), _matrix_batches(matrix, where, None if objects is None else iter(objects))
    )


def _matrix_batches(
    matrix: Array, where: str, objects: Iterator[Mapping[str, Any]] | None
) -> Iterator[Batch]:
    for start in range(0, len(matrix), BATCH):
        vectors = as_float32(matrix[start : start + BATCH], where)
        payloads = None if objects is None else [_plain(each) for each in islice(objects, len(vectors))]
        if payloads is not None and len(payloads) < len(vectors):
            raise invalid(f"{where} has {len(matrix)} rows, but only {start + len(payloads)} payloads came")
        yield Batch(vectors, payloads)
    if objects is not None and next(objects, None) is not None:
        raise invalid(f"{where} has {len(matrix)} rows, but more payloads came")


def _rows_to_batches(rows: Iterator[Payload], field: str) -> Iterator[Batch]:
    first = 1
    while payloads := list(islice(rows, BATCH)):
        lists = [payload.pop(field, None) for payload in payloads]
        sizes = {len(each) if isinstance(each, list) else None for each in lists}
        if len(sizes) > 1 or None in sizes:
            raise invalid(_odd_one(lists, field, first))
        try:
            vectors = np.asarray(lists)
        except (ValueError, OverflowError) as error:
            raise invalid(f"field {field!r} of rows {first} to {first + len(lists) - 1}: {error}") from error
        yield Batch(as_float32(vectors, f"field {field!r}"), payloads)
        first += len(payloads)


def _odd_one(lists: list[Any], field: str, first: int) -> str:
    """Which row is the first whose vector does not fit."""
    size = next((len(each) for each in lists if isinstance(each, list)), None)
    for row, each in enumerate(lists, start=first):
        if not isinstance(each, list):
            return f"row {row} has no list of numbers in field {field!r}"
        if len(each) != size:
            return f"row {row} has {len(each)} dimensions, the rows before it {size}"
    return f"field {field!r} is not a vector in every row"


def _from_parquet(path: Path, field: str) -> Source:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise invalid(
            "reading .parquet needs pyarrow", "install algorail[parquet], or convert the file to .jsonl"
        ) from error
    arrow_error = importlib.import_module("pyarrow").ArrowException
    try:
        file = parquet.ParquetFile(path)
    except (arrow_error, OSError) as error:
        raise invalid(f"{path.name} is not a readable parquet file: {error}") from error
    names = file.schema_arrow.names
    if field not in names:
        raise invalid(f"{path.name} has no column {field!r}", f"its columns are {names}")
    return Source(path.name, file.metadata.num_rows, _parquet_batches(file, field, arrow_error))


def _parquet_batches(file: Any, field: str, arrow_error: type[Exception]) -> Iterator[Batch]:
    try:
        for batch in file.iter_batches(batch_size=BATCH):
            column = batch.column(field)
            values = np.asarray(column.flatten()) if hasattr(column, "flatten") else np.empty(0)
            if column.null_count or len(values) % len(column) or not _same_lengths(column):
                raise invalid(f"column {field!r} is not a list of as many numbers in every row")
            vectors = as_float32(values.reshape(len(column), -1), f"column {field!r}")
            yield Batch(vectors, [_plain(row) for row in batch.drop_columns([field]).to_pylist()])
    except (arrow_error, OSError) as error:
        raise invalid(f"the parquet file cannot be read to its end: {error}") from error
    finally:
        file.close()


def _same_lengths(column: Any) -> bool:
    lengths = column.value_lengths() if hasattr(column, "value_lengths") else None
    return lengths is None or len(lengths.unique()) == 1


def _plain(payload: Mapping[str, Any]) -> Payload:
    """As plain JSON data: dates become ISO text, decimals text, NaN null."""
    try:
        return msgspec.json.decode(msgspec.json.encode(payload), type=Payload)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise invalid(f"a payload is not a JSON object: {error}") from error
