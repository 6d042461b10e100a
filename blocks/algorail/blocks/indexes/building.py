"""Builds an index version: read, check, train, measure, write, publish in one step."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from algorail.blocks.indexes import manifest
from algorail.blocks.indexes.blobs import Array, BlobWriter, save_array
from algorail.blocks.indexes.collecting import Rows, collect, field_classes
from algorail.blocks.indexes.columns import write_column
from algorail.blocks.indexes.manifest import IdClass, IndexKind, IndexVersion, Metric
from algorail.blocks.indexes.native import faiss
from algorail.blocks.indexes.sources import Source, open_source
from algorail.blocks.indexes.store import IndexStore
from algorail.blocks.indexes.training import Trained, train
from algorail.engine.kit.errors import InvalidInput, Unavailable

INDEX_FILE = "index.faiss"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is.

    Attributes:
        stage: `read`, `train`, `add`, `measure`, `write`.
        done: Steps done in this stage.
        total: Steps of this stage, None if not known.
    """

    stage: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What, beside the rows, decides the content of a version."""

    metric: Metric
    kind: IndexKind | Literal["auto"]
    id: str | None
    filterable: tuple[str, ...] | None
    recall: float

    def __post_init__(self) -> None:
        kinds = (*get_args(IndexKind), "auto")
        for what, given, choices in (("metric", self.metric, get_args(Metric)), ("kind", self.kind, kinds)):
            if given not in choices:
                raise InvalidInput(
                    f"{what} == {given!r}, must be one of {choices}", code="index-options-invalid"
                )
        if not 0 < self.recall <= 1:
            raise InvalidInput(
                f"recall == {self.recall!r}, must be above 0 and at most 1", code="index-options-invalid"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A build that is under way, and its folder."""

    store: IndexStore
    name: str
    source: Source
    options: _Options
    note: str
    cores: int
    tell: Callable[[Progress], None]
    folder: Path


def build(
    name: str,
    source: str | Path | Array,
    *,
    home: Path,
    metric: Metric = "cosine",
    kind: IndexKind | Literal["auto"] = "auto",
    payloads: str | Path | Iterable[Mapping[str, Any]] | None = None,
    vector: str = "vector",
    id: str | None = "id",
    filterable: Collection[str] | None = None,
    recall: float = 0.95,
    promote: bool = True,
    note: str = "",
    cores: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IndexVersion:
    """Build a version of an index; the same rows and options give the same version, which is not built twice.

    Args:
        name: The index.
        source: A matrix (rows × dimensions), or a file ending in .npy, .jsonl or .parquet.
        home: State folder (ALGORAIL_HOME).
        metric: `cosine` (vectors are brought to unit length), `dot` or `l2`.
        kind: `flat`, `hnsw`, `ivf`, or `auto` to choose by size.
        payloads: One mapping per row, or a .jsonl file of them, for arrays and .npy.
        vector: Field or column that holds the vector, for .jsonl and .parquet.
        id: Payload field that holds a row's id, if the rows have it; the row number otherwise.
        filterable: Payload fields that filters may name; None for all that hold plain values.
        recall: Share of the true ten nearest that a search must find.
        promote: Make it the current version.
        note: Kept in the manifest.
        cores: Threads to build with, None for all.
        progress: Called now and then.

    Raises:
        InvalidInput: `index-source-invalid`, `index-name-invalid` or `index-options-invalid`.
        Unavailable: `index-write-failed`, if the disk is full or fails; nothing is left behind.
    """
    options = _Options(
        metric=metric,
        kind=kind,
        id=id,
        filterable=None if filterable is None else tuple(sorted(filterable)),
        recall=recall,
    )
    store = IndexStore(home)
    store.folder(name)
    opened = open_source(source, vector=vector, payloads=payloads)
    try:
        with store.building(name) as folder:
            job = _Job(
                store=store,
                name=name,
                source=opened,
                options=options,
                note=note,
                cores=cores or os.cpu_count() or 1,
                tell=progress or (lambda _: None),
                folder=folder,
            )
            version = _build_version(job)
        return store.promote(name, version) if promote else store.show(name, version)
    except OSError as error:
        raise Unavailable(
            f"index {name!r} could not be written: {error.strerror or error}",
            code="index-write-failed",
            cure=f"check the space and the rights of {store.root}",
        ) from error


def _build_version(job: _Job) -> str:
    """Read, and unless the same version is there already, train and publish; returns the version."""
    options = job.options
    rows = collect(
        job.source,
        job.folder,
        metric=options.metric,
        id_field=options.id,
        filterable=options.filterable,
        progress=lambda done, total: job.tell(Progress("read", done, total)),
    )
    content = _content(rows, job.folder, options)
    version = f"v{content[:12]}"
    if job.store.folder(job.name, version).is_dir():
        return version
    trained = train(
        rows.vectors,
        kind=None if options.kind == "auto" else options.kind,
        metric=options.metric,
        recall=options.recall,
        cores=job.cores,
        step=lambda stage, done, total: job.tell(Progress(stage, done, total)),
    )
    job.tell(Progress("write", 0, 1))
    ids = _write(job.folder, rows, trained)
    manifest.write(job.folder, _manifest(job, version, content, rows, trained, ids=ids))
    job.store.publish(job.folder, job.name, version)
    job.tell(Progress("write", 1, 1))
    return version


def _content(rows: Rows, folder: Path, options: _Options) -> str:
    """Hash of everything that decides what a search answers."""
    count, size = rows.vectors.shape
    head = [manifest.SCHEMA, asdict(options), count, size, rows.ids]
    hashed = hashlib.sha256(json.dumps(head).encode())
    hashed.update(np.ascontiguousarray(rows.vectors).data)
    if rows.payloads is not None:
        hashed.update(manifest.digest(folder / "payloads.bin").sha256.encode())
    return hashed.hexdigest()


def _write(folder: Path, rows: Rows, trained: Trained) -> IdClass:
    """Write every file but the manifest; returns where the ids come from."""
    try:
        faiss().write_index(trained.index, str(folder / INDEX_FILE))
    except RuntimeError as error:
        raise OSError(str(error)) from error
    if rows.payloads is not None:
        rows.payloads.finish(trained.order)
    for place, values in enumerate(rows.fields.values()):
        write_column(folder, f"field-{place}", [values[row] for row in trained.order.tolist()])
    return _write_ids(folder, rows.ids, trained.order)


def _write_ids(folder: Path, ids: list[int] | list[str] | None, order: NDArray[np.int64]) -> IdClass:
    if ids and isinstance(ids[0], str):
        blob = BlobWriter(folder, "ids")
        for each in ids:
            blob.append(str(each).encode())
        blob.finish(order)
        return "text"
    save_array(folder / "ids.npy", order if ids is None else np.asarray(ids, dtype=np.int64)[order])
    return "row" if ids is None else "integer"


def _manifest(
    job: _Job, version: str, content: str, rows: Rows, trained: Trained, *, ids: IdClass
) -> IndexVersion:
    count, size = rows.vectors.shape
    return IndexVersion(
        name=job.name,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        content=content,
        source=job.source.name,
        kind=trained.kind,
        metric=job.options.metric,
        size=size,
        count=count,
        why=trained.why,
        measured=trained.measured,
        curve=trained.curve,
        scan_us=round(trained.scan_us, 5),
        filterable=field_classes(rows.fields),
        ids=ids,
        files={path.name: manifest.digest(path) for path in sorted(job.folder.iterdir())},
        note=job.note,
    )
