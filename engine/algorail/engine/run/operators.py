"""How the operators of expressions are written and applied in Python. Knows nothing of types."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: a template for generated code, a function for everything else."""

    template: str
    apply: Callable[..., Any]
    separator: str = ""

    def source(self, args: Sequence[str]) -> str:
        """The operator applied to sources."""
        if self.separator:
            return f"({self.separator.join(args)})"
        return self.template.format(*args)


def _infix(symbol: str, apply: Callable[..., Any]) -> tuple[str, Operator]:
    return symbol, Operator(f"({{}} {symbol} {{}})", apply)


def _all(*values: Any) -> Any:
    result: Any = True
    for value in values:
        result = value
        if not result:
            break
    return result


def _any(*values: Any) -> Any:
    result: Any = False
    for value in values:
        result = value
        if result:
            break
    return result


OPERATORS: dict[str, Operator] = dict(
    [
        *(
            _infix(symbol, apply)
            for symbol, apply in (
                ("+", operator.add), ("-", operator.sub), ("*", operator.mul), ("/", operator.truediv),
                ("//", operator.floordiv), ("%", operator.mod), ("**", operator.pow),
                ("<", operator.lt), ("<=", operator.le), (">", operator.gt), (">=", operator.ge),
                ("==", operator.eq), ("!=", operator.ne), ("&", operator.and_), ("|", operator.or_),
                ("^", operator.xor), ("is", operator.is_), ("is not", operator.is_not),
                ("in", lambda item, where: item in where), ("not in", lambda item, where: item not in where),
            )
        ),
        ("and", Operator("", _all, " and ")),
        ("or", Operator("", _any, " or ")),
        ("not", Operator("(not {})", operator.not_)),
        ("neg", Operator("(-{})", operator.neg)),
        ("pos", Operator("(+{})", operator.pos)),
        ("invert", Operator("(~{})", operator.invert)),
        ("abs", Operator("abs({})", abs)),
        ("len", Operator("len({})", len)),
        ("[]", Operator("{}[{}]", operator.getitem)),
    ]
)  # fmt: skip
"""By the name that plans use."""
