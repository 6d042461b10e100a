"""The order of nodes: what depends on what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from algorail.engine.kit.errors import PlanInvalid, Problem
from algorail.engine.plan.document import Node, Plan, refs


def dependencies(node: Node) -> Iterator[str]:
    """The names that a node's ports and fallback refer to, repetitions included."""
    bindings = chain(node.inputs.values(), () if node.fallback is None else (node.fallback,))
    return (ref.ref for binding in bindings for ref in refs(binding))


def find_cycle(needs: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The names on one cycle, in the order of the data, empty if there is none."""
    done: set[str] = set()
    for start in needs:
        path: dict[str, Iterator[str]] = {start: iter(needs[start])} if start not in done else {}
        while path:
            current = next(reversed(path))
            below = next(path[current], None)
            if below is None:
                done.add(current)
                del path[current]
            elif below in path:
                names = list(path)
                return _rotated(tuple(reversed(names[names.index(below) :])), list(needs))
            elif below in needs and below not in done:
                path[below] = iter(needs[below])
    return ()


def _rotated(cycle: tuple[str, ...], order: list[str]) -> tuple[str, ...]:
    """The same cycle, from its first name in the plan on."""
    start = min(range(len(cycle)), key=lambda index: order.index(cycle[index]))
    return cycle[start:] + cycle[:start]


def topological(plan: Plan) -> tuple[Node, ...]:
    """The nodes, each after what it depends on; the plan's own order wherever that is free.

    Raises:
        PlanInvalid: If there is a cycle; the problem names it.
    """
    nodes = {node.id: node for node in plan.nodes}
    needs = {name: tuple(dict.fromkeys(dependencies(node))) for name, node in nodes.items()}
    placed: dict[str, Node] = {}
    for start in nodes:
        stack = [start]
        while stack:
            name = stack[-1]
            missing = [each for each in needs[name] if each in nodes and each not in placed]
            if name in placed or not missing:
                placed.setdefault(name, nodes[name])
                stack.pop()
            elif len(stack) > len(nodes):
                raise PlanInvalid("the plan has a cycle", problems=[cycle_problem(find_cycle(needs))])
            else:
                stack.append(missing[0])
    return tuple(placed.values())


def cycle_problem(cycle: tuple[str, ...]) -> Problem:
    """The problem that names a cycle."""
    shown = " → ".join((*cycle, cycle[0]))
    return Problem(
        code="cycle",
        message=f"these nodes wait for one another: {shown}",
        node=cycle[0],
        cure="remove one of the links; a loop over items is written with each(…)",
    )


def needed(plan: Plan) -> frozenset[str]:
    """The ids of the nodes that the result depends on, over any branch."""
    nodes = {node.id: node for node in plan.nodes}
    open_names = [ref.ref for ref in refs(plan.result)]
    found: set[str] = set()
    while open_names:
        name = open_names.pop()
        if name in nodes and name not in found:
            found.add(name)
            open_names += dependencies(nodes[name])
    return frozenset(found)
