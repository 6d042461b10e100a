"""Vector indexes as versioned artefacts: built once, checked, published in one step, mapped by every process.

    version = indexes.build("faq", "faq.jsonl", home=home)
    print(version.kind, version.recall, version.why)

Used by the block `vector_search` and by whoever builds indexes. Knows nothing of plans, runs or HTTP.
"""

from __future__ import annotations

from pathlib import Path

from algorail.blocks.indexes.building import Progress, build
from algorail.blocks.indexes.filters import Condition, FromPort
from algorail.blocks.indexes.live import LiveIndex
from algorail.blocks.indexes.manifest import IndexKind, IndexVersion, Measurement, Metric
from algorail.blocks.indexes.searching import Hit, LoadedIndex
from algorail.blocks.indexes.store import IndexStore


def list(name: str | None = None, *, home: Path) -> tuple[IndexVersion, ...]:
    """Versions of an index, or of all, the newest first within an index; `current` says which one answers.

    Raises:
        NotFound: `index-not-found`, if `name` is given and there is no such index.
    """
    return tuple(IndexStore(home).versions(name))


def show(name: str, version: str | None = None, *, home: Path) -> IndexVersion:
    """One version; the current one if not said.

    Raises:
        NotFound: `index-not-found`.
        Unavailable: `index-corrupt`.
    """
    return IndexStore(home).show(name, version)


def promote(name: str, version: str, *, home: Path) -> IndexVersion:
    """Let a version answer from now on, after checking every byte of it; running processes follow.

    Raises:
        NotFound: `index-not-found`.
        Unavailable: `index-corrupt`; the former version then goes on answering.
    """
    return IndexStore(home).promote(name, version)


def delete(name: str, version: str | None = None, *, home: Path) -> None:
    """Delete a version, or the whole index; processes that have it loaded keep it until they let go.

    Raises:
        NotFound: `index-not-found`.
        Conflict: `index-in-use`, for the current version.
    """
    IndexStore(home).delete(name, version)


__all__ = [
    "Condition",
    "FromPort",
    "Hit",
    "IndexKind",
    "IndexStore",
    "IndexVersion",
    "LiveIndex",
    "LoadedIndex",
    "Measurement",
    "Metric",
    "Progress",
    "build",
    "delete",
    "list",
    "promote",
    "show",
]
