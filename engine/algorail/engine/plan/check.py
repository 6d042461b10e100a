"""Finds everything that is wrong with a plan, at once.

It knows kinds, published algorithms and CEL only through the three functions that it is given; nothing
is built, called or executed.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter

from algorail.engine.kit.errors import PlanInvalid
from algorail.engine.kit.ids import NAME
from algorail.engine.plan.check_bindings import Bindings, CelTyper, wrong_value
from algorail.engine.plan.check_control import Algorithms, Control, Signatures
from algorail.engine.plan.check_policies import check_node_policies, check_plan_policies
from algorail.engine.plan.document import CONTROL_KINDS, MAX_NODES, Node, Plan
from algorail.engine.plan.mistakes import mistakes
from algorail.engine.plan.op_rules import forms
from algorail.engine.plan.order import cycle_problem, dependencies, find_cycle, needed, topological
from algorail.engine.plan.report import Checked, Report
from algorail.engine.plan.shape import did_you_mean
from algorail.engine.plan.types import ANY, Type, deep_sensitivity

__all__ = ["IDENTIFIER", "Algorithms", "CelTyper", "Checked", "Signatures", "check"]

IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,63}\Z")
"""Names of inputs and nodes."""


def check(plan: Plan, signatures: Signatures, algorithms: Algorithms, cel: CelTyper) -> Checked:
    """Everything that is wrong with a plan.

    Args:
        plan: As read; its nodes may stand in any order.
        signatures: The ports of a kind with its configuration. Raises `NotFound` or `ConfigInvalid`.
        algorithms: The published plan of a name and version or alias, None if there is none.
        cel: The type of an expression, given those of its variables. Raises `InvalidInput`.
    """
    return _Check(plan, signatures, algorithms, cel).run()


class _Check:
    def __init__(self, plan: Plan, signatures: Signatures, algorithms: Algorithms, cel: CelTyper) -> None:
        self._plan = plan
        self._report = Report()
        self._types: dict[str, Type] = {name: item.type for name, item in plan.inputs.items()}
        names = frozenset((*plan.inputs, *(node.id for node in plan.nodes)))
        self._bindings = Bindings(self._types, names, cel, self._report)
        self._control = Control(plan.name, self._bindings, signatures, algorithms, self._report)

    def run(self) -> Checked:
        plan, report = self._plan, self._report
        self._names()
        self._inputs()
        check_plan_policies(plan, report)
        used = needed(plan)
        for node in self._ordered():
            report.node = node.id
            self._node(node, used=node.id in used)
        report.node = ""
        result = self._bindings.check(plan.result, plan.output, "result")
        if deep_sensitivity(result) == "pii" and not deep_sensitivity(plan.output):
            report.warning(
                "unmarked-pii",
                "personal data flows into an output that is not marked so",
                port="result",
                cure="declare the output as Pii[…], so that records mask it",
            )
        return Checked(
            problems=tuple(report.problems),
            warnings=tuple(report.warnings),
            node_types={node.id: self._types.get(node.id, ANY) for node in plan.nodes},
            result_type=result,
        )

    def _names(self) -> None:
        plan, report = self._plan, self._report
        if not NAME.match(plan.name):
            wrong_value(report, "name", plan.name, "lower-case letters, digits, '-' and '_', a letter first")
        if len(plan.nodes) > MAX_NODES:
            report.error(
                "too-many-nodes",
                f"the plan has {len(plan.nodes)} nodes",
                expected=f"at most {MAX_NODES}",
                got=str(len(plan.nodes)),
                cure="move a part into a sub-algorithm",
            )
        for name in plan.inputs:
            self._identifier(name, f"inputs.{name}")
        for name, count in Counter(node.id for node in plan.nodes).items():
            report.node = name
            self._identifier(name, "id")
            if count > 1:
                report.error(
                    "duplicate-id", f"{count} nodes are called {name!r}", cure="give each its own name"
                )
            if name in plan.inputs:
                report.error("name-clash", f"{name!r} is an input, too", cure="rename the node")
        report.node = ""

    def _identifier(self, name: str, port: str) -> None:
        if not IDENTIFIER.match(name) or keyword.iskeyword(name):
            expected = "a Python name of at most 64 lower-case letters, digits and '_', and no keyword"
            self._report.error(
                "bad-identifier", f"{name!r} cannot be a name", port=port, expected=expected, got=name[:80]
            )

    def _inputs(self) -> None:
        plan, report = self._plan, self._report
        for name, item in plan.inputs.items():
            if not item.required and item.default is not None:
                report.raised_all(mistakes(item.type, item.default, coerce=True), f"inputs.{name}.default")
        if not plan.unit:
            return
        if plan.unit not in plan.inputs:
            report.error(
                "unknown-ref",
                f"the unit {plan.unit!r} is no input",
                port="unit",
                got=plan.unit,
                cure=did_you_mean(plan.unit, plan.inputs),
            )
        elif not forms(plan.inputs[plan.unit].type) <= {"string", "integer", "any"}:
            wrong_value(report, "unit", plan.unit, "an input that is a string or an integer")

    def _ordered(self) -> tuple[Node, ...]:
        """The nodes, each after what it needs; with a cycle in the way, as they stand."""
        try:
            return topological(self._plan)
        except PlanInvalid:
            needs = {node.id: tuple(dependencies(node)) for node in self._plan.nodes}
            self._report.problems.append(cycle_problem(find_cycle(needs)))
            return self._plan.nodes

    def _node(self, node: Node, *, used: bool) -> None:
        check_node_policies(node, self._report)
        output = self._control.check(node) if node.kind in CONTROL_KINDS else self._block(node)
        if node.fallback is not None:
            self._bindings.check(node.fallback, output, "fallback")
        self._types[node.id] = output
        if not used:
            self._report.warning(
                "unused-node", "nothing needs this node, so it never runs", cure="use its value, or remove it"
            )

    def _block(self, node: Node) -> Type:
        signature = self._control.signature(node.kind, node.config)
        if signature is None:
            for port, binding in node.inputs.items():
                self._bindings.type_of(binding, port)
            return ANY
        self._control.ports(node, signature)
        return signature.output
