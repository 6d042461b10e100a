"""What a partial run or a replay needs to know of a plan and of a recorded run."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from algorail.engine.plan.document import Binding, Node, Plan, refs
from algorail.engine.plan.order import topological
from algorail.engine.run.outcome import NodeStatus, RunRecord

KNOWN = frozenset({NodeStatus.OK, NodeStatus.FALLBACK, NodeStatus.CACHED, NodeStatus.PINNED})
"""Statuses of nodes that have an output."""


def outputs(plan: Plan, source: RunRecord | None) -> dict[str, Any]:
    """Recorded outputs of the plan's nodes, where kind and name are still the same."""
    if source is None:
        return {}
    kinds = {node.id: node.kind for node in plan.nodes}
    return {
        block.node: block.output
        for block in source.blocks
        if block.status in KNOWN and kinds.get(block.node) == block.kind
    }


def descendants(plan: Plan, nodes: AbstractSet[str]) -> set[str]:
    """These nodes and all whose value may depend on theirs."""
    found = set(nodes)
    for node in topological(plan):
        if any(ref.ref in found for binding in bindings_of(node) for ref in refs(binding)):
            found.add(node.id)
    return found


def bindings_of(node: Node) -> Sequence[Binding]:
    """Every binding of a node, its fallback included."""
    return [*node.inputs.values(), *([node.fallback] if node.fallback is not None else [])]
