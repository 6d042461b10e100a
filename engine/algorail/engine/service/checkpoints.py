"""Checkpoints: what an asynchronous run has committed, as bytes, as pins and as block records.

A key is the node's id below its path: `score`, `ranked/score` for a node of a sub-algorithm,
`ranked.3/score` for one of an `each`'s fourth item. Two marks are no results: `?key` says that a write that
must not be repeated has begun, `path/@` which version a sub-algorithm runs, and with which inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from algorail.engine.kit.errors import AlgorailError, NotFound
from algorail.engine.plan.document import Plan
from algorail.engine.record.marks import is_complete
from algorail.engine.record.values import ValueEncoder, decode_value
from algorail.engine.run.outcome import BlockRecord, NodeStatus, RunRecord, RunStatus

BEGUN = "?"
VERSION = "@"

Plans = Callable[[str, int], Plan]
"""Finds a published plan by name and version."""

_encode = ValueEncoder(arrays="full").encode


class Entry(NamedTuple):
    """A committed result: the value, when its node started (wall clock), how long it took."""

    value: Any
    started_ns: int
    duration_ns: int


class ChildRun(NamedTuple):
    """What a sub-algorithm's run began with; once begun it keeps its version."""

    algorithm: str
    version: int
    plan_hash: str
    inputs: dict[str, Any]
    started_ns: int


def write(entry: Entry | ChildRun) -> bytes:
    """The bytes of a checkpoint."""
    return _encode(list(entry))


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """What a run had committed when a worker took it over."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    children: Mapping[str, ChildRun] = field(default_factory=dict)
    begun: frozenset[str] = frozenset()
    """Keys of writes that have begun."""
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Committed outputs by path and node."""

    @classmethod
    def read(cls, rows: Mapping[str, bytes]) -> Checkpoints:
        """Read what is committed.

        Raises:
            AlgorailError: `checkpoint-unreadable`, if a value was not plain data and cannot be had again.
        """
        entries = {
            key: Entry(*decode_value(data))
            for key, data in rows.items()
            if key[0] != BEGUN and key[-1] != VERSION
        }
        for key, entry in entries.items():
            if not is_complete(entry.value):
                raise AlgorailError(
                    f"the committed output of {key!r} is not plain data and cannot be restored",
                    code="checkpoint-unreadable",
                    cure="let the block return plain data, and start a new run",
                )
        outputs: dict[str, dict[str, Any]] = {}
        for key, entry in entries.items():
            path, slash, node = key.rpartition("/")
            outputs.setdefault(path + slash, {})[node] = entry.value
        children = {
            key[:-1]: ChildRun(*decode_value(data)) for key, data in rows.items() if key[-1] == VERSION
        }
        begun = frozenset(key[1:] for key in rows if key[0] == BEGUN)
        return cls(entries, children, begun, outputs)

    @property
    def unsure(self) -> list[str]:
        """Writes that have begun, must not be repeated and have no result: nobody knows what they did."""
        return sorted(key for key in self.begun if key not in self.entries)

    def pins(self, path: str) -> Mapping[str, Any]:
        """Outputs of nodes right below a path."""
        return self.outputs.get(path, {})

    def blocks(self, plan: Plan, path: str, started_ns: int, plans: Plans) -> dict[str, BlockRecord]:
        """Block records of what is committed below a path."""
        found = {}
        for node in plan.nodes:
            entry = self.entries.get(path + node.id)
            if entry is not None:
                found[node.id] = BlockRecord(
                    node.id,
                    node.kind,
                    NodeStatus.OK,
                    max(0, entry.started_ns - started_ns),
                    entry.duration_ns,
                    output=entry.value,
                    inputs={},
                    children=self._child_runs(path, node.id, plans),
                )
        return found

    def started_ns(self) -> int | None:
        """When the first of them started."""
        return min((entry.started_ns for entry in self.entries.values()), default=None)

    def _child_runs(self, path: str, node: str, plans: Plans) -> list[RunRecord]:
        """Runs of sub-algorithms inside a node that is done, by position."""
        steps = [
            below
            for below in self.children
            if below.startswith(path)
            and below[len(path) :].count("/") == 1
            and below[len(path) : -1].partition(".")[0] == node
        ]
        steps.sort(key=lambda below: int(below[:-1].rpartition(".")[2]) if "." in below[len(path) :] else 0)
        return [run for below in steps if (run := self._child_run(below, plans)) is not None]

    def _child_run(self, path: str, plans: Plans) -> RunRecord | None:
        began = self.children[path]
        try:
            plan = plans(began.algorithm, began.version)
        except NotFound:
            return None
        blocks = sorted(
            self.blocks(plan, path, began.started_ns, plans).values(), key=lambda block: block.start_ns
        )
        return RunRecord(
            path[:-1].replace("/", ":"),
            began.algorithm,
            began.version,
            began.plan_hash,
            RunStatus.SUCCEEDED,
            began.started_ns,
            max((block.start_ns + block.duration_ns for block in blocks), default=0),
            inputs=began.inputs,
            blocks=blocks,
        )


def restore(record: RunRecord, plan: Plan, checkpoints: Checkpoints, plans: Plans, path: str = "") -> None:
    """Put what earlier workers did into the record of a run that went on after them.

    The run then shows as one: blocks that were pinned are shown as they ran, and with them those before
    them, which did not have to be looked at again.
    """
    first = checkpoints.started_ns() if not path else None
    if first is not None and first < record.started_ns:
        delay = record.started_ns - first
        record.started_ns, record.duration_ns = first, record.duration_ns + delay
        for block in record.blocks:
            block.start_ns += delay
    known = checkpoints.blocks(plan, path, record.started_ns, plans)
    own = {block.node: block for block in record.blocks if block.status is not NodeStatus.PINNED}
    for block in own.values():
        for child in block.children:
            step = child.run_id.rpartition(":")[2]
            restore(child, plans(child.algorithm, child.version), checkpoints, plans, f"{path}{step}/")
    record.blocks = sorted({**known, **own}.values(), key=lambda block: block.start_ns)


__all__ = ["BEGUN", "VERSION", "Checkpoints", "ChildRun", "Entry", "Plans", "restore", "write"]
