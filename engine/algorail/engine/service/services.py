"""What the process offers to blocks: the home folder, secrets, the clock and shared objects."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.errors import NotFound
from algorail.engine.kit.ids import NAME

T = TypeVar("T")

log = logging.getLogger(__name__)


class LocalSecrets:
    """Secrets from `ALGORAIL_SECRET_<NAME>` or a file `secrets/<name>` in the home folder.

    Args:
        folder: Where the files are; each holds one secret, a final newline is cut.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def resolve(self, reference: str) -> str:
        """The secret's text.

        Raises:
            NotFound: `secret-not-found`, naming the reference and never a value.
        """
        if NAME.fullmatch(reference):
            variable = "ALGORAIL_SECRET_" + reference.upper().replace("-", "_")
            if variable in os.environ:
                return os.environ[variable]
            file = self._folder / reference
            if file.is_file():
                return file.read_text("utf-8").removesuffix("\n")
        raise NotFound(
            f"no secret {reference!r}",
            code="secret-not-found",
            cure="write it to ALGORAIL_HOME/secrets/<name>, or set ALGORAIL_SECRET_<NAME>",
        )


class ProcessServices:
    """Implements `engine.kind.Services` for one process.

    Args:
        home: State folder.
        settings: Operator's settings by block kind name.
        clock: Where blocks read the time.
    """

    def __init__(
        self, home: Path, settings: Mapping[str, Mapping[str, Any]] | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.home = home
        self.secrets = LocalSecrets(home / "secrets")
        self.clock = clock
        self.settings = settings or {}
        self._shared: dict[str, Any] = {}
        self._lock = threading.RLock()

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """One object per process and key; closed by `aclose`, the last made first."""
        with self._lock:
            if key not in self._shared:
                self._shared[key] = make()
            made: T = self._shared[key]
            return made

    async def aclose(self) -> None:
        """Close every shared object that can be closed, even when closing another one failed."""
        with self._lock:
            shared = list(self._shared.items())
            self._shared.clear()
        for key, thing in reversed(shared):
            try:
                await _close(thing)
            except Exception:
                log.warning("closing the shared object %r failed", key, exc_info=True)


async def _close(thing: object) -> None:
    close = getattr(thing, "aclose", None)
    if close is not None:
        await close()
        return
    close = getattr(thing, "close", None)
    if close is None:
        return
    if inspect.iscoroutinefunction(close):
        await close()
    else:
        await asyncio.to_thread(close)


__all__ = ["LocalSecrets", "ProcessServices"]
