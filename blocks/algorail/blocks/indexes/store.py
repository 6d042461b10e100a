"""The folders of indexes: `indexes/NAME/VERSION/…` and the pointer `indexes/NAME/current`.

A version appears by one rename and never changes; the pointer moves by one rename. Whoever reads sees either
the old state or the new one, whatever dies in between.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from algorail.blocks.indexes import manifest
from algorail.blocks.indexes.manifest import IndexVersion
from algorail.engine.kit.errors import Conflict, InvalidInput, NotFound, Unavailable
from algorail.engine.kit.ids import NAME

log = logging.getLogger(__name__)

POINTER = "current"
_ABANDONED_SECONDS = 24 * 3600

Mark = tuple[int, int, int]


class IndexStore:
    """Indexes below the state folder.

    Args:
        home: State folder (ALGORAIL_HOME).
    """

    def __init__(self, home: Path) -> None:
        self.root = home / "indexes"

    def folder(self, name: str, version: str | None = None) -> Path:
        """Where an index, or a version of it, lies; names cannot lead elsewhere.

        Raises:
            InvalidInput: `index-name-invalid`.
        """
        for part in (name,) if version is None else (name, version):
            if not NAME.fullmatch(part) or part == POINTER:
                raise InvalidInput(
                    f"{part!r} is no name of an index or version",
                    code="index-name-invalid",
                    cure="lower case letters, digits, - and _, beginning with a letter",
                )
        return self.root / name if version is None else self.root / name / version

    def names(self) -> list[str]:
        """Every index that has a version."""
        folders = sorted(self.root.iterdir()) if self.root.is_dir() else []
        return [folder.name for folder in folders if self._folders(folder)]

    def versions(self, name: str | None = None) -> list[IndexVersion]:
        """Versions, the newest first within an index; damaged ones are left out with a warning in the log.

        Raises:
            NotFound: If `name` is given and there is no such index.
        """
        if name is not None and not self._folders(self.folder(name)):
            raise self._missing(name)
        found: list[IndexVersion] = []
        for each in self.names() if name is None else [name]:
            readable = filter(None, (self._read(each, path.name) for path in self._folders(self.root / each)))
            found += sorted(readable, key=lambda version: (version.created, version.version), reverse=True)
        return found

    def show(self, name: str, version: str | None = None) -> IndexVersion:
        """One version; the current one if not said.

        Raises:
            NotFound: `index-not-found`, listing what there is.
            Unavailable: `index-corrupt`.
        """
        current = self.current(name)
        wanted = current if version is None else version
        if wanted is None or not self.folder(name, wanted).is_dir():
            raise self._missing(name, version)
        return replace(manifest.read(self.folder(name, wanted)), current=wanted == current)

    def current(self, name: str) -> str | None:
        """The version that the pointer names, None without a pointer."""
        try:
            version = (self.folder(name) / POINTER).read_text("ascii").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        return version if NAME.fullmatch(version) else None

    def mark(self, name: str) -> Mark | None:
        """Changes whenever the pointer is written; one `stat`, cheap enough to ask before a search."""
        try:
            stat = (self.root / name / POINTER).stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size

    def promote(self, name: str, version: str) -> IndexVersion:
        """Make a version the current one, after checking every byte of it. Running processes follow.

        Raises:
            NotFound: If there is no such version.
            Unavailable: `index-corrupt`; the pointer then stays.
        """
        self.show(name, version)
        promoted = manifest.verify(self.folder(name, version))
        folder = self.folder(name)
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".pointer-")
        with os.fdopen(descriptor, "w") as file:
            file.write(version)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).replace(folder / POINTER)
        _sync(folder)
        return replace(promoted, current=True)

    def delete(self, name: str, version: str | None = None) -> None:
        """Delete a version, or the whole index. Processes that have it loaded keep it until they let go.

        Raises:
            NotFound: If there is no such thing.
            Conflict: `index-in-use`, if the version is the current one.
        """
        folder = self.folder(name, version)
        if not (self._folders(folder) if version is None else folder.is_dir()):
            raise self._missing(name, version)
        if version is not None and version == self.current(name):
            raise Conflict(
                f"version {version} is the current one of index {name!r}",
                code="index-in-use",
                cure="promote another version first, or delete the whole index",
            )
        # Out of sight in one step; a version half deleted must not be found.
        trash = Path(tempfile.mkdtemp(dir=self.root, prefix=".trash-"))
        folder.rename(trash / folder.name)
        shutil.rmtree(trash, ignore_errors=True)

    @contextmanager
    def building(self, name: str) -> Iterator[Path]:
        """A folder to build in; gone afterwards unless it was published."""
        folder = self.folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=".building-"))
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def publish(self, built: Path, name: str, version: str) -> None:
        """Let a built folder become the version; if another process was first, its equal one stays."""
        for path in built.iterdir():
            path.chmod(0o444)
            _sync(path)
        built.chmod(0o755)
        _sync(built)
        target = self.folder(name, version)
        try:
            built.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        _sync(target.parent)

    def _folders(self, folder: Path) -> list[Path]:
        if not folder.is_dir() or not NAME.fullmatch(folder.name):
            return []
        return [path for path in folder.iterdir() if NAME.fullmatch(path.name) and path.is_dir()]

    def _read(self, name: str, version: str) -> IndexVersion | None:
        try:
            return self.show(name, version)
        except Unavailable as damaged:
            log.warning("%s", damaged)
            return None

    def _missing(self, name: str, version: str | None = None) -> NotFound:
        versions = sorted(path.name for path in self._folders(self.folder(name)))
        if versions and version is not None:
            what, there = f"no version {version!r} of index {name!r}", f"there are {versions}"
        elif versions:
            what, there = f"index {name!r} has no current version", f"promote one of {versions}"
        else:
            what, there = f"no index {name!r}", f"there are {self.names()}; `algorail index build` makes one"
        return NotFound(what, code="index-not-found", cure=there)

    def _sweep(self) -> None:
        """Remove what builders left that were killed."""
        left = (".trash-*", "*/.building-*", "*/.pointer-*")
        for path in [path for pattern in left for path in self.root.glob(pattern)]:
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _sync(path: Path) -> None:
    """Have the disk itself keep a file or a folder's entries."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
