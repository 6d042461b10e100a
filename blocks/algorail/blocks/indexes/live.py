"""An index in service: it follows the pointer to new versions while searches go on."""

from __future__ import annotations

import logging
import threading
from typing import Final

from algorail.blocks.indexes.searching import LoadedIndex
from algorail.blocks.indexes.store import IndexStore, Mark
from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.errors import AlgorailError

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""How often, at most, a search asks whether the pointer moved: one `stat`, three microseconds."""


class LiveIndex:
    """The version to search now; a new one is loaded beside it and takes its place in one assignment.

    Searches that run keep the version they began with; its memory goes with the last of them. A new version
    that cannot be loaded is reported in the log and in `failure`, and the old one stays.

    Args:
        store: Where the indexes are.
        name: The index.
        version: Stay at this version; None to follow the pointer.
        clock: Where to read the time.

    Raises:
        NotFound: `index-not-found`.
        Unavailable: `index-corrupt`.
    """

    def __init__(
        self, store: IndexStore, name: str, version: str | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._store = store
        self._name = name
        self._pinned = version is not None
        self._clock = clock
        self._mark: Mark | None = None if self._pinned else store.mark(name)
        self._loaded = LoadedIndex(store.folder(name, store.show(name, version).version))
        self._next_look = clock.monotonic() + LOOK_SECONDS
        self._swapping = threading.Lock()
        self.failure: AlgorailError | None = None

    def get(self) -> LoadedIndex:
        """The version to search now. Never waits: loading happens in a thread of its own."""
        if not self._pinned and self._clock.monotonic() >= self._next_look:
            self._look()
        return self._loaded

    def settle(self) -> None:
        """Wait until a swap that has begun is over."""
        with self._swapping:
            return

    def close(self) -> None:
        """Stop following the pointer."""
        self._pinned = True
        self.settle()

    def _look(self) -> None:
        # One at a time: of two loads at once the older pointer could win.
        if not self._swapping.acquire(blocking=False):
            return
        self._next_look = self._clock.monotonic() + LOOK_SECONDS
        mark = self._store.mark(self._name)
        if mark is None or mark == self._mark:
            self._swapping.release()
            return
        # Noted before the pointer is read: if it moves in between, the next look sees that.
        self._mark = mark
        threading.Thread(target=self._follow, name=f"load index {self._name}", daemon=True).start()

    def _follow(self) -> None:
        before = self._loaded.version.version
        try:
            version = self._store.show(self._name).version
            if version != before:
                self._loaded = LoadedIndex(self._store.folder(self._name, version))
                log.info("index %s: %s takes the place of %s", self._name, version, before)
            self.failure = None
        except AlgorailError as error:
            self.failure = error
            log.error("index %s stays at %s: %s", self._name, before, error)
        finally:
            self._swapping.release()
