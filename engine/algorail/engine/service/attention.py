"""Runs that need attention: a write may or may not have happened, and a person says which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from algorail.engine.kit.errors import Conflict, InvalidInput
from algorail.engine.run.outcome import RunStatus
from algorail.engine.service import checkpoints
from algorail.engine.service.checkpoints import BEGUN, Checkpoints, Entry
from algorail.engine.service.principal import Principal
from algorail.engine.store import audit, queue, queue_groups
from algorail.engine.store.database import Database, current_ns


class Attention:
    """Lets runs go on. Blocking.

    Args:
        database: Where rows and checkpoints are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def resume(
        self, by: Principal, run_id: str, *, outputs: Mapping[str, Any], repeat: Sequence[str]
    ) -> dict[str, Any]:
        """Put a run back into the queue, with what its unsure writes gave, or to do them again.

        Args:
            outputs: Results of writes that did happen, by their key.
            repeat: Keys of writes that did not happen.

        Raises:
            NotFound: If there is no such run.
            Conflict: `attention-not-needed`, if it is not waiting for a person.
            InvalidInput: `attention-incomplete`, unless each unsure write is named once.
        """
        with self._database.write() as tx:
            run = queue.get(tx, run_id)
            if run.status is not RunStatus.NEEDS_ATTENTION:
                raise Conflict(
                    f"the run {run_id} is {run.status.value}: nothing has to be decided",
                    code="attention-not-needed",
                )
            unsure = Checkpoints.read(queue.checkpoints(tx, run_id)).unsure
            if sorted([*outputs, *repeat]) != unsure:
                raise InvalidInput(
                    f"each unsure write must be named once, in outputs or in repeat: {', '.join(unsure)}",
                    code="attention-incomplete",
                    cure="find out for each of them whether it happened",
                )
            now = current_ns(tx)
            results = {key: checkpoints.write(Entry(value, now, 0)) for key, value in outputs.items()}
            queue_groups.put_back(tx, run_id, results=results, forget=[BEGUN + key for key in repeat])
            details = {"happened": sorted(outputs), "repeat": sorted(repeat)}
            audit.append(tx, actor=by.key_id, action="run.resume", subject=run_id, details=details)
        return {"run_id": run_id, "status": RunStatus.QUEUED.value}


__all__ = ["Attention"]
