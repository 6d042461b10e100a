"""Which nodes a plan needs where: regions that are entered as a whole or not at all.

The main region holds what the result always needs. Every lazily pulled binding (a branch, an option, a
fallback) opens a region below the one of its node. A node that several branches may want, and nobody
surely wants, gets a region of its own that is entered by the first that asks. Knows nothing of code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from algorail.engine.kit.errors import LimitExceeded, PlanInvalid, Problem
from algorail.engine.plan.document import Binding, Node, Plan, Ref, refs

MAX_NESTING = 16
"""How deep branches may nest. CPython allows 20 nested `try` blocks in one function."""

LAZY = frozenset({"when@1", "switch@1", "first_of@1"})
"""Control kinds whose ports are pulled, not fed."""

_EAGER_PORT = {"when@1": "condition", "switch@1": "value", "first_of@1": ""}


def eager_bindings(node: Node) -> Mapping[str, Binding]:
    """The inputs that a node needs before it starts."""
    if node.kind not in LAZY:
        return node.inputs
    port = _EAGER_PORT[node.kind]
    return {port: node.inputs[port]} if port in node.inputs else {}


def lazy_bindings(node: Node) -> Mapping[str, Binding]:
    """What a node may pull once it runs: branches, options, its fallback; in the order they are tried."""
    found: dict[str, Binding] = {}
    if node.kind in LAZY:
        port = _EAGER_PORT[node.kind]
        names = sorted((name for name in node.inputs if name != port), key=_port_order)
        found = {name: node.inputs[name] for name in names}
    if node.fallback is not None:
        found["fallback"] = node.fallback
    return found


def _port_order(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if number.isdigit() else (name, 0)


@dataclass(slots=True, eq=False)
class Region:
    """Nodes that are needed together.

    Attributes:
        parent: The region around it, None for the main one.
        owner: The node whose branch it is, or the node that it pulls; empty for the main one.
        port: The lazy port of the owner; empty if it is a shared node's region.
        members: Its nodes in topological order.
        finals: What is wanted from it in the end.
        shared: Regions of shared nodes that hang below it.
    """

    parent: Region | None
    owner: str = ""
    port: str = ""
    members: list[str] = field(default_factory=list)
    finals: tuple[Binding, ...] = ()
    shared: list[Region] = field(default_factory=list)
    depth: int = 0

    def path(self) -> list[Region]:
        """From the main region down to this one."""
        chain: list[Region] = []
        region: Region | None = self
        while region is not None:
            chain.append(region)
            region = region.parent
        return chain[::-1]


class Regions:
    """The regions of a plan, and where each node stands.

    Args:
        pinned: Nodes whose value is given: they need nothing.

    Raises:
        PlanInvalid: If a reference names nothing that stands before it.
        LimitExceeded: If branches nest too deep.
    """

    def __init__(self, plan: Plan, pinned: AbstractSet[str] = frozenset()) -> None:
        self.nodes: dict[str, Node] = {node.id: node for node in plan.nodes}
        self.pinned = pinned
        self.main = Region(None, finals=(plan.result,))
        self.of: dict[str, Region] = {}
        self.branches: dict[tuple[str, str], Region] = {}
        self.pulled: dict[str, Region] = {}
        self._needs: dict[Region, frozenset[str]] = {}
        check_names(plan)
        self._place(plan)

    def _place(self, plan: Plan) -> None:
        demands: dict[str, list[Region]] = {node.id: [] for node in plan.nodes}
        self._demand(demands, (plan.result,), self.main)
        for node in reversed(plan.nodes):
            if not (wanted := demands[node.id]):
                continue
            region = self.of[node.id] = self._home(node.id, wanted)
            region.members.insert(0, node.id)
            if node.id in self.pinned:
                continue
            self._demand(demands, eager_bindings(node).values(), region)
            for port, binding in lazy_bindings(node).items():
                branch = _below(region, node.id, port, binding)
                self.branches[node.id, port] = branch
                self._demand(demands, (binding,), branch)

    def _demand(self, demands: dict[str, list[Region]], bindings: Iterable[Binding], region: Region) -> None:
        for ref in self.links(bindings):
            if region not in demands[ref]:
                demands[ref].append(region)

    def _home(self, node: str, wanted: list[Region]) -> Region:
        """The one region that surely needs it, or a new one below the lowest that has all who may."""
        common = wanted[0].path()
        for region in wanted[1:]:
            common = [mine for mine, other in zip(common, region.path(), strict=False) if mine is other]
        if common[-1] in wanted:
            return common[-1]
        region = _below(common[-1], node, "", Ref(node))
        common[-1].shared.insert(0, region)
        self.pulled[node] = region
        return region

    def links(self, bindings: Iterable[Binding]) -> Iterator[str]:
        """Ids of the nodes that bindings refer to."""
        return (ref.ref for binding in bindings for ref in refs(binding) if ref.ref in self.nodes)

    def uses(self, node: str) -> AbstractSet[str]:
        """Nodes outside of its branches that must be there before it starts."""
        if node in self.pinned:
            return set()
        placed = self.nodes[node]
        found = set(self._outer(self.links(eager_bindings(placed).values())))
        for port in lazy_bindings(placed):
            found |= self.needs(self.branches[node, port])
        return found

    def needs(self, region: Region) -> frozenset[str]:
        """Nodes outside of a region that something in it may use."""
        known = self._needs.get(region)
        if known is None:
            found = set(self._outer(link for link in self.links(region.finals) if link != region.owner))
            for member in region.members:
                found |= self.uses(member)
            known = self._needs[region] = frozenset(found.difference(region.members))
        return known

    def _outer(self, links: Iterable[str]) -> Iterator[str]:
        for link in links:
            pulled = self.pulled.get(link)
            if pulled is None:
                yield link
            else:
                yield from self.needs(pulled)


def _below(parent: Region, owner: str, port: str, final: Binding) -> Region:
    depth = parent.depth + 1
    if depth > MAX_NESTING:
        raise LimitExceeded(
            f"branches nest deeper than {MAX_NESTING} at node {owner!r}",
            cure="use switch() instead of a chain of when(), or move a part into a sub-algorithm",
        )
    return Region(parent, owner, port, finals=(final,), depth=depth)


_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,63}\Z")


def check_names(plan: Plan) -> None:
    """Make sure that names may become part of generated code and that every link points backwards."""
    problems: list[Problem] = []
    known: set[str] = set()
    for name in plan.inputs:
        problems += _name_problems(name, known)
        known.add(name)
    for node in plan.nodes:
        bindings = [*node.inputs.values(), *([node.fallback] if node.fallback is not None else [])]
        problems += _link_problems(node.id, bindings, known)
        problems += _name_problems(node.id, known)
        known.add(node.id)
    problems += _link_problems("", [plan.result], known)
    if problems:
        raise PlanInvalid(f"plan {plan.name!r} cannot be compiled", problems=problems)


def _name_problems(name: str, known: AbstractSet[str]) -> list[Problem]:
    if name in known:
        return [
            Problem(
                code="duplicate-id", message="two things have this name", node=name, cure="rename one of them"
            )
        ]
    if not _IDENTIFIER.match(name):
        cure = "use a-z, 0-9 and _, at most 64 characters, no digit first"
        return [
            Problem(code="bad-id", message=f"{name[:80]!r} is not an identifier", node=name[:80], cure=cure)
        ]
    return []


def _link_problems(node: str, bindings: Iterable[Binding], known: AbstractSet[str]) -> list[Problem]:
    return [
        Problem(
            code="dangling-ref",
            message=f"{ref.ref!r} is no input and no node before it",
            node=node,
            expected=", ".join(sorted(known)),
        )
        for binding in bindings
        for ref in refs(binding)
        if ref.ref not in known
    ]
