"""A bundle as bytes: a deterministic zip of sources plus a manifest, named by the hash of its content."""

from __future__ import annotations

import hashlib
import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

from algorail.engine.kind import Effect
from algorail.engine.kit.errors import InvalidInput, LimitExceeded

MANIFEST = "bundle.json"
MAX_FILES = 500
MAX_BYTES = 20_000_000
"""Unpacked size of all files together."""
MAX_PATH = 200
"""Characters of a source's path, so that every file system takes it."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SOURCE = re.compile(r"(?:[\w-]+/)*[\w-]+\.py")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}@[1-9][0-9]{0,5}")


class PortEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An input of a block: its type as JSON Schema, and what it is without a value."""

    schema: Mapping[str, Any]
    required: bool
    default: Any = None
    doc: str = ""


class BlockEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A block that a bundle offers, so that a plan can be checked without running anything.

    Attributes:
        module: Module that defines it.
        name: Its attribute in that module.
        inputs: Its ports by name.
        output: JSON Schema of the output.
        effect: What it does to the world.
    """

    module: str
    name: str
    inputs: Mapping[str, PortEntry]
    output: Mapping[str, Any]
    effect: Effect = Effect.PURE
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


_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    KeyError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
)
"""What `zipfile` raises for bytes that are no zip of ours."""


def from_zip(data: bytes) -> Bundle:
    """Read and check a bundle; nothing in it is run.

    Raises:
        InvalidInput: `bundle-invalid`, if it is no zip, holds anything but Python sources and the manifest,
            or the content does not match the manifest.
        LimitExceeded: `bundle-too-large`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _checked_members(archive)
            manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
            sources = {info.filename: archive.read(info) for info in members if info.filename != MANIFEST}
    except msgspec.DecodeError as error:
        raise _invalid(f"{MANIFEST} does not read: {error}") from error
    except _UNREADABLE as error:
        raise _invalid(f"not a bundle: {error}") from error
    if manifest.format != 1:
        raise _invalid(f"bundle format {manifest.format} is unknown here", "update this server")
    if {path: file_hash(source) for path, source in sources.items()} != dict(manifest.files):
        raise _invalid("the files do not match the manifest", "pack it again with `algorail publish`")
    for key, entry in manifest.blocks.items():
        _check_block(key, entry, manifest)
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
        _check_member(info)
    return members


def _check_member(info: zipfile.ZipInfo) -> None:
    path = info.filename
    if path != MANIFEST and (len(path) > MAX_PATH or not _SOURCE.fullmatch(path)):
        raise _invalid(f"{path!r:.250} is not the path of a Python source in the bundle")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise _invalid(f"{path!r} is a link")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise _invalid(f"{path!r} is compressed in another way than deflate")


def _check_block(key: str, entry: BlockEntry, manifest: Manifest) -> None:
    if not _KEY.fullmatch(key):
        raise _invalid(f"{key!r:.100} is not the key of a block, such as 'rank@1'")
    path = entry.module.replace(".", "/")
    if not {f"{path}.py", f"{path}/__init__.py"} & manifest.files.keys() or not entry.name.isidentifier():
        raise _invalid(f"the block {key!r} stands in no source of the bundle: {entry.module!r:.100}")


def _member(path: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path, date_time=_EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _invalid(message: str, cure: str = "") -> InvalidInput:
    return InvalidInput(message, code="bundle-invalid", cure=cure)
