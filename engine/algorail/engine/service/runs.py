"""Recorded runs: listed and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from algorail.engine.kit.errors import NotFound
from algorail.engine.record.codec import decode
from algorail.engine.record.marks import plain
from algorail.engine.record.store import RecordStore, RunFilter, RunHead
from algorail.engine.run.outcome import BlockRecord, RunRecord
from algorail.engine.service.access import Access
from algorail.engine.service.loading import Loader
from algorail.engine.service.principal import Principal


@dataclass(frozen=True, slots=True)
class Page:
    """Some runs, and where the next page starts; empty at the end."""

    heads: list[RunHead]
    cursor: str


class Runs:
    """The record as people read it. Blocking.

    Args:
        store: Where runs are kept.
        loader: Knows the plans that runs belong to.
        access: Whose they are.
        masked_unit: What stands in the rows of a unit where units are sensitive.
    """

    def __init__(
        self, store: RecordStore, loader: Loader, access: Access, masked_unit: Callable[[str], str]
    ) -> None:
        self._store = store
        self._loader = loader
        self._access = access
        self._masked_unit = masked_unit

    def list_page(self, by: Principal, where: RunFilter) -> Page:
        """Runs within the caller's reach, newest first."""
        heads = self._store.list(replace(where, masked_unit=self._masked_unit(where.unit)))
        cursor = heads[-1].run_id if len(heads) == where.limit else ""
        return Page(self._visible(by, heads), cursor)

    def read(self, run_id: str, *, full: bool = False) -> dict[str, Any]:
        """A run with all its blocks, as plain data. Raises `NotFound`.

        Args:
            full: Show every item of arrays that are on record.
        """
        return as_document(self.record(run_id), full=full)

    def record(self, run_id: str) -> RunRecord:
        """A run as it was recorded. Raises `NotFound`."""
        if len(run_id) > 64:
            raise NotFound(f"there is no run {run_id[:64]!r}", code="run-not-found")
        encoded = self._store.read(run_id)
        return decode(encoded, self._loader.shape(encoded.head.plan_hash), self._store.value)

    def _visible(self, by: Principal, heads: Sequence[RunHead]) -> list[RunHead]:
        if not by.team:
            return list(heads)
        reach: dict[str, bool] = {}
        for head in heads:
            if head.algorithm not in reach:
                reach[head.algorithm] = self._reaches(by, head.algorithm)
        return [head for head in heads if reach[head.algorithm]]

    def _reaches(self, by: Principal, name: str) -> bool:
        try:
            self._access.algorithm(by, name)
        except NotFound:
            return False
        return True


def as_document(record: RunRecord, *, full: bool = False) -> dict[str, Any]:
    """A recorded run as plain data; what the record does not hold stands there as a mark.

    Args:
        full: Show every item of arrays instead of their type, shape and first items.
    """
    document = {item.name: getattr(record, item.name) for item in fields(record)}
    return {
        **document,
        "status": record.status.value,
        "inputs": plain(record.inputs, full=full),
        "output": plain(record.output, full=full),
        "error": None if record.error is None else asdict(record.error),
        "blocks": [_block(block, full) for block in record.blocks],
    }


def _block(block: BlockRecord, full: bool) -> dict[str, Any]:
    return {
        "node": block.node,
        "kind": block.kind,
        "status": block.status.value,
        "start_ns": block.start_ns,
        "duration_ns": block.duration_ns,
        "inputs": plain(block.inputs, full=full),
        "output": plain(block.output, full=full),
        "error": None if block.error is None else asdict(block.error),
        "attempts": [asdict(attempt) for attempt in block.attempts],
        "children": [as_document(child, full=full) for child in block.children],
    }


__all__ = ["Page", "Runs", "as_document"]
