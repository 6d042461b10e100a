"""Makes ready what aliases point to, so that the first caller need not wait for compiling or for workers."""

from __future__ import annotations

import asyncio
import logging

from algorail.engine.kit.errors import AlgorailError
from algorail.engine.service.bundles import BundleKindsSource
from algorail.engine.service.loading import Loader
from algorail.engine.service.splits import versions_of
from algorail.engine.store import algorithms, aliases
from algorail.engine.store.database import Database

log = logging.getLogger(__name__)


class Warmer:
    """Loads the versions behind aliases in the background: all at start, then those of what changed.

    Args:
        database: Where aliases stand.
        loader: Compiles versions.
        bundles: Starts the workers of their bundles.
    """

    def __init__(self, database: Database, loader: Loader, bundles: BundleKindsSource) -> None:
        self._database = database
        self._loader = loader
        self._bundles = bundles
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin with everything that an alias points to. Called on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._spawn("")

    def changed(self, algorithm: str) -> None:
        """Something about this algorithm changed. Called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._spawn, algorithm)

    async def aclose(self) -> None:
        """Stop warming."""
        self._loop = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, algorithm: str) -> None:
        task = asyncio.get_running_loop().create_task(self._warm(algorithm))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _warm(self, algorithm: str) -> None:
        for name, version in await asyncio.to_thread(self._targets, algorithm):
            try:
                loaded = await asyncio.to_thread(self._loader.load, name, version)
                if loaded.plan.bundle:
                    await self._bundles.warm(loaded.plan.bundle)
            except AlgorailError as error:
                log.warning("%s version %d cannot run: %s", name, version, error)
            except Exception:  # one that cannot be warmed must not leave the others cold
                log.warning("%s version %d could not be made ready", name, version, exc_info=True)

    def _targets(self, algorithm: str) -> list[tuple[str, int]]:
        """The versions that aliases point to, of one algorithm or of all."""
        with self._database.read() as tx:
            names = [algorithm] if algorithm else [found.name for found in algorithms.list_all(tx)]
            pointing = [alias for name in names for alias in aliases.list_all(tx, name)]
        wanted = {(alias.algorithm, version): None for alias in pointing for version in versions_of(alias)}
        return list(wanted)
