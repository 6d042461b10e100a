"""The operators of expressions: what they take, what they give, how they run, how they are written.

All are total on the values that their typing rule admits, or fail with a clear error, and none lets a
value grow without bound: integers stay within 64 bits, floats finite, texts and lists within
`MAX_LENGTH`.

`Operator.template` is the source that generated code may inline; the functions it names are in `HELPERS`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan import op_rules as rule
from algorail.engine.plan.op_rules import Rule
from algorail.engine.plan.shape import did_you_mean, kind_of
from algorail.engine.plan.types import Type, deep_sensitivity, join_sensitivity, marked

MAX_LENGTH = 1_000_000
"""Characters of a text, items of a list that an operator may make."""
MAX_ARGS = 64
"""Arguments of the operators that take any number."""

Form: TypeAlias = Literal["infix", "prefix", "index", "function"]


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator.

    Attributes:
        name: As plans write it.
        form: How people write it: `a + b`, `not a`, `a[b]` or `len(a)`.
        template: Python source. With a `{}` for each argument, or the name of the helper that is called
            with
            all of them, or (` and `, ` or `) what stands between them.
        apply: The same as a function, which evaluates all arguments.
        rule: From the types of the arguments to that of the result.
        arity: Least and greatest number of arguments.
        summary: One line for palettes and docs.
    """

    name: str
    form: Form
    template: str
    apply: Callable[..., Any]
    rule: Rule
    arity: tuple[int, int]
    summary: str

    def source(self, args: Sequence[str]) -> str:
        """The operator applied to Python sources, in parentheses where needed.

        >>> OPERATORS[">"].source(["a", "0.7"])
        '(a > 0.7)'
        """
        if "{}" in self.template:
            return self.template.format(*args)
        return (
            f"{self.template}({', '.join(args)})"
            if self.form == "function"
            else f"({self.template.join(args)})"
        )

    def result(self, args: Sequence[Type]) -> Type:
        """The type of the result, as sensitive as the most sensitive argument.

        Raises:
            InvalidInput: If there are too few or too many arguments, or of the wrong types.
        """
        least, most = self.arity
        if not least <= len(args) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise InvalidInput(f"{self.name!r} takes {wanted} arguments, not {len(args)}", code="wrong-arity")
        return marked(self.rule(self.name, args), join_sensitivity(*map(deep_sensitivity, args)))


def _checked(value: Any, name: str) -> Any:
    """The result of arithmetic, if it may go on."""
    kind = type(value)
    if kind is float:
        if value - value == 0.0:
            return value
        raise InvalidInput(f"the result of {name!r} is not finite", code="not-finite")
    if kind is int:
        if -(2**63) <= value < 2**63:
            return value
        raise InvalidInput(f"the result of {name!r} has more than 64 bits", code="integer-too-large")
    raise _wrong(name, value)


def _wrong(name: str, *values: Any) -> InvalidInput:
    kinds = " and ".join(map(kind_of, values))
    return InvalidInput(f"{name!r} cannot be applied to {kinds}", code="type-mismatch")


_NUMBERS = frozenset({int, float})


