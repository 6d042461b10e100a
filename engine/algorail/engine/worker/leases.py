"""Heartbeats: leases are prolonged from a thread of their own, so that a busy event loop loses none."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from algorail.engine.kit.errors import AlgorailError
from algorail.engine.store import queue_groups
from algorail.engine.store.database import Database

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Lease:
    epoch: int
    until: float
    on_lost: Callable[[], None]


class Leases:
    """The runs that this worker holds.

    Args:
        database: Where leases are.
        seconds: Length of a lease; a third of it passes between heartbeats.
    """

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self._lease_ns = int(seconds * 1e9)
        self._pause = seconds / 3
        self._held: dict[str, _Lease] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to prolong leases."""
        self._thread = threading.Thread(target=self._beat, name="algorail-leases", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop prolonging."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def hold(self, run_id: str, epoch: int, *, most: float, on_lost: Callable[[], None]) -> None:
        """Prolong the lease of a run, for `most` seconds: a run that hangs must not be held for ever.

        Args:
            on_lost: Called from this object's thread when the lease is lost.
        """
        with self._lock:
            self._held[run_id] = _Lease(epoch, time.monotonic() + most, on_lost)

    def let_go(self, run_id: str) -> None:
        """Stop prolonging the lease of a run."""
        with self._lock:
            self._held.pop(run_id, None)

    def _beat(self) -> None:
        while not self._stop.wait(self._pause):
            with self._lock:
                now = time.monotonic()
                held = {run_id: lease.epoch for run_id, lease in self._held.items() if lease.until > now}
            if not held:
                continue
            try:
                with self._database.write() as tx:
                    lost = queue_groups.heartbeat_all(tx, held, lease_ns=self._lease_ns)
            except AlgorailError:
                log.warning("heartbeats of %d runs failed; they are tried again", len(held), exc_info=True)
                continue
            for run_id in lost:
                self._tell(run_id, held[run_id])

    def _tell(self, run_id: str, epoch: int) -> None:
        with self._lock:
            lease = self._held.get(run_id)
            if lease is None or lease.epoch != epoch:
                return
            del self._held[run_id]
        lease.on_lost()


__all__ = ["Leases"]
