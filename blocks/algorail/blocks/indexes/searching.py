"""A loaded index version: mapped into memory, shared by all processes, searched with one thread per query."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import msgspec
import numpy as np
from numpy.typing import NDArray

from algorail.blocks.indexes import manifest
from algorail.blocks.indexes.blobs import Array, Blob, map_array
from algorail.blocks.indexes.building import INDEX_FILE
from algorail.blocks.indexes.columns import Column
from algorail.blocks.indexes.filters import Clause, PayloadIndex, Selection
from algorail.blocks.indexes.manifest import IndexVersion
from algorail.blocks.indexes.native import faiss
from algorail.blocks.indexes.sources import Matrix
from algorail.blocks.indexes.training import NEIGHBOURS
from algorail.engine.kit.errors import InvalidInput

MAX_K = 10_000
_LARGEST = 2**63
_ROUNDING = 1e-6
"""A vector whose squared length is so near to one was brought to unit length in float32 already."""
_FLOAT32 = np.dtype(np.float32)
_read_payload = msgspec.msgpack.Decoder(dict[str, Any]).decode


class Hit(TypedDict):
    """A row that was found.

    Attributes:
        id: The row's own id, or its number from 0 in the source.
        score: Similarity for `cosine` and `dot`, larger is nearer; distance for `l2`, smaller is nearer.
        payload: The row's fields, empty if it has none or none were asked for.
    """

    id: int | str
    score: float
    payload: dict[str, Any]


class Prepared(NamedTuple):
    """A search that is ready to run: its price is known before it is paid.

    Attributes:
        index: FAISS index to ask.
        params: FAISS search parameters, None for the index's own.
        k: How many to find; 0 if nothing can match.
        micros: Expected time for one query, microseconds.
        exact: Whether it compares every row that may match.
        selection: Rows that may match, None for all.
    """

    index: Any
    params: Any
    k: int
    micros: float
    exact: bool
    selection: Selection | None


class LoadedIndex:
    """An index version in memory. Immutable, safe for any number of threads; freed with the last reference.

    Args:
        folder: The artefact.

    Raises:
        Unavailable: `index-corrupt`.
    """

    def __init__(self, folder: Path) -> None:
        self.version: IndexVersion = manifest.verify(folder)
        try:
            self._load(folder)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise manifest.corrupt(folder, f"it cannot be loaded: {error}") from error
        if (self._index.d, self._index.ntotal) != (self.version.size, self.version.count):
            raise manifest.corrupt(
                folder, f"it holds {self._index.ntotal} rows of {self._index.d} dimensions"
            )

    def _load(self, folder: Path) -> None:
        self._faiss = faiss()
        module, version = self._faiss, self.version
        self._index = module.read_index(str(folder / INDEX_FILE), module.IO_FLAG_MMAP_IFC)
        self._scan = module.downcast_index(self._index.storage) if version.kind == "hnsw" else self._index
        self._unfiltered: dict[int, Prepared] = {}
        self._ids: Blob | Array = (
            Blob(folder, "ids") if version.ids == "text" else map_array(folder / "ids.npy")
        )
        self._payloads = Blob(folder, "payloads") if "payloads.bin" in version.files else None
        columns = {
            name: Column(folder, f"field-{place}", kind)
            for place, (name, kind) in enumerate(version.filterable.items())
        }
        self._filter = PayloadIndex(columns, version.count)

    def queries(self, vectors: Sequence[Any]) -> Matrix:
        """Query vectors as the index wants them.

        Args:
            vectors: One-dimensional float32 arrays, or lists of numbers.

        Raises:
            InvalidInput: `vector-invalid`, saying what does not fit.
        """
        return np.concatenate([self.query(vector) for vector in vectors])

    def query(self, vector: Any) -> Matrix:
        """As `queries`, of one."""
        checked = _checked(vector, self.version.size)
        # One product finds NaN and infinity and gives the length; `vdot` does not warn of an overflow.
        square = float(np.vdot(checked, checked))
        if not square < math.inf:
            raise _bad_vector("holds NaN, infinite or too large numbers", "check the model that made it")
        if self.version.metric == "cosine":
            if not square:
                raise _bad_vector("is the zero vector, which has no direction", "cosine needs a direction")
            if abs(square - 1.0) > _ROUNDING:
                checked = checked * (1.0 / math.sqrt(square))
        return checked[np.newaxis] if checked.flags.c_contiguous else checked[np.newaxis].copy()

    def prepare(self, k: int, wanted: tuple[Clause, ...] = (), *, exact: bool = False) -> Prepared:
        """Choose how to search: exactly where that is as cheap, or where it was asked for.

        A filter is applied before the search, never to its result: few rows that are left are compared one by
        one; for many the structure is searched, with an effort raised by the share that is left and by `k`.

        Raises:
            InvalidInput: `filter-invalid` or `vector-search-k`.
        """
        if not wanted and not exact and type(k) is int and k in self._unfiltered:
            return self._unfiltered[k]
        prepared = self._prepare(k, wanted, exact=exact)
        if not wanted and not exact:
            self._unfiltered[k] = prepared
        return prepared

    def _prepare(self, k: int, wanted: tuple[Clause, ...], *, exact: bool) -> Prepared:
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
            raise InvalidInput(
                f"k == {k!r}, must be a whole number between 1 and {MAX_K}", code="vector-search-k"
            )
        selection = self._filter.select(wanted) if wanted else None
        rows = self.version.count if selection is None else selection.count
        k = min(k, rows)
        scan = rows * self.version.scan_us
        # The effort was measured for ten hits among all rows; more hits, or fewer rows, need more of it.
        factor = max(1.0, k / NEIGHBOURS) / (1.0 if selection is None else max(selection.share, 1e-9))
        guess = self.version.measured.search_us * factor
        if exact or self.version.kind == "flat" or scan <= guess:
            return self._exact(k, selection, scan)
        effort = math.ceil(self.version.measured.effort * factor)
        params = self._params(effort, None if selection is None else selection.bitmap)
        return Prepared(self._index, params, k, guess, exact=False, selection=selection)

    def search(self, prepared: Prepared, queries: Matrix) -> tuple[Matrix, NDArray[np.int64]]:
        """Scores and positions of the nearest rows, one line per query, the nearest first.

        Every line has exactly `k` rows: where the structure found fewer, the search is repeated exactly.
        """
        if not prepared.k:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        # The engine runs searches side by side; FAISS's own threads, a set for each of ours, would spin.
        self._faiss.omp_set_num_threads(1)
        scores, rows = self._ask(prepared, queries)
        lasts = (rows.item(-1),) if len(rows) == 1 else rows[:, -1].tolist()
        if not prepared.exact and -1 in lasts:
            scores, rows = self._ask(self._exact(prepared.k, prepared.selection, prepared.micros), queries)
        return (np.sqrt(np.maximum(scores, 0)) if self.version.metric == "l2" else scores), rows

    def _ask(self, prepared: Prepared, queries: Matrix) -> tuple[Matrix, NDArray[np.int64]]:
        """FAISS's C function: its Python wrapper checks again what `queries` has checked, for 5 µs."""
        count, k, pointer = len(queries), prepared.k, self._faiss.swig_ptr
        scores, rows = np.empty((count, k), np.float32), np.empty((count, k), np.int64)
        prepared.index.search_c(count, pointer(queries), k, pointer(scores), pointer(rows), prepared.params)
        return scores, rows

    def hits(
        self, scores: NDArray[np.float32], rows: NDArray[np.int64], *, payload: bool = True
    ) -> list[Hit]:
        """One line of a result as hits."""
        ids = self._ids[rows].tolist() if isinstance(self._ids, np.ndarray) else self._ids.texts(rows)
        pairs = zip(ids, scores.tolist(), strict=True)
        if not payload or self._payloads is None:
            return [{"id": identifier, "score": score, "payload": {}} for identifier, score in pairs]
        return [
            {"id": identifier, "score": score, "payload": _read_payload(data)}
            for (identifier, score), data in zip(pairs, self._payloads.many(rows), strict=True)
        ]

    def _exact(self, k: int, selection: Selection | None, micros: float) -> Prepared:
        if self.version.kind == "ivf":
            bitmap = None if selection is None else selection.bitmap
            return Prepared(
                self._index,
                self._params(self._index.nlist, bitmap),
                k,
                micros,
                exact=True,
                selection=selection,
            )
        params = None if selection is None else self._faiss.SearchParameters(sel=selection.listed)
        return Prepared(self._scan, params, k, micros, exact=True, selection=selection)

    def _params(self, effort: int, selector: Any) -> Any:
        if self.version.kind == "hnsw":
            return self._faiss.SearchParametersHNSW(efSearch=effort, sel=selector)
        if self.version.kind == "ivf":
            return self._faiss.SearchParametersIVF(nprobe=min(effort, self._index.nlist), sel=selector)
        return None


def _checked(vector: Any, size: int) -> NDArray[np.float32]:
    if isinstance(vector, np.ndarray):
        if vector.dtype is not _FLOAT32 and vector.dtype != _FLOAT32:
            raise _bad_vector(
                f"has dtype {vector.dtype}, expected float32", "convert it: vector.astype('float32')"
            )
        array = vector
    elif isinstance(vector, list | tuple):
        if not all(type(each) is float or (type(each) is int and abs(each) < _LARGEST) for each in vector):
            raise _bad_vector("holds something else than numbers, or too large ones", "give numbers only")
        with np.errstate(over="ignore"):
            array = np.asarray(vector, np.float32)
    else:
        raise _bad_vector(f"is {type(vector).__name__}", "give a Vector or a list of numbers")
    if array.shape != (size,):
        raise _bad_vector(
            f"has shape {array.shape}, the index has {size} dimensions", "use the model it was built with"
        )
    return array


def _bad_vector(what: str, cure: str) -> InvalidInput:
    return InvalidInput(f"the query vector {what}", code="vector-invalid", cure=cure)
