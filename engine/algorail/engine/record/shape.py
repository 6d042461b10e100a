"""What the record must know of a version, compiled once when the version is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from algorail.engine.plan.document import NodeRecordMode, Plan, Ref
from algorail.engine.plan.types import Type
from algorail.engine.record.masks import Mask, Masker, mask_of


@dataclass(frozen=True, slots=True)
class NodeShape:
    """How a node's output is recorded."""

    mode: NodeRecordMode
    mask: Mask | None


PLAIN = NodeShape("full", None)
"""What most nodes are; one object, so that the encoder recognises it at once."""


@dataclass(frozen=True, slots=True)
class RecordShape:
    """A plan as the record sees it (`RecordShape.of` makes one).

    Attributes:
        inputs: Masks of the inputs that have one.
        output: Mask of the answer, None if nothing in it is sensitive.
        is_sensitive: Whether anything in the plan is; only then are messages searched.
        is_plain: Whether everything is recorded in full and as it is.
        child: The shape of a sub-algorithm by its plan hash; None keeps that run's values out of the record.
    """

    plan: Plan
    nodes: Mapping[str, NodeShape]
    inputs: Mapping[str, Mask]
    output: Mask | None
    is_sensitive: bool
    is_plain: bool
    child: Callable[[str], RecordShape | None]

    @classmethod
    def of(
        cls,
        plan: Plan,
        node_types: Mapping[str, Type],
        child: Callable[[str], RecordShape | None] = lambda _hash: None,
    ) -> RecordShape:
        """Compile the shape of a checked plan.

        Args:
            node_types: Output type of every node, as `plan.check` found them.

        Raises:
            KeyError: If a node has no type: nothing is recorded on a guess.
        """
        output = mask_of(plan.output)
        nodes = {node.id: _node(node.record, mask_of(node_types[node.id])) for node in plan.nodes}
        answer = plan.result.ref if isinstance(plan.result, Ref) and not plan.result.path else ""
        if output is not None and answer in nodes:
            found = nodes[answer]
            nodes[answer] = NodeShape(found.mode, _both(found.mask, output))
        inputs = {
            name: mask for name, given in plan.inputs.items() if (mask := mask_of(given.type)) is not None
        }
        sensitive = bool(inputs or output or any(node.mask for node in nodes.values()))
        plain = not sensitive and all(node is PLAIN for node in nodes.values())
        return cls(plan, nodes, inputs, output, sensitive, plain, child)


def _node(mode: NodeRecordMode, mask: Mask | None) -> NodeShape:
    return PLAIN if mode == "full" and mask is None else NodeShape(mode, mask)


def _both(first: Mask | None, second: Mask) -> Mask:
    if first is None:
        return second

    def mask(value: object, masker: Masker) -> object:
        return second(first(value, masker), masker)

    return mask


__all__ = ["PLAIN", "NodeShape", "RecordShape"]
