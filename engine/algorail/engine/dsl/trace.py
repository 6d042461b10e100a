"""A trace: the nodes that an algorithm's function places while it is called once, with values for inputs."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast, get_args

from algorail.engine.dsl.constructors import holds_value, model_constructors
from algorail.engine.dsl.misuse import misuse
from algorail.engine.dsl.names import NODE_ID, assigned_name, node_id
from algorail.engine.dsl.plain import members_of, to_plain
from algorail.engine.dsl.policies import NodePolicies, node_fields
from algorail.engine.dsl.value import Value, binding_in, label, trace_of
from algorail.engine.kit.errors import PlanInvalid
from algorail.engine.plan.document import Binding, DictOf, ListOf, Node, Ref, refs
from algorail.engine.plan.document import Value as Literal
from algorail.engine.plan.types import ANY, Type

_current: ContextVar[Trace | None] = ContextVar("algorail_trace", default=None)
_BINDINGS: tuple[type, ...] = get_args(Binding)


class Trace:
    """What one algorithm has placed so far.

    Args:
        name: The algorithm's name, for messages.
        inputs: Types of its inputs.
    """

    def __init__(self, name: str, inputs: Mapping[str, Type]) -> None:
        self.name = name
        self.nodes: list[Node] = []
        self.placed: dict[str, Any] = {}
        """By kind: the block that a node was placed with, for running in this process."""
        self._types: dict[str, Type] = dict(inputs)

    def input(self, name: str) -> Value:
        """The value of an input."""
        return Value(self, Ref(name), self._types[name])

    def place(
        self,
        kind: str,
        config: Mapping[str, Any],
        inputs: Mapping[str, Any],
        output: Type = ANY,
        *,
        named: str = "",
        policies: NodePolicies | None = None,
    ) -> Value:
        """A new node, and the value that it will have.

        Args:
            named: The base of its id if neither `name=` nor a variable gives one.
        """
        policies = policies or {}
        bound = {port: self.binding(item) for port, item in inputs.items()}
        fields = node_fields(policies)
        if "fallback" in policies:
            fields["fallback"] = self.binding(policies["fallback"])
        chosen = self._id(policies.get("name", ""), named or kind.partition("@")[0])
        self.nodes.append(Node(id=chosen, kind=kind, config=dict(config), inputs=bound, **fields))
        self._types[chosen] = output
        return Value(self, Ref(chosen), output)

    def _id(self, name: str, otherwise: str) -> str:
        if not name:
            variable = assigned_name()
            return node_id(variable if variable.strip("_") else otherwise, self._types)
        if not NODE_ID.match(name):
            raise misuse("node-name", f"name={name!r} is no id of a node", "use a-z, 0-9 and _, at most 64")
        if name in self._types:
            raise misuse("node-name", f"name={name!r} is taken in {self.name}", "choose another name")
        return name

    def binding(self, thing: Any) -> Binding:
        """How the plan writes an argument or a result: a link, a literal, or a structure of both."""
        if isinstance(thing, Value):
            self._own(thing)
            return binding_in(thing)
        if isinstance(thing, _BINDINGS):
            return self._known(cast("Binding", thing))
        if not holds_value(thing) and not _holds_binding(thing):
            plain = to_plain(thing)
            _check_literal(plain)
            return Literal(plain)
        if isinstance(thing, list | tuple):
            return ListOf(tuple(map(self.binding, thing)))
        members = members_of(thing) or {}
        _check_keys(members)
        return DictOf({key: self.binding(item) for key, item in members.items()})

    def _own(self, value: Value) -> None:
        owner = trace_of(value)
        if owner is not self:
            raise misuse(
                "foreign-value",
                f"{label(value)} belongs to {owner.name}, not to {self.name}",
                f"pass it to {self.name} as an input",
            )

    def _known(self, binding: Binding) -> Binding:
        for ref in refs(binding):
            if ref.ref not in self._types:
                raise misuse(
                    "unknown-ref",
                    f"{ref.ref!r} is no input or node so far; there are: {', '.join(self._types)}",
                    "place it first",
                )
        return binding


@contextmanager
def tracing(trace: Trace) -> Generator[None]:
    """Calls inside place nodes in that trace."""
    token = _current.set(trace)
    try:
        with model_constructors():
            yield
    finally:
        _current.reset(token)


def current_trace() -> Trace | None:
    """The trace of the algorithm that is being written, None outside one."""
    return _current.get()


def required_trace(what: str) -> Trace:
    """The current trace; raises outside an algorithm."""
    trace = _current.get()
    if trace is None:
        raise misuse(
            "outside-algorithm",
            f"{what} was called outside an algorithm",
            "call it in a function decorated with @algorithm",
        )
    return trace


def _holds_binding(thing: Any) -> bool:
    if isinstance(thing, _BINDINGS):
        return True
    if isinstance(thing, list | tuple):
        return any(map(_holds_binding, thing))
    members = members_of(thing)
    return members is not None and any(map(_holds_binding, members.values()))


def _check_keys(members: Mapping[Any, Any]) -> None:
    for key in members:
        if not isinstance(key, str):
            raise misuse("literal-key", f"the key {key!r} is not a string", "JSON has only string keys")


def _check_literal(value: Any) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise misuse("literal-number", f"{value!r} cannot stand in a plan", "use None or a finite number")
    elif isinstance(value, list):
        for item in value:
            _check_literal(item)
    elif isinstance(value, dict):
        _check_keys(value)
        for item in value.values():
            _check_literal(item)
    else:
        raise _not_data(value)


def _not_data(value: Any) -> PlanInvalid:
    if callable(value):
        name = getattr(value, "__name__", repr(value))
        return misuse("literal-type", f"{name} is a function, not a value", f"call it: {name}(…)")
    return misuse(
        "literal-type",
        f"a {type(value).__name__} cannot stand in a plan",
        "use JSON data, a model or a dataclass; make the object inside a @block",
    )
