"""What a compiled plan will do, for people: its nodes, its critical path, its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from algorail.engine.plan.document import Node, refs
from algorail.engine.run.compile import CompiledPlan
from algorail.engine.run.outcome import RunRecord
from algorail.engine.run.partial import bindings_of
from algorail.engine.run.regions import LAZY


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The longest way through a plan.

    Attributes:
        nodes: In order.
        seconds: How long it takes, None if no durations were known.
    """

    nodes: tuple[str, ...]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that `algorail explain` shows."""

    summary: str
    critical_path: CriticalPath
    code: str


def explain(compiled: CompiledPlan, record: RunRecord | None = None) -> Explanation:
    """Explain a plan; with a recorded run the critical path goes by its durations."""
    seconds = None if record is None else own_seconds(compiled, record)
    return Explanation(summary(compiled), critical_path(compiled, seconds), compiled.source)


def own_seconds(compiled: CompiledPlan, record: RunRecord) -> dict[str, float]:
    """What each node took itself: what a branching node waited for is counted where it ran."""
    kinds = {node.id: node.kind for node in compiled.plan.nodes}
    return {
        block.node: 0.0 if kinds.get(block.node) in LAZY else block.duration_ns / 1e9
        for block in record.blocks
    }


def critical_path(compiled: CompiledPlan, seconds: Mapping[str, float] | None = None) -> CriticalPath:
    """The path that decides how long a run takes.

    Args:
        seconds: Duration by node; nodes that are missing did not run. Without it every node that may wait
            counts one, and every other nothing.
    """
    reach: dict[str, float] = {}
    came: dict[str, str] = {}
    for node in compiled.plan.nodes:
        if seconds is not None and node.id not in seconds:
            continue
        links = [ref.ref for binding in bindings_of(node) for ref in refs(binding) if ref.ref in reach]
        last = max(links, key=reach.__getitem__, default="")
        reach[node.id] = _weight(compiled, node, seconds) + (reach[last] if last else 0.0)
        came[node.id] = last
    ends = [ref.ref for ref in refs(compiled.plan.result) if ref.ref in reach]
    step = max(ends, key=reach.__getitem__, default="")
    total = None if seconds is None else reach.get(step, 0.0)
    path = []
    while step:
        path.append(step)
        step = came[step]
    return CriticalPath(tuple(reversed(path)), total)


def _weight(compiled: CompiledPlan, node: Node, seconds: Mapping[str, float] | None) -> float:
    if seconds is not None:
        return seconds[node.id]
    call = compiled.calls.get(node.id)
    return 1.0 if call is not None and call.is_async else 0.0


def summary(compiled: CompiledPlan) -> str:
    """A line per node: what it is, what it waits for, its policies."""
    plan = compiled.plan
    needed = compiled.form(record=True).needed
    lines = [f"{plan.name}({', '.join(plan.inputs)})"]
    for node in plan.nodes:
        links = dict.fromkeys(ref.ref for binding in bindings_of(node) for ref in refs(binding))
        call = compiled.calls.get(node.id)
        how = "control" if call is None else "async" if call.is_async else "sync"
        notes = [how, *_policies(node), *([] if node.id in needed else ["never needed"])]
        lines.append(f"  {node.id} = {node.kind}({', '.join(links)})  [{', '.join(notes)}]")
    lines.append(f"  → {', '.join(ref.ref for ref in refs(plan.result)) or 'a literal'}")
    return "\n".join(lines)


def _policies(node: Node) -> list[str]:
    notes = []
    if node.retry is not None:
        notes.append(f"retry {node.retry.attempts}")
    if node.timeout is not None:
        notes.append(f"timeout {node.timeout:g} s")
    notes += [name for name in ("cache", "breaker", "fallback") if getattr(node, name) is not None]
    return notes
