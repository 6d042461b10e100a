"""A bundle as bytes: a deterministic zip of sources plus a manifest, named by the hash of its content."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import msgspec

from algorail.engine.kit.errors import InvalidInput, LimitExceeded

MANIFEST = "bundle.json"
MAX_FILES = 500
MAX_BYTES = 20_000_000
"""Unpacked size of all files together."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


class BlockEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A block that a bundle offers, so that a plan can be checked without running anything.

    Attributes:
        module: Module that defines it.
        name: Its attribute in that module.
        inputs: Ports: JSON Schema, required, default, doc.
        output: JSON Schema of the output.
        effect: `pure`, `read` or `write`.
    """

    module: str
    name: str
    inputs: Mapping[str, Mapping[str, Any]]
    output: Mapping[str, Any]
    effect: str = "pure"
    idempotent: bool = True
    summary: str = ""
    doc: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a bundle.

    Attributes:
        entry: Module that the algorithm stands in.
        files: SHA-256 of each source by its path inside the bundle.
        requirements: Declared packages (PEP 508), sorted.
        python: Declared Python versions (PEP 440), empty for any.
        blocks: The blocks offered, by `name@version`.
    """

    entry: str
    files: Mapping[str, str]
    requirements: tuple[str, ...] = ()
    python: str = ""
    blocks: Mapping[str, BlockEntry]
    format: int = 1

    def digest(self) -> str:
        """The bundle's name: SHA-256 of the canonical manifest, which holds the hash of every file."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


class Bundle(msgspec.Struct, frozen=True):
    """A checked bundle in memory."""

    manifest: Manifest
    sources: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """Its content hash."""
        return self.manifest.digest()

    def to_zip(self) -> bytes:
        """The same bytes for the same content, wherever and whenever it is packed."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_member(MANIFEST), msgspec.json.encode(self.manifest, order="sorted"))
            for path in sorted(self.sources):
                archive.writestr(_member(path), self.sources[path])
        return buffer.getvalue()


def file_hash(data: bytes) -> str:
    """SHA-256 of a source, as the manifest holds it."""
    return hashlib.sha256(data).hexdigest()


def from_zip(data: bytes) -> Bundle:
    """Read and check a bundle; nothing in it is run.

    Raises:
        InvalidInput: `bundle-invalid`, if it is no zip, a path leaves its folder, a member is a link,
            or the content does not match the manifest.
        LimitExceeded: `bundle-too-large`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _checked_members(archive)
            manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
            sources = {info.filename: archive.read(info) for info in members if info.filename != MANIFEST}
    except (zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, RuntimeError, EOFError) as error:
        raise _invalid(f"not a bundle: {error}") from error
    except msgspec.DecodeError as error:
        raise _invalid(f"{MANIFEST} does not read: {error}") from error
    if manifest.format != 1:
        raise _invalid(f"bundle format {manifest.format} is unknown here", "update this server")
    if {path: file_hash(source) for path, source in sources.items()} != dict(manifest.files):
        raise _invalid("the files do not match the manifest", "pack it again with `algorail publish`")
    return Bundle(manifest, sources)


def _checked_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = archive.infolist()
    total = sum(info.file_size for info in members)
    if len(members) > MAX_FILES or total > MAX_BYTES:
        raise LimitExceeded(
            f"a bundle holds at most {MAX_FILES} files, {MAX_BYTES:,} bytes; got {len(members)}, {total:,}",
            code="bundle-too-large",
            cure="keep data out of the code: use an index, a model or a connection",
        )
    if len({info.filename for info in members}) != len(members):
        raise _invalid("a path stands in it twice")
    for info in members:
        check_path(info.filename)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise _invalid(f"{info.filename!r} is a link")
    return members


def check_path(path: str) -> None:
    """Refuse a path that is not a plain relative one.

    Raises:
        InvalidInput: `bundle-invalid`.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or "\0" in path or ".." in parts or ":" in parts[0]:
        raise _invalid(f"path {path!r} leaves the bundle")


def _member(path: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path, date_time=_EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _invalid(message: str, cure: str = "") -> InvalidInput:
    return InvalidInput(message, code="bundle-invalid", cure=cure)
