"""Partial runs: one node, or from a node on, with what lies before it taken from a recorded run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import msgspec

from algorail.engine.kit.errors import InvalidInput, NotFound
from algorail.engine.plan.document import Binding, Node, Plan, Ref, refs
from algorail.engine.plan.types import AnyType
from algorail.engine.run.outcome import NodeStatus, RunRecord

KNOWN = frozenset({NodeStatus.OK, NodeStatus.FALLBACK, NodeStatus.CACHED, NodeStatus.PINNED})
"""Statuses of nodes that have an output."""


@dataclass(frozen=True, slots=True)
class Part:
    """What to run: a plan (compile it), and the outputs to pin (`RunContext.overrides`)."""

    plan: Plan
    overrides: dict[str, Any]


def only(
    plan: Plan, node: str, source: RunRecord | None = None, overrides: Mapping[str, Any] | None = None
) -> Part:
    """Run one node. Nodes before it that neither the record nor the overrides know are run too.

    Raises:
        NotFound: If there is no such node.
        InvalidInput: If an override names none.
    """
    _known(plan, [node, *(overrides or {})])
    pinned = {**outputs(plan, source), **(overrides or {})}
    pinned.pop(node, None)
    # A part of an algorithm answers with whatever its node gives.
    part = msgspec.structs.replace(plan, result=Ref(node), output=AnyType())
    return Part(part, pinned)


def onwards(plan: Plan, node: str, source: RunRecord, overrides: Mapping[str, Any] | None = None) -> Part:
    """Run a node and all that follows from it; everything else keeps its recorded output.

    Raises:
        NotFound: If there is no such node.
        InvalidInput: If an override names none.
    """
    _known(plan, [node, *(overrides or {})])
    again = descendants(plan, {node})
    kept = {name: value for name, value in outputs(plan, source).items() if name not in again}
    return Part(plan, {**kept, **(overrides or {})})


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
    for node in plan.nodes:
        if any(ref.ref in found for binding in bindings_of(node) for ref in refs(binding)):
            found.add(node.id)
    return found


def bindings_of(node: Node) -> Sequence[Binding]:
    """Every binding of a node, its fallback included."""
    return [*node.inputs.values(), *([node.fallback] if node.fallback is not None else [])]


def _known(plan: Plan, names: Sequence[str]) -> None:
    nodes = [node.id for node in plan.nodes]
    wanted, *pinned = names
    if wanted not in nodes:
        raise NotFound(f"no node {wanted!r} in {plan.name!r}; there are: {', '.join(nodes)}")
    if unknown := sorted(set(pinned) - set(nodes)):
        raise InvalidInput(f"overrides name no node: {', '.join(unknown)}; there are: {', '.join(nodes)}")
