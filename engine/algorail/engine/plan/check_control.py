"""Checks the control kinds, which the engine runs itself: their configuration, ports and output types."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from algorail.engine.kit.errors import AlgorailError
from algorail.engine.plan.check_bindings import Bindings, wrong_value
from algorail.engine.plan.compat import compatible
from algorail.engine.plan.document import CONTROL_KINDS, MAX_DEPTH, Node, Plan, Value
from algorail.engine.plan.report import Report
from algorail.engine.plan.shape import did_you_mean, short
from algorail.engine.plan.signature import Port, Signature
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    AnyType,
    ListType,
    LiteralType,
    Type,
    deep_sensitivity,
    describe,
    marked,
    union_of,
    without_null,
)

Signatures: TypeAlias = Callable[[str, dict[str, Any]], Signature]
Algorithms: TypeAlias = Callable[[str, str], Plan | None]

MAX_CONCURRENCY = 256
MAX_BRANCHES = 256


class Control:
    """Checks nodes of control kinds.

    Args:
        name: The algorithm that is checked.
        bindings: Types of bindings.
        signatures: Ports of the other kinds.
        algorithms: Published plans, for sub-algorithms.
        report: Where problems go.
    """

    def __init__(
        self, name: str, bindings: Bindings, signatures: Signatures, algorithms: Algorithms, report: Report
    ) -> None:
        self._name = name
        self._bindings = bindings
        self._signatures = signatures
        self._algorithms = algorithms
        self._report = report
        self._sub_plans: dict[tuple[str, str], Plan | None] = {}

    def check(self, node: Node) -> Type:
        """The output type of a node of a control kind."""
        checks = {
            "when@1": self._when,
            "switch@1": self._switch,
            "first_of@1": self._first_of,
            "each@1": self._each,
            "sub_algorithm@1": self._sub_algorithm,
        }
        return checks[node.kind](node)

    def signature(self, kind: str, config: Mapping[str, Any], port: str = "") -> Signature | None:
        """The ports of a kind; None if there is no telling, with the problem noted."""
        try:
            if kind == "sub_algorithm@1":
                return self._sub_signature(config)
            return self._signatures(kind, dict(config))
        except AlgorailError as error:
            self._report.raised(error, port)
            return None

    def ports(self, node: Node, signature: Signature, *, but: Collection[str] = ()) -> None:
        """Checks the bindings of a node against a signature; the ports in `but` are looked at elsewhere."""
        for name, port in signature.inputs.items():
            if name not in node.inputs and port.required and name not in but:
                self._report.error(
                    "missing-port",
                    f"the port {name!r} gets nothing",
                    port=name,
                    expected=describe(port.type),
                    cure=f"bind {name!r}",
                )
        known = [*signature.inputs, *but]
        for name, binding in node.inputs.items():
            if name in but:
                continue
            if name in signature.inputs:
                self._bindings.check(binding, signature.inputs[name].type, name)
            else:
                self._report.error(
                    "unknown-port",
                    f"there is no port {name!r}",
                    port=name,
                    got=name,
                    cure=did_you_mean(name, known),
                )
                self._bindings.type_of(binding, name)

    def _settings(self, node: Node, allowed: tuple[str, ...]) -> None:
        for key in node.config:
            if key not in allowed:
                self._report.error(
                    "unknown-field",
                    f"{node.kind} has no setting {key!r}",
                    port=f"config.{key}",
                    got=key,
                    cure=did_you_mean(key, allowed),
                )

    def _branches(self, node: Node, names: tuple[str, ...], *, but: tuple[str, ...] = ()) -> list[Type]:
        """The types of the named ports, which must all be bound; other ports are unknown."""
        signature = Signature(dict.fromkeys(names, Port(ANY)), ANY)
        self._missing_and_unknown(node, signature, but)
        return [self._bindings.type_of(node.inputs[name], name) for name in names if name in node.inputs]

    def _missing_and_unknown(self, node: Node, signature: Signature, but: tuple[str, ...]) -> None:
        for name in signature.inputs:
            if name not in node.inputs:
                self._report.error(
                    "missing-port", f"the port {name!r} gets nothing", port=name, cure=f"bind {name!r}"
                )
        known = (*signature.inputs, *but)
        for name in node.inputs:
            if name not in known:
                self._report.error(
                    "unknown-port",
                    f"there is no port {name!r}",
                    port=name,
                    got=name,
                    cure=did_you_mean(name, known),
                )

    def _when(self, node: Node) -> Type:
        self._settings(node, ())
        if "condition" in node.inputs:
            binding = node.inputs["condition"]
            # A condition may depend on a secret: only its outcome is seen, as the branch that is taken.
            self._bindings.check(binding, marked(BOOLEAN, "secret"), "condition")
            if isinstance(binding, Value):
                self._report.warning(
                    "constant-condition", "the condition is always the same", port="condition"
                )
        else:
            self._report.error(
                "missing-port", "the port 'condition' gets nothing", port="condition", expected="boolean"
            )
        return union_of(self._branches(node, ("then", "otherwise"), but=("condition",)))

    def _switch(self, node: Node) -> Type:
        self._settings(node, ("cases",))
        cases = self._cases(node)
        value: Type = ANY
        if "value" in node.inputs:
            value = self._bindings.type_of(node.inputs["value"], "value")
        else:
            self._report.error("missing-port", "the port 'value' gets nothing", port="value")
        self._reachable(cases, value)
        names = tuple(f"case_{index}" for index in range(len(cases)))
        covered = compatible(marked(value, ""), LiteralType(tuple(cases))) is None and not isinstance(
            value, AnyType
        )
        if covered and "default" not in node.inputs:
            return union_of(self._branches(node, names, but=("value", "default")))
        return union_of(self._branches(node, (*names, "default"), but=("value",)))

    def _cases(self, node: Node) -> list[Any]:
        cases = node.config.get("cases")
        if not isinstance(cases, list) or not 1 <= len(cases) <= MAX_BRANCHES:
            wrong_value(self._report, "config.cases", cases, f"a list of 1 to {MAX_BRANCHES} values")
            return []
        seen: set[tuple[type, Any]] = set()
        for index, case in enumerate(cases):
            if case is not None and not isinstance(case, str | int | bool):
                wrong_value(
                    self._report, f"config.cases[{index}]", case, "a string, integer, boolean or null"
                )
            elif (type(case), case) in seen:
                self._report.error("duplicate-case", f"{case!r} stands twice", port=f"config.cases[{index}]")
            else:
                seen.add((type(case), case))
        return cases

    def _reachable(self, cases: list[Any], value: Type) -> None:
        for index, case in enumerate(cases):
            literal = LiteralType((case,)) if case is None or isinstance(case, str | int | bool) else None
            if literal and compatible(literal, marked(value, "secret")) is not None:
                self._report.warning(
                    "unreachable-case",
                    f"{short(case)} is never the value, which is {describe(value)}",
                    port=f"config.cases[{index}]",
                    cure="remove the case",
                )

    def _first_of(self, node: Node) -> Type:
        self._settings(node, ("accept",))
        accept = node.config.get("accept", "success")
        if accept not in {"success", "value"}:
            wrong_value(self._report, "config.accept", accept, "'success' or 'value'")
        count = sum(name.startswith("option_") for name in node.inputs)
        names = tuple(f"option_{index}" for index in range(max(count, 1)))
        found = self._branches(node, names)
        if accept == "value":
            found[:-1] = map(without_null, found[:-1])
        return union_of(found) if found else ANY

    def _each(self, node: Node) -> Type:
        self._settings(node, ("kind", "config", "over", "concurrency"))
        concurrency = node.config.get("concurrency", 8)
        if type(concurrency) is not int or not 1 <= concurrency <= MAX_CONCURRENCY:
            wrong_value(self._report, "config.concurrency", concurrency, f"1 to {MAX_CONCURRENCY}")
        item = self._items(node)
        signature = self._inner(node)
        if signature is None:
            return ListType(ANY)
        over = node.config.get("over")
        if over not in signature.inputs:
            wrong_value(
                self._report,
                "config.over",
                over,
                "a port of the block",
                did_you_mean(str(over), signature.inputs),
            )
            return ListType(signature.output)
        if isinstance(over, str):
            self._bindings.fits(item, signature.inputs[over].type, "items")
            self.ports(node, signature, but=("items", over))
        if over in node.inputs and over != "items":
            self._report.error(
                "unknown-port", f"the port {over!r} gets the items", port=str(over), cure="bind items"
            )
        return ListType(signature.output)

    def _items(self, node: Node) -> Type:
        if "items" not in node.inputs:
            self._report.error(
                "missing-port", "the port 'items' gets nothing", port="items", expected="a list"
            )
            return ANY
        source = self._bindings.type_of(node.inputs["items"], "items")
        wanted = ListType(ANY, sensitivity=deep_sensitivity(source))
        if not self._bindings.fits(source, wanted, "items") or not isinstance(source, ListType):
            return ANY
        return marked(source.item, source.sensitivity)

    def _inner(self, node: Node) -> Signature | None:
        kind, config = node.config.get("kind"), node.config.get("config", {})
        if not isinstance(kind, str) or (kind in CONTROL_KINDS and kind != "sub_algorithm@1"):
            wrong_value(self._report, "config.kind", kind, "a block kind or sub_algorithm@1")
            return None
        if not isinstance(config, dict):
            wrong_value(self._report, "config.config", config, "an object")
            return None
        return self.signature(kind, config, "config")

    def _sub_algorithm(self, node: Node) -> Type:
        self._settings(node, ("algorithm", "version"))
        signature = self.signature(node.kind, node.config)
        if signature is None:
            return ANY
        self.ports(node, signature)
        return signature.output

    def _sub_signature(self, config: Mapping[str, Any]) -> Signature | None:
        plan = self._sub_plan(config)
        if plan is None:
            name, version = config.get("algorithm"), config.get("version")
            self._report.error(
                "unknown-algorithm",
                f"there is no {name!r} of version {version!r}",
                port="config",
                cure="publish it first, or name another version or alias",
            )
            return None
        self._nesting(plan, (self._name, plan.name))
        inputs = {name: Port(item.type, item.required, item.default) for name, item in plan.inputs.items()}
        return Signature(inputs, plan.output)

    def _sub_plan(self, config: Mapping[str, Any]) -> Plan | None:
        name, version = config.get("algorithm"), config.get("version")
        if not isinstance(name, str) or not isinstance(version, str):
            return None
        if (name, version) not in self._sub_plans:
            self._sub_plans[name, version] = self._algorithms(name, version)
        return self._sub_plans[name, version]

    def _nesting(self, plan: Plan, chain: tuple[str, ...]) -> None:
        """Refuses an algorithm that contains itself, and nesting over the limit."""
        shown = " → ".join(chain)
        if chain[-1] in chain[:-1]:
            self._report.error("algorithm-cycle", f"the algorithm contains itself: {shown}", port="config")
        elif len(chain) > MAX_DEPTH:
            self._report.error(
                "too-deep",
                f"sub-algorithms nest more than {MAX_DEPTH} deep: {shown}",
                port="config",
                expected=f"<= {MAX_DEPTH}",
                got=str(len(chain)),
            )
        else:
            for config in sub_algorithms(plan):
                inner = self._sub_plan(config)
                if inner is not None:
                    self._nesting(inner, (*chain, inner.name))


def sub_algorithms(plan: Plan) -> list[Mapping[str, Any]]:
    """The configurations of the sub-algorithms that a plan calls, inside `each` too."""
    found = []
    for node in plan.nodes:
        if node.kind == "sub_algorithm@1":
            found.append(node.config)
        elif node.kind == "each@1" and node.config.get("kind") == "sub_algorithm@1":
            inner = node.config.get("config")
            found += [inner] if isinstance(inner, dict) else []
    return found
