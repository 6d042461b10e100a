"""Bindings: as generated expressions for the hot path, and evaluated directly for records and messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from algorail.engine.kit.errors import PlanInvalid
from algorail.engine.lang.cel import compile_cel
from algorail.engine.lang.language import Program
from algorail.engine.plan.document import Binding, Cel, DictOf, ListOf, Op, Ref, Value
from algorail.engine.plan.ops import OPERATORS
from algorail.engine.plan.types import AnyType

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
_PLAIN = (type(None), bool, int, float, str, bytes)


class Expressions:
    """Turns bindings into source; what may not stand in source becomes a constant of the namespace.

    Args:
        namespace: Globals of the generated module; constants are added to it.
        nodes: Ids of nodes; every other name is an input.
    """

    def __init__(self, namespace: dict[str, Any], nodes: Mapping[str, Any]) -> None:
        self._namespace = namespace
        self._nodes = nodes
        self._count = 0

    def constant(self, value: Any) -> str:
        """A name for a value."""
        if value is None or value is True or value is False or (type(value) is int and abs(value) < 2**31):
            return repr(value)
        self._count += 1
        name = f"k_{self._count}"
        self._namespace[name] = value
        return name

    def source(self, binding: Binding) -> str:
        """A Python expression with the binding's value."""
        match binding:
            case Ref(ref=ref, path=path):
                name = f"v_{ref}" if ref in self._nodes else f"i_{ref}"
                return name + "".join(f"[{self._step(step)}]" for step in path)
            case Value(value=value):
                name = self.constant(value)
                return name if isinstance(value, _PLAIN) else f"fresh({name})"
            case Op(op=op, args=args):
                return self._operation(op, [self.source(arg) for arg in args])
            case Cel(cel=text, vars=items):
                program = self.constant(program_of(text, tuple(items)))
                return f"{program}({self._mapping(items)})"
            case ListOf(list=items):
                return f"[{', '.join(map(self.source, items))}]"
            case DictOf(dict=items):
                return self._mapping(items)

    def _mapping(self, items: Mapping[str, Binding]) -> str:
        return f"{{{', '.join(f'{self._step(key)}: {self.source(item)}' for key, item in items.items())}}}"

    def _step(self, step: str | int) -> str:
        if isinstance(step, str) and _PLAIN_KEY.match(step):
            return f'"{step}"'
        return self.constant(step)

    def _operation(self, op: str, args: list[str]) -> str:
        operator = OPERATORS.get(op)
        if operator is None:
            raise PlanInvalid(f"no operator {op!r}; there are: {', '.join(sorted(OPERATORS))}")
        return operator.source(args)


def can_fail(binding: Binding) -> bool:
    """Whether reading a binding may raise."""
    match binding:
        case Ref(path=path):
            return bool(path)
        case Value():
            return False
        case ListOf(list=items):
            return any(map(can_fail, items))
        case DictOf(dict=items):
            return any(map(can_fail, items.values()))
        case _:
            return True


def evaluate(binding: Binding, read: Callable[[str], Any]) -> Any:
    """The value of a binding; `read` gives those of inputs and nodes."""
    match binding:
        case Ref(ref=ref, path=path):
            value = read(ref)
            for step in path:
                value = value[step]
            return value
        case Value(value=value):
            return value
        case Op(op=op, args=args):
            return OPERATORS[op].apply(*(evaluate(arg, read) for arg in args))
        case Cel(cel=text, vars=items):
            program = program_of(text, tuple(items))
            return program({name: evaluate(item, read) for name, item in items.items()})
        case ListOf(list=items):
            return [evaluate(item, read) for item in items]
        case DictOf(dict=items):
            return {key: evaluate(item, read) for key, item in items.items()}


def describe(binding: Binding) -> str:
    """A binding as a person would write it."""
    match binding:
        case Ref(ref=ref, path=path):
            return ref + "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in path)
        case Value(value=value):
            return repr(value)[:80]
        case Op(op=op, args=args):
            return f"{op}({', '.join(map(describe, args))})"
        case Cel(cel=text):
            return text[:200]
        case ListOf(list=items):
            return f"[{', '.join(map(describe, items))}]"
        case DictOf(dict=items):
            return f"{{{', '.join(items)}}}"


def program_of(text: str, names: tuple[str, ...]) -> Program:
    """The compiled CEL expression. Types were checked with the plan; here every variable may be anything."""
    return compile_cel(text, dict.fromkeys(names, AnyType()))


def fresh(value: Any) -> Any:
    """A copy of a literal, so that a block that changes its input does not change the plan."""
    if isinstance(value, dict):
        return {key: fresh(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fresh(item) for item in value]
    return value
