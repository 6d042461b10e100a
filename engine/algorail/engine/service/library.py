"""What a plan refers to: kinds of blocks, the plans of sub-algorithms, cycles between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from algorail.engine.kind import Kinds
from algorail.engine.kit.errors import NotFound, Problem
from algorail.engine.lang.cel import compile_cel
from algorail.engine.plan import codec
from algorail.engine.plan.check import Checked, check
from algorail.engine.plan.document import MAX_DEPTH, Node, Plan
from algorail.engine.plan.signature import Signature
from algorail.engine.plan.types import Type
from algorail.engine.run.prepare import config_of, refusals
from algorail.engine.service.bundles import BundleKindsSource
from algorail.engine.service.principal import Principal
from algorail.engine.service.versions import resolve
from algorail.engine.store import algorithms
from algorail.engine.store.database import Database

SUB_ALGORITHM = "sub_algorithm@1"


class Library:
    """Looks up what a plan refers to. Blocking.

    Args:
        database: Where published plans are.
        installed: The installed kinds.
        bundles: Kinds of code bundles.
    """

    def __init__(self, database: Database, installed: Kinds, bundles: BundleKindsSource) -> None:
        self._database = database
        self._installed = installed
        self._bundles = bundles

    def kinds(self, plan: Plan) -> Kinds:
        """The kinds that a plan may name. Raises `NotFound` if its bundle was not uploaded."""
        return self._bundles.kinds(plan.bundle, self._installed) if plan.bundle else self._installed

    def signatures(self, plan: Plan) -> Callable[[str, Mapping[str, Any]], Signature]:
        """A function from a kind and its configuration to its ports, for the check. Runs nothing."""
        kinds = self.kinds(plan)

        def signature(key: str, config: Mapping[str, Any]) -> Signature:
            kind = kinds.get(key)
            return kind.signature(config_of(kind, config))

        return signature

    def plan(self, name: str, spec: str, principal: Principal | None = None) -> Plan | None:
        """The plan that `spec` (a number, or `@alias`) means now; None if there is none within reach."""
        try:
            with self._database.read() as tx:
                if principal is not None and not principal.owns(algorithms.get(tx, name).team):
                    return None
                return codec.from_json(resolve(tx, name, spec).plan)
        except NotFound:
            return None

    def check(self, plan: Plan, principal: Principal | None = None) -> Checked:
        """The plan's problems and the types of its nodes; runs nothing of it."""
        checked = check(
            plan,
            self.signatures(plan),
            lambda name, spec: self.plan(name, spec, principal),
            _cel_type,
        )
        if not checked.ok:
            return checked
        return replace(checked, problems=tuple(refusals(plan, self.kinds(plan))))

    def nesting(self, plan: Plan, principal: Principal) -> list[Problem]:
        """What is wrong with how sub-algorithms nest below a plan: cycles, and more than eight levels."""
        problems: dict[str, Problem] = {}
        self._descend(plan, (plan.name,), principal, problems, seen={})
        return list(problems.values())

    def _descend(
        self,
        plan: Plan,
        above: tuple[str, ...],
        principal: Principal,
        problems: dict[str, Problem],
        seen: dict[tuple[str, str], int],
    ) -> None:
        for node, name, version in sub_algorithms(plan):
            top = node.id if len(above) == 1 else ""
            if name in above:
                problems.setdefault("cycle", _cycle((*above, name), top))
            elif len(above) >= MAX_DEPTH:
                problems.setdefault("depth", _too_deep((*above, name), top))
            elif seen.get((name, version), 0) < len(above):
                # Reached again from further down, it must be looked at again: only the depth differs.
                seen[name, version] = len(above)
                child = self.plan(name, version, principal)
                if child is not None:
                    self._descend(child, (*above, name), principal, problems, seen)


def _cel_type(text: str, variables: Mapping[str, Type]) -> Type:
    return compile_cel(text, variables).type


def sub_algorithms(plan: Plan) -> Iterator[tuple[Node, str, str]]:
    """Every (node, algorithm, version) that a plan calls, those inside `each` too."""
    for node in plan.nodes:
        config: Any = node.config
        if node.kind == "each@1" and config.get("kind") == SUB_ALGORITHM:
            config = config.get("config")
        elif node.kind != SUB_ALGORITHM:
            continue
        if isinstance(config, Mapping) and isinstance(config.get("algorithm"), str):
            yield node, config["algorithm"], str(config.get("version", "@prod"))


def _cycle(path: tuple[str, ...], node: str) -> Problem:
    return Problem(
        code="sub-algorithm-cycle",
        message=f"the algorithm would call itself: {' → '.join(path)}",
        node=node,
        cure="break the cycle: call an algorithm that does not lead back",
    )


def _too_deep(path: tuple[str, ...], node: str) -> Problem:
    return Problem(
        code="sub-algorithm-depth",
        message=f"sub-algorithms nest deeper than {MAX_DEPTH}: {' → '.join(path)}",
        node=node,
        expected=f"<= {MAX_DEPTH}",
        got=str(len(path)),
        cure="put the innermost ones into one algorithm",
    )


__all__ = ["Library", "sub_algorithms"]
