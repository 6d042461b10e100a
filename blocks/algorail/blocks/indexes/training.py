"""Which structure, how much effort: chosen by size, measured on rows held out of the index, explained."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorail.blocks.indexes.manifest import IndexKind, Measurement, Metric
from algorail.blocks.indexes.native import faiss, threads
from algorail.blocks.indexes.sources import Matrix

FLAT_ROWS = 10_000
"""Up to here comparing with every row takes about a millisecond, and is exact."""
HNSW_ROWS = 500_000
"""Up to here a graph builds in minutes; it answers two to four times faster than inverted lists."""
NEIGHBOURS = 10
_HELD_OUT = 200
_TIMED = 50
_CHUNK = 4_096
_EF = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_M = 16
_EF_CONSTRUCTION = 80

Step = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """A built index and what was learnt about it.

    Attributes:
        index: The FAISS index.
        order: Source row of every position in the index.
        kind: Its structure.
        why: The choice in words.
        measured: The effort in use.
        curve: Every effort that was tried.
        scan_us: Exact comparison of one row, microseconds.
    """

    index: Any
    order: NDArray[np.int64]
    kind: IndexKind
    why: str
    measured: Measurement
    curve: tuple[Measurement, ...]
    scan_us: float


def choose(count: int) -> tuple[IndexKind, str]:
    """The structure for a number of rows, and why."""
    if count <= FLAT_ROWS:
        return "flat", f"{count:,} rows are few enough to compare with every one: exact, about a millisecond"
    if count <= HNSW_ROWS:
        return "hnsw", f"{count:,} rows are too many to compare with every one; a graph (HNSW) is the fastest"
    return (
        "ivf",
        f"{count:,} rows would take too long to build as a graph; inverted lists (IVF) take minutes",
    )


def train(
    vectors: Matrix, *, kind: IndexKind | None, metric: Metric, recall: float, cores: int, step: Step
) -> Trained:
    """Build the index of the given or chosen kind, with the least effort that reaches the wanted recall.

    The sample is kept out of the index while the recall is measured: a row that is in the graph finds its own
    neighbours too easily. When no effort reaches the recall and the kind was ours to choose, flat it is.

    Args:
        vectors: Rows × dimensions, normalised for `cosine`.
        kind: None to choose by size.
        metric: How nearness is measured.
        recall: Share of the true ten nearest that must be found, above 0 to 1.
        cores: Threads to build with.
        step: Told (stage, done, total).
    """
    chosen, why = (kind, "the builder asked for it") if kind else choose(len(vectors))
    with threads(cores):
        if chosen != "flat" and len(vectors) < 4 * NEIGHBOURS:
            chosen, why = "flat", f"{len(vectors)} rows are too few for {chosen}"
        if chosen == "flat":
            return _flat(vectors, metric, why, step)
        trained = _approximate(vectors, chosen, metric, recall=recall, why=why, step=step)
        if kind is None and trained.measured.recall < recall:
            why += (
                f"; but it found only {trained.measured.recall:.1%} of the nearest, so every row is compared"
            )
            return _flat(vectors, metric, why, step)
        return trained


def _flat(vectors: Matrix, metric: Metric, why: str, step: Step) -> Trained:
    index = faiss().index_factory(vectors.shape[1], "Flat", _metric(metric))
    order = np.arange(len(vectors), dtype=np.int64)
    _add(index, vectors, order, step)
    micros = _time(lambda query: index.search(query, NEIGHBOURS), vectors[:_TIMED])
    measured = Measurement(effort=0, recall=1.0, search_us=round(micros, 1))
    return Trained(index, order, "flat", why, measured, (measured,), micros / len(vectors))


def _approximate(
    vectors: Matrix, kind: IndexKind, metric: Metric, *, recall: float, why: str, step: Step
) -> Trained:
    count = len(vectors)
    held_out = np.random.default_rng(0).permutation(count)[: min(_HELD_OUT, count // 4)]
    inside = np.setdiff1d(np.arange(count, dtype=np.int64), held_out)
    index = _empty(vectors, kind, metric, step)
    _add(index, vectors, inside, step)
    curve, scan_us = _measure(index, kind, vectors[held_out], recall, step)
    _add(index, vectors, held_out, step)
    best = curve[-1]
    effort = "efSearch" if kind == "hnsw" else f"nprobe (of {index.nlist} lists)"
    why += (
        f"; {effort} {best.effort} finds {best.recall:.1%} of the true ten nearest ({recall:.1%} asked for)"
    )
    return Trained(index, np.concatenate([inside, held_out]), kind, why, best, tuple(curve), scan_us)


def _empty(vectors: Matrix, kind: IndexKind, metric: Metric, step: Step) -> Any:
    size = vectors.shape[1]
    if kind == "hnsw":
        index = faiss().index_factory(size, f"HNSW{_M},Flat", _metric(metric))
        index.hnsw.efConstruction = _EF_CONSTRUCTION
        return index
    # FAISS asks for at least 39 rows per list; 4·√n lists balance finding the lists against scanning them.
    lists = max(1, min(int(4 * math.sqrt(len(vectors))), len(vectors) // 39))
    index = faiss().index_factory(size, f"IVF{lists},Flat", _metric(metric))
    step("train", 0, 1)
    index.train(vectors)
    step("train", 1, 1)
    return index


def _add(index: Any, vectors: Matrix, order: NDArray[np.int64], step: Step) -> None:
    for start in range(0, len(order), _CHUNK):
        index.add(vectors[order[start : start + _CHUNK]])
        step("add", index.ntotal, len(vectors))


def _measure(
    index: Any, kind: IndexKind, queries: Matrix, recall: float, step: Step
) -> tuple[list[Measurement], float]:
    """Raise the effort until the recall is reached; also the price of an exact comparison."""
    exact: Callable[[Matrix], Any]
    if kind == "hnsw":
        storage = faiss().downcast_index(index.storage)
        exact, efforts = lambda query: storage.search(query, NEIGHBOURS), list(_EF)
    else:
        every = faiss().SearchParametersIVF(nprobe=index.nlist)
        exact = lambda query: index.search(query, NEIGHBOURS, params=every)  # noqa: E731  one line beside the other
        efforts = [2**power for power in range(index.nlist.bit_length()) if 2**power < index.nlist] + [
            index.nlist
        ]
    truth = exact(queries)[1]
    scan_us = _time(exact, queries[:10]) / index.ntotal
    curve: list[Measurement] = []
    for place, effort in enumerate(efforts):
        search = _search(index, kind, effort)
        found = search(queries)[1]
        hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True))
        micros = _time(search, queries[:_TIMED])
        curve.append(
            Measurement(effort=effort, recall=round(hits / truth.size, 4), search_us=round(micros, 1))
        )
        step("measure", place + 1, len(efforts))
        if curve[-1].recall >= recall:
            break
    return curve, scan_us


def _search(index: Any, kind: IndexKind, effort: int) -> Callable[[Matrix], Any]:
    module = faiss()
    params = (
        module.SearchParametersHNSW(efSearch=effort)
        if kind == "hnsw"
        else module.SearchParametersIVF(nprobe=effort)
    )
    return lambda queries: index.search(queries, NEIGHBOURS, params=params)


def _time(search: Callable[[Matrix], Any], queries: Matrix) -> float:
    """Time of one query on one thread, microseconds: the lower quartile, which a busy machine moves least."""
    with threads(1):
        search(queries[:1])
        times = []
        for place in range(len(queries)):
            start = time.perf_counter()
            search(queries[place : place + 1])
            times.append(time.perf_counter() - start)
    return statistics.quantiles(times, n=4)[0] * 1e6 if len(times) > 1 else times[0] * 1e6


def _metric(metric: Metric) -> int:
    module = faiss()
    return int(module.METRIC_L2 if metric == "l2" else module.METRIC_INNER_PRODUCT)
