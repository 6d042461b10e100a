"""Vector search through the block against FAISS called directly, with the same index and effort.

100,000 × 384 clustered float32, cosine, ten hits, one query at a time. Both search with the effort that the
build measured to be enough for a recall of 0.95: the same index, the same parameters, the same single thread.
`ALGORAIL_BENCH_ROWS` changes the number of rows; building the graph takes about a minute.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import msgspec
import numpy as np

from algorail.blocks import indexes
from algorail.blocks.indexes import IndexVersion
from algorail.blocks.vector_search import KIND, Config
from algorail.engine.plan.document import Input, Node, Plan, Ref
from algorail.engine.plan.types import ANY, VectorType
from algorail.engine.run.compile import compile_plan
from algorail.engine.testing.fakes import FakeKinds, FakeServices
from benchmarks.harness import Bench, Case

ROWS = int(os.environ.get("ALGORAIL_BENCH_ROWS", "100000"))
SIZE = 384
K = 10
QUERIES = 512


def clustered(count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows around 1,000 centres, of unit length: what embeddings look like."""
    centres = np.random.default_rng(7).standard_normal((1_000, SIZE), dtype=np.float32)
    rows = centres[rng.integers(0, len(centres), count)]
    rows += np.float32(0.6) * rng.standard_normal((count, SIZE), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


async def suite(bench: Bench) -> None:
    """Compare each kind of index, then the price of payloads and filters, then memory and load time."""
    faiss.omp_set_num_threads(1)
    rows = clustered(ROWS, np.random.default_rng(0))
    queries = clustered(QUERIES, np.random.default_rng(1))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        services = FakeServices(home=home)
        for kind in ("hnsw", "ivf", "flat"):
            started = time.perf_counter()
            version = indexes.build(kind, rows, home=home, kind=kind, payloads=payloads())
            built = time.perf_counter() - started
            title = f"{ROWS:,} × {SIZE}, {kind}, k = {K}"
            bench.fact(title, "build", round(built, 1), unit="s")
            bench.fact(title, "recall", version.recall, unit="", budget=0.95, better="higher")
            bench.fact(title, "artefact", round(version.bytes / 2**20, 1), unit="MiB")
            await compare(bench, title, home, version, queries, services=services)
        loading(bench, home)
        services.close()


def payloads() -> Iterator[dict[str, Any]]:
    """About 200 bytes each, with fields to filter by."""
    for number in range(ROWS):
        yield {"title": f"Entry {number}", "text": "x" * 150, "tenth": number % 10, "share": number / ROWS}


async def compare(
    bench: Bench,
    title: str,
    home: Path,
    version: IndexVersion,
    queries: np.ndarray,
    *,
    services: FakeServices,
) -> None:
    """The block, without and with payloads, and with filters, against the bare index."""

    def searching(**fields: Any) -> Callable[..., Any]:
        config = msgspec.convert({"index": version.name, "k": K, **fields}, Config)
        call, turn = KIND.build(config, services).call, itertools.cycle(list(queries))
        return lambda **inputs: call(vector=next(turn), **inputs)

    tenth = {"filter": {"tenth": {"eq": {"port": "tenth"}}}}
    half = {"filter": {"share": {"lt": {"port": "below"}}}}
    by_tenth, by_half, digits = searching(**tenth), searching(**half), itertools.cycle(range(10))
    compiled = compile_plan(plan_of(version), kinds=FakeKinds(KIND), services=services)
    turn = itertools.cycle(list(queries))
    await bench.compare(
        title,
        floor=Case("FAISS called directly", direct(home, version, queries)),
        cases=[
            Case("block, ids and scores", searching(payload=False), budget=1.2),
            Case("block, with payloads", searching()),
            Case("block in a compiled plan, with payloads", lambda: compiled.run({"vector": next(turn)})),
            Case("block, a filter that leaves 10 %", lambda: by_tenth(tenth=next(digits))),
            Case("block, a filter that leaves 50 %", lambda: by_half(below=0.5)),
        ],
    )


def plan_of(version: IndexVersion) -> Plan:
    """The least algorithm that searches."""
    node = Node(
        id="hits",
        kind="vector_search@1",
        config={"index": version.name, "k": K},
        inputs={"vector": Ref("vector")},
    )
    return Plan(
        name="search",
        inputs={"vector": Input(type=VectorType(SIZE))},
        output=ANY,
        nodes=(node,),
        result=Ref("hits"),
    )


def direct(home: Path, version: IndexVersion, queries: np.ndarray) -> Callable[[], Any]:
    """What somebody would write by hand: the index in memory, one query of one row."""
    index = faiss.read_index(str(home / "indexes" / version.name / version.version / "index.faiss"))
    if version.kind == "hnsw":
        index.hnsw.efSearch = version.measured.effort
    elif version.kind == "ivf":
        index.nprobe = version.measured.effort
    turn = itertools.cycle([queries[place : place + 1] for place in range(len(queries))])
    return lambda: index.search(next(turn), K)


def loading(bench: Bench, home: Path) -> None:
    """Loading a version: checking every byte, then mapping it."""
    version = indexes.show("hnsw", home=home)
    folder = home / "indexes" / "hnsw" / version.version
    started = time.perf_counter()
    loaded = indexes.LoadedIndex(folder)
    bench.fact("load", "hnsw, checked and mapped", round((time.perf_counter() - started) * 1e3), unit="ms")
    del loaded
