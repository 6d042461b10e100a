"""Ownership: teams see their own algorithms and runs; what belongs to others does not exist for them."""

from __future__ import annotations

from algorail.engine.kit.errors import NotFound
from algorail.engine.record.store import RecordStore
from algorail.engine.service.principal import Principal
from algorail.engine.store import algorithms, queue
from algorail.engine.store.database import Database


class Access:
    """Checks object ids against the caller's team. Blocking.

    Args:
        database: Where owners stand.
        records: Where a run's algorithm stands.
    """

    def __init__(self, database: Database, records: RecordStore) -> None:
        self._database = database
        self._records = records

    def algorithm(self, principal: Principal, name: str) -> None:
        """Let the principal touch an algorithm; one that is not there yet is nobody's.

        Raises:
            NotFound: If it is another team's; the message does not tell that it exists.
        """
        if not principal.team:
            return
        with self._database.read() as tx:
            try:
                owner = algorithms.get(tx, name).team
            except NotFound:
                return
        if not principal.owns(owner):
            raise NotFound(
                f"there is no algorithm {name!r}",
                code="algorithm-not-found",
                cure="`GET /v1/algorithms` lists them",
            )

    def run(self, principal: Principal, run_id: str) -> None:
        """Let the principal touch a run, recorded or queued. Raises `NotFound` if it is another team's."""
        try:
            self.algorithm(principal, self._algorithm_of(run_id))
        except NotFound:
            raise NotFound(
                f"there is no run {run_id!r}", code="run-not-found", cure="`GET /v1/runs` lists them"
            ) from None

    def _algorithm_of(self, run_id: str) -> str:
        try:
            return self._records.head(run_id).algorithm
        except NotFound:
            with self._database.read() as tx:
                return queue.get(tx, run_id).algorithm


__all__ = ["Access"]
