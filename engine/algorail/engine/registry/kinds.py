"""Installed block kinds, found by entry point: built-in blocks arrive exactly like a stranger's.

A kind is imported when a plan first names it, so that starting a server does not import every library
that some block may want.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

from algorail.engine.kind import BlockKind
from algorail.engine.kit.errors import ConfigInvalid, NotFound

GROUP = "algorail.blocks"


class InstalledKinds:
    """The kinds of every installed package, by `name@version`.

    Entry points in the group `algorail.blocks` are named like the kind (`vector_search`, or
    `vector_search@2` for a later version beside the first) and load a `BlockKind`.

    Args:
        points: Entry points to use instead of the installed ones.
        extra: Kinds that need no entry point (tests, notebooks).
    """

    def __init__(self, points: Iterable[EntryPoint] | None = None, extra: Iterable[BlockKind] = ()) -> None:
        found = entry_points(group=GROUP) if points is None else points
        self._points: Mapping[str, EntryPoint] = {_key(point.name): point for point in found}
        self._loaded: dict[str, BlockKind] = {kind.key: kind for kind in extra}
        self._lock = threading.Lock()

    def keys(self) -> list[str]:
        """Every key that can be had, sorted; nothing is imported."""
        return sorted({*self._points, *self._loaded})

    def get(self, key: str) -> BlockKind:
        """The kind of that key.

        Raises:
            NotFound: `block-kind-not-found`, with the nearest names.
            ConfigInvalid: `block-kind-broken`, if its package cannot be imported or offers something else.
        """
        kind = self._loaded.get(key)
        if kind is not None:
            return kind
        point = self._points.get(key)
        if point is None:
            raise self._missing(key)
        with self._lock:
            return self._loaded.setdefault(key, _load(key, point))

    def all(self) -> list[BlockKind]:
        """Every kind that loads, sorted by key; broken ones are left out (see `broken`)."""
        broken = self.broken()
        return [self.get(key) for key in self.keys() if key not in broken]

    def broken(self) -> dict[str, str]:
        """Keys that do not load, with the reason."""
        reasons = {}
        for key in self.keys():
            try:
                self.get(key)
            except ConfigInvalid as error:
                reasons[key] = error.message
        return reasons

    def _missing(self, key: str) -> NotFound:
        known = self.keys()
        near = get_close_matches(key, known, n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"installed: {', '.join(known)}"
        return NotFound(f"no block kind {key!r}", code="block-kind-not-found", cure=cure)


def _key(name: str) -> str:
    return name if "@" in name else f"{name}@1"


def _load(key: str, point: EntryPoint) -> BlockKind:
    try:
        kind = point.load()
    except Exception as error:
        raise ConfigInvalid(
            f"block kind {key!r} cannot be imported from {point.value!r}: {type(error).__name__}: {error}",
            code="block-kind-broken",
            cure="reinstall the package that offers it",
        ) from error
    kind = getattr(kind, "kind", kind)
    if not isinstance(kind, BlockKind):
        raise ConfigInvalid(
            f"entry point {point.name!r} ({point.value}) must be a BlockKind or a block, got {kind!r}",
            code="block-kind-broken",
        )
    if kind.key != key:
        raise ConfigInvalid(
            f"entry point {point.name!r} must name its kind, which is {kind.key!r}",
            code="block-kind-broken",
            cure=f"name the entry point {kind.name!r} or {kind.key!r}",
        )
    return kind
