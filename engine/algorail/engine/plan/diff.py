"""What changed between two plans: by node and field, whatever the order of nodes and keys.

A renamed node is one removed and one added; canvas positions do not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from algorail.engine.plan.codec import to_dict
from algorail.engine.plan.document import Plan
from algorail.engine.plan.shape import at_key, short

ChangeKind: TypeAlias = Literal["added", "removed", "changed"]
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        kind: What happened.
        node: Id of the node, empty for the plan itself.
        field: Place inside the node or plan, such as `inputs.text.ref`; empty for the whole node.
        before: Value in the first plan, None if it was not there.
        after: Value in the second plan, None if it is gone.
    """

    kind: ChangeKind
    node: str = ""
    field: str = ""
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        sign = {"added": "+", "removed": "-", "changed": "~"}[self.kind]
        where = ": ".join(part for part in (self.node, self.field) if part)
        if self.kind == "changed":
            return f"{sign} {where}: {short(self.before)} → {short(self.after)}"
        if self.node and not self.field:
            return f"{sign} node {where}"
        return f"{sign} {where}: {short(self.after if self.kind == 'added' else self.before)}"


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """All differences, those of the plan first, then node by node."""

    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.changes))

    def nodes(self, kind: ChangeKind) -> tuple[str, ...]:
        """Ids of the nodes that were added, removed or changed."""
        whole = [
            change.node for change in self.changes if change.node and not change.field and change.kind == kind
        ]
        inside = [change.node for change in self.changes if change.node and change.field]
        return tuple(dict.fromkeys(inside if kind == "changed" else whole))


def diff(a: Plan, b: Plan) -> PlanDiff:
    """The differences from `a` to `b`."""
    before, after = to_dict(a), to_dict(b)
    for document in (before, after):
        document.pop("ui", None)
    nodes_before = {node.pop("id"): node for node in before.pop("nodes")}
    nodes_after = {node.pop("id"): node for node in after.pop("nodes")}
    changes = list(_compare(before, after, "", ""))
    for name in dict.fromkeys((*nodes_before, *nodes_after)):
        changes += _compare(nodes_before.get(name, _MISSING), nodes_after.get(name, _MISSING), name, "")
    return PlanDiff(tuple(changes))


def _compare(before: Any, after: Any, node: str, place: str) -> Iterator[Change]:
    if before is _MISSING:
        yield Change("added", node, place, after=after)
    elif after is _MISSING:
        yield Change("removed", node, place, before=before)
    elif isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            yield from _compare(before.get(key, _MISSING), after.get(key, _MISSING), node, at_key(place, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _compare(old, new, node, at_key(place, index))
    elif type(before) is not type(after) or before != after:
        yield Change("changed", node, place, before, after)
