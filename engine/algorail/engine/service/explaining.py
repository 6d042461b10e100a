"""A plan explained in words: what each node is and waits for, and the longest way through."""

from __future__ import annotations

from typing import Any

from algorail.engine.plan.document import Binding, Node, Plan, refs


def explain(plan: Plan, source: str) -> dict[str, Any]:
    """Text for people, the critical path, and the code that runs.

    Without measured times the critical path is the one with the most nodes.
    """
    waits = {node.id: _needs(node) for node in plan.nodes}
    path = _longest(plan, waits)
    lines = [f"{plan.name}({', '.join(plan.inputs)})"]
    lines += [f"  {line}" for line in plan.doc.splitlines()]
    lines += [_line(node, waits[node.id], node.id in path) for node in plan.nodes]
    lines.append(f"critical path: {' → '.join(path) or 'none'}")
    return {
        "text": "\n".join(lines),
        "critical_path": path,
        "code": source,
        "nodes": [{"id": node.id, "kind": node.kind, "after": sorted(waits[node.id])} for node in plan.nodes],
    }


def _needs(node: Node) -> set[str]:
    bindings: list[Binding] = [*node.inputs.values()]
    if node.fallback is not None:
        bindings.append(node.fallback)
    return {link.ref for binding in bindings for link in refs(binding)}


def _line(node: Node, needs: set[str], is_critical: bool) -> str:
    mark = "*" if is_critical else "-"
    after = f" after {', '.join(sorted(needs))}" if needs else ""
    return f"  {mark} {node.id}: {node.kind}{after}"


def _longest(plan: Plan, waits: dict[str, set[str]]) -> list[str]:
    """The longest chain that ends in what the algorithm returns."""
    chains: dict[str, list[str]] = {}
    for node in plan.nodes:
        before = max((chains.get(name, []) for name in sorted(waits[node.id])), key=len, default=[])
        chains[node.id] = [*before, node.id]
    return max((chains.get(link.ref, []) for link in refs(plan.result)), key=len, default=[])


__all__ = ["explain"]
