"""What is known of a built index, as it is written beside it in `manifest.json`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from algorail.engine.kit.errors import Unavailable

Metric: TypeAlias = Literal["cosine", "dot", "l2"]
IndexKind: TypeAlias = Literal["flat", "hnsw", "ivf"]
FieldClass: TypeAlias = Literal["boolean", "number", "text"]
IdClass: TypeAlias = Literal["row", "integer", "text"]

SCHEMA: Final = 1
FILE: Final = "manifest.json"
_FILE_NAME = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """Size and SHA-256 of one file of the artefact."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a search effort gave on the sample.

    Attributes:
        effort: `efSearch` of HNSW, `nprobe` of IVF, 0 for flat.
        recall: Share of the true ten nearest that were found.
        search_us: Time of a single search on one thread, microseconds (lower quartile).
    """

    effort: int
    recall: float
    search_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexVersion:
    """An immutable version of an index.

    Attributes:
        name: The index.
        version: `v` and the first digits of `content`: the same rows give the same version on every machine.
        created: ISO 8601, UTC.
        content: SHA-256 over rows, ids, payloads and build options.
        source: File name the rows came from, empty for an array.
        kind: Structure of the index.
        metric: How nearness is measured.
        size: Dimensions of a vector.
        count: Rows.
        why: Why this kind and effort, in words.
        measured: The effort in use.
        curve: Every effort that was tried.
        scan_us: Time to compare a query with one row exactly, microseconds.
        filterable: Payload fields that a filter may name.
        ids: Where a hit's id comes from.
        files: Digests of the other files.
        note: The builder's remark.
        current: Whether the pointer was at this version when it was read; not part of the file.
    """

    schema: int = SCHEMA
    name: str
    version: str
    created: str
    content: str
    source: str
    kind: IndexKind
    metric: Metric
    size: int
    count: int
    why: str
    measured: Measurement
    curve: tuple[Measurement, ...]
    scan_us: float
    filterable: Mapping[str, FieldClass]
    ids: IdClass
    files: Mapping[str, FileDigest] = field(repr=False)
    note: str = ""
    current: bool = False

    @property
    def bytes(self) -> int:
        """Size of the artefact on disk."""
        return sum(file.bytes for file in self.files.values())

    @property
    def recall(self) -> float:
        """Share of the true ten nearest that a search finds, measured on rows held out of the index."""
        return self.measured.recall


def write(folder: Path, version: IndexVersion) -> None:
    """Write the manifest into the artefact's folder."""
    data = msgspec.to_builtins(replace(version, current=False))
    (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(data), indent=1))


def read(folder: Path) -> IndexVersion:
    """The manifest of an artefact.

    Raises:
        Unavailable: `index-corrupt`, if it is not readable or does not fit its folder.
    """
    try:
        version = msgspec.json.decode((folder / FILE).read_bytes(), type=IndexVersion)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise corrupt(folder, f"its manifest cannot be read: {error}") from error
    if version.schema != SCHEMA:
        raise corrupt(folder, f"its manifest has schema {version.schema}, this program reads {SCHEMA}")
    if (version.name, version.version) != (folder.parent.name, folder.name):
        raise corrupt(folder, f"its manifest is of {version.name} {version.version}")
    if not all(_FILE_NAME.fullmatch(name) for name in version.files):
        raise corrupt(folder, f"its manifest names files outside: {sorted(version.files)}")
    return version


def digest(path: Path) -> FileDigest:
    """Size and hash of a file."""
    with path.open("rb") as file:
        return FileDigest(sha256=hashlib.file_digest(file, "sha256").hexdigest(), bytes=file.tell())


def verify(folder: Path) -> IndexVersion:
    """The manifest, after every file was compared with its digest.

    Raises:
        Unavailable: `index-corrupt`, naming the first file that differs.
    """
    version = read(folder)
    for name, expected in version.files.items():
        try:
            found = digest(folder / name)
        except OSError as error:
            raise corrupt(folder, f"{name} cannot be read: {error.strerror}") from error
        if found != expected:
            raise corrupt(folder, f"{name} has {found.bytes} bytes that are not those that were built")
    return version


def corrupt(folder: Path, detail: str) -> Unavailable:
    """The error for an artefact that must not be used."""
    return Unavailable(
        f"version {folder.name} of index {folder.parent.name!r} is damaged: {detail}",
        code="index-corrupt",
        retryable=False,
        cure="build it again, or promote another version with `algorail index promote`",
    )
