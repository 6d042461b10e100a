"""Bindings as Python expressions that make the very same bindings again."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import Any, NamedTuple

from algorail.engine.plan.document import Binding, Cel, DictOf, ListOf, Op, Ref, Value, refs

_COMPARED = frozenset({"<", "<=", ">", ">=", "==", "!="})
_COMPUTED = frozenset({"+", "-", "*", "/", "//", "%"})
_LOGICAL = {"and": "&", "or": "|"}
_PREFIX = {"not": "~", "neg": "-"}


class Expression(NamedTuple):
    """A Python expression.

    Attributes:
        text: The source.
        live: Whether it gives a value of the DSL, so that operators of Python apply.
        loose: Whether it needs brackets inside another expression.
    """

    text: str
    live: bool = False
    loose: bool = False

    @property
    def inner(self) -> str:
        """The text as a part of another expression."""
        return f"({self.text})" if self.loose else self.text


class BindingWriter:
    """Writes bindings and collects the names that they use.

    Args:
        variables: The Python variable of each input and node.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.names: set[str] = set()
        self.structs: set[str] = set()

    def text(self, binding: Binding) -> str:
        """The binding as it stands in an argument."""
        return self.expression(binding).text

    def expression(self, binding: Binding) -> Expression:  # noqa: PLR0911 - one line for each form
        """The binding as an expression."""
        match binding:
            case Ref(ref=ref, path=path):
                return Expression(self.variables[ref] + "".join(map(_step, path)), live=True)
            case Value(value=value):
                return Expression(repr(value))
            case Op():
                return self._operation(binding)
            case Cel(cel=cel, vars=variables):
                self.names.add("expr")
                items = {name: self.text(item) for name, item in variables.items()}
                return Expression(f"expr({', '.join([repr(cel), *keywords(items)])})", live=True)
            case ListOf(list=items) if _is_live(binding):
                return Expression(f"[{', '.join(map(self.text, items))}]")
            case DictOf(dict=members) if _is_live(binding):
                told = [f"{name!r}: {self.text(item)}" for name, item in members.items()]
                return Expression("{" + ", ".join(told) + "}")
            case ListOf() | DictOf():
                return Expression(self.struct(binding))

    def struct(self, binding: Binding) -> str:
        """A structure without links, which Python's brackets would turn into one literal."""
        self.structs.add(type(binding).__name__)
        match binding:
            case ListOf(list=items):
                inner = ", ".join(map(self.struct, items))
                return f"ListOf(({inner},))" if items else "ListOf(())"
            case DictOf(dict=members):
                told = [f"{name!r}: {self.struct(item)}" for name, item in members.items()]
                return "DictOf({" + ", ".join(told) + "})"
            case Value(value=value):
                return f"Value({value!r})"
            case _:
                return self.text(binding)

    def _operation(self, binding: Op) -> Expression:
        op, args = binding.op, [self.expression(arg) for arg in binding.args]
        if len(args) == 2 and self._is_infix(binding, args):
            left, right = args
            return Expression(f"{left.inner} {_LOGICAL.get(op, op)} {right.inner}", live=True, loose=True)
        if len(args) == 1 and args[0].live and op in _PREFIX:
            return Expression(f"{_PREFIX[op]}{args[0].inner}", live=True, loose=True)
        if len(args) == 1 and args[0].live and op in {"abs", "round"}:
            return Expression(f"{op}({args[0].text})", live=True)
        if op == "len" and len(args) == 1:
            self.names.add("length")
            return Expression(f"length({args[0].text})", live=True)
        if op == "in" and len(args) == 2:
            self.names.add("contains")
            return Expression(f"contains({args[1].text}, {args[0].text})", live=True)
        self.names.add("operation")
        return Expression(f"operation({', '.join([repr(op), *(arg.text for arg in args)])})", live=True)

    def _is_infix(self, binding: Op, args: list[Expression]) -> bool:
        """Python turns `1 < x` into `x > 1`; only what keeps its order is written so."""
        left, right = args
        if binding.op in _COMPARED or binding.op in _LOGICAL:
            return left.live
        return binding.op in _COMPUTED and (left.live or (right.live and _is_number(binding.args[0])))


def keywords(items: Mapping[str, str]) -> list[str]:
    """Keyword arguments; names that Python does not take go into a `**{…}`."""
    plain = [f"{name}={text}" for name, text in items.items() if is_name(name)]
    others = [f"{name!r}: {text}" for name, text in items.items() if not is_name(name)]
    return [*plain, "**{" + ", ".join(others) + "}"] if others else plain


def is_name(text: str) -> bool:
    """Whether Python takes it as a name."""
    return text.isascii() and text.isidentifier() and not keyword.iskeyword(text)


def _step(step: str | int) -> str:
    if isinstance(step, str) and is_name(step) and not step.startswith("_"):
        return f".{step}"
    return f"[{step!r}]"


def _is_number(binding: Binding) -> bool:
    if not isinstance(binding, Value):
        return False
    value: Any = binding.value
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_live(binding: Binding) -> bool:
    """Whether it has a value of the DSL in it."""
    match binding:
        case ListOf(list=items):
            return any(map(_is_live, items))
        case DictOf(dict=members):
            return any(map(_is_live, members.values()))
        case Op() | Cel():
            return True
    return next(refs(binding), None) is not None