def _arithmetic(name: str, apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def compute(left: Any, right: Any) -> Any:
        if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
            raise _wrong(name, left, right)
        try:
            return _checked(apply(left, right), name)
        except ZeroDivisionError:
            raise InvalidInput(
                f"{name!r} by zero", code="division-by-zero", cure="guard it with when(…)"
            ) from None
        except OverflowError:
            raise InvalidInput(f"the result of {name!r} is not finite", code="not-finite") from None

    return compute


_add_numbers = _arithmetic("+", operator.add)


def _add(left: Any, right: Any) -> Any:
    kind = type(left)
    if kind is type(right) and (kind is str or kind is list):
        if len(left) + len(right) > MAX_LENGTH:
            raise InvalidInput(f"'+' would make more than {MAX_LENGTH} items", code="too-long")
        return left + right
    return _add_numbers(left, right)


def _contains(item: Any, where: Any) -> bool:
    if type(where) is str and type(item) is not str:
        raise _wrong("in", item, where)
    if type(where) not in {str, list, dict}:
        raise _wrong("in", item, where)
    return item in where


def _length(value: Any) -> int:
    try:
        return len(value)
    except TypeError:
        raise _wrong("len", value) from None


def _item(where: Any, key: Any) -> Any:
    if (type(where), type(key)) in {(list, int), (dict, str)}:
        try:
            return where[key]
        except LookupError:
            raise InvalidInput(f"there is nothing at {key!r}", code="no-such-item") from None
    raise _wrong("[]", where, key)


def _get(where: Any, key: Any, otherwise: Any) -> Any:
    if type(where) is not dict or type(key) is not str:
        raise _wrong("get", where, key)
    return where.get(key, otherwise)


def _least(*values: Any) -> Any:
    return min(_all_numbers("min", values))


def _greatest(*values: Any) -> Any:
    return max(_all_numbers("max", values))


def _all_numbers(name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not _NUMBERS.issuperset(map(type, values)):
        raise _wrong(name, *values)
    return values


def _round(value: Any, digits: Any = None) -> Any:
    if type(value) not in _NUMBERS or (digits is not None and type(digits) is not int):
        raise _wrong("round", value)
    if digits is not None and not -20 <= digits <= 20:
        raise InvalidInput(f"digits == {digits!r}, must be -20 to 20", code="wrong-value")
    return _checked(round(value, digits), "round")


def _negative(value: Any) -> Any:
    if type(value) not in _NUMBERS:
        raise _wrong("neg", value)
    return _checked(-value, "neg")


def _absolute(value: Any) -> Any:
    if type(value) not in _NUMBERS:
        raise _wrong("abs", value)
    return _checked(abs(value), "abs")


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) in _NUMBERS:
        return repr(value)
    raise _wrong("str", value)


def _float(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int and abs(value) <= 2**53:
        return float(value)
    raise _wrong("float", value)


def _first_value(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _and(*values: Any) -> bool:
    return all(values)


def _or(*values: Any) -> bool:
    return any(values)


HELPERS: Mapping[str, Callable[..., Any]] = {
    "op_add": _add,
    "op_sub": _arithmetic("-", operator.sub),
    "op_mul": _arithmetic("*", operator.mul),
    "op_div": _arithmetic("/", operator.truediv),
    "op_floor": _arithmetic("//", operator.floordiv),
    "op_mod": _arithmetic("%", operator.mod),
    "op_in": _contains,
    "op_len": _length,
    "op_item": _item,
    "op_get": _get,
    "op_min": _least,
    "op_max": _greatest,
    "op_round": _round,
    "op_neg": _negative,
    "op_abs": _absolute,
    "op_str": _text,
    "op_float": _float,
    "op_coalesce": _first_value,
}
"""What the templates call; generated code has these names in its namespace."""


def _helper(  # noqa: PLR0917 - rows of a table
    name: str, form: Form, helper: str, typing: Rule, arity: tuple[int, int], summary: str
) -> Operator:
    least, most = arity
    template = f"{helper}({', '.join(['{}'] * most)})" if least == most else helper
    return Operator(name, form, template, HELPERS[helper], typing, arity, summary)


def _compare(name: str, apply: Callable[[Any, Any], Any], typing: Rule, summary: str) -> Operator:
    return Operator(name, "infix", f"({{}} {name} {{}})", apply, typing, (2, 2), summary)


_ALL = (
    _compare("==", operator.eq, rule.equality, "equal"),
    _compare("!=", operator.ne, rule.equality, "not equal"),
    _compare("<", operator.lt, rule.order, "less"),
    _compare("<=", operator.le, rule.order, "less or equal"),
    _compare(">", operator.gt, rule.order, "greater"),
    _compare(">=", operator.ge, rule.order, "greater or equal"),
    Operator("and", "infix", " and ", _and, rule.logic, (2, MAX_ARGS), "all are true"),
    Operator("or", "infix", " or ", _or, rule.logic, (2, MAX_ARGS), "one is true"),
    Operator("not", "prefix", "(not {})", operator.not_, rule.logic, (1, 1), "false"),
    _helper("+", "infix", "op_add", rule.addition, (2, 2), "sum of numbers; texts or lists in a row"),
    _helper("-", "infix", "op_sub", rule.arithmetic, (2, 2), "difference"),
    _helper("*", "infix", "op_mul", rule.arithmetic, (2, 2), "product"),
    _helper("/", "infix", "op_div", rule.division, (2, 2), "quotient, always a float"),
    _helper("//", "infix", "op_floor", rule.arithmetic, (2, 2), "quotient rounded down"),
    _helper("%", "infix", "op_mod", rule.arithmetic, (2, 2), "remainder"),
    _helper("neg", "prefix", "op_neg", rule.arithmetic, (1, 1), "the number with the other sign"),
    _helper("in", "infix", "op_in", rule.membership, (2, 2), "is an item, a key, or a part of a text"),
    Operator(
        "not in", "infix", "(not op_in({}, {}))", lambda item, where: not _contains(item, where),
        rule.membership, (2, 2), "is none of them",
    ),
    _helper("[]", "index", "op_item", rule.item, (2, 2), "the item at a position or key"),
    _helper("get", "function", "op_get", rule.get, (3, 3), "the value of a key, or the third argument"),
    _helper("len", "function", "op_len", rule.length, (1, 1), "number of items or characters"),
    _helper("abs", "function", "op_abs", rule.arithmetic, (1, 1), "the number without its sign"),
    _helper("round", "function", "op_round", rule.rounding, (1, 2), "nearest integer, or so many digits"),
    _helper("min", "function", "op_min", rule.arithmetic, (2, MAX_ARGS), "the least"),
    _helper("max", "function", "op_max", rule.arithmetic, (2, MAX_ARGS), "the greatest"),
    _helper("str", "function", "op_str", rule.text, (1, 1), "a number or boolean as text"),
    _helper("float", "function", "op_float", rule.division, (1, 1), "an integer up to 2**53 as float"),
    _helper("coalesce", "function", "op_coalesce", rule.coalesce, (2, MAX_ARGS), "the first not null"),
)  # fmt: skip

OPERATORS: Mapping[str, Operator] = {each.name: each for each in _ALL}
"""By the name that plans use."""


def operator_named(name: str) -> Operator:
    """The operator.

    Raises:
        InvalidInput: If there is none; the message has the nearest ones.
    """
    found = OPERATORS.get(name)
    if found is None:
        cure = did_you_mean(name, OPERATORS)
        raise InvalidInput(f"there is no operator {name!r}", code="unknown-operator", cure=cure)
    return found
