"""Works out the types of bindings and whether they fit where they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from algorail.engine.kit.errors import AlgorailError, InvalidInput
from algorail.engine.plan.compat import at_path, compatible
from algorail.engine.plan.document import Binding, Cel, DictOf, ListOf, Op, Ref, Value
from algorail.engine.plan.mistakes import mistakes
from algorail.engine.plan.ops import operator_named
from algorail.engine.plan.report import Report
from algorail.engine.plan.shape import at_key, did_you_mean, short
from algorail.engine.plan.types import (
    ANY,
    NUMBER,
    Field,
    ListType,
    LiteralType,
    ObjectType,
    Sensitivity,
    Type,
    join_sensitivity,
    marked,
    union_of,
)

CelTyper: TypeAlias = Callable[[str, Mapping[str, Type]], Type]


def type_of_value(value: Any) -> Type:
    """The narrowest type of a JSON value.

    >>> describe(type_of_value({"k": [1, "a"]}))
    'object {k}'
    """
    if isinstance(value, dict):
        return ObjectType({str(key): Field(type_of_value(item)) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return ListType(union_of(map(type_of_value, value)))
    if isinstance(value, float):
        return NUMBER
    return LiteralType((value,)) if value is None or isinstance(value, str | int | bool) else ANY


class Bindings:
    """Types of the bindings of one plan.

    Args:
        known: Types of inputs and of the nodes so far; the check adds to it.
        names: Every name that a link may use, typed already or not.
        cel: Types an expression.
        report: Where problems go.
    """

    def __init__(
        self, known: Mapping[str, Type], names: frozenset[str], cel: CelTyper, report: Report
    ) -> None:
        self._known = known
        self._names = names
        self._cel = cel
        self._report = report

    def type_of(self, binding: Binding, port: str) -> Type:
        """The type of a binding; `Any` where a problem was noted."""
        match binding:
            case Ref():
                return self._ref(binding, port)
            case Value(value=value):
                return type_of_value(value)
            case Op():
                return self._operation(binding, port)
            case Cel():
                return self._expression(binding, port)
            case ListOf(list=items):
                found = [self.type_of(item, at_key(port, index)) for index, item in enumerate(items)]
                return ListType(union_of(found))
            case DictOf(dict=members):
                return ObjectType(
                    {name: Field(self.type_of(item, at_key(port, name))) for name, item in members.items()}
                )

    def check(self, binding: Binding, target: Type, port: str) -> Type:
        """The type of a binding, which must fit the target."""
        if isinstance(binding, Value):
            found = mistakes(target, binding.value, coerce=True)
            self._report.raised_all(found, port)
            return type_of_value(binding.value)
        source = self.type_of(binding, port)
        self.fits(source, target, port)
        return source

    def fits(self, source: Type, target: Type, port: str) -> bool:
        """Whether a type fits; if not, the mismatch is noted."""
        mismatch = compatible(source, target)
        if mismatch is None:
            return True
        where = f" (at {mismatch.place})" if mismatch.place else ""
        self._report.error(
            mismatch.code,
            f"{mismatch.reason}{where}",
            port=port,
            expected=mismatch.expected,
            got=mismatch.got,
            cure=mismatch.cure,
        )
        return False

    def _ref(self, binding: Ref, port: str) -> Type:
        if binding.ref not in self._names:
            self._report.error(
                "unknown-ref",
                f"there is no input and no node {binding.ref!r}",
                port=port,
                got=binding.ref,
                cure=did_you_mean(binding.ref, self._names),
            )
            return ANY
        try:
            return at_path(self._known.get(binding.ref, ANY), binding.path)
        except InvalidInput as error:
            self._report.error(
                error.code,
                f"{binding.ref!r}: {error.message}",
                port=port,
                got="".join(f"[{step!r}]" for step in binding.path),
                cure=error.cure,
            )
            return ANY

    def _operation(self, binding: Op, port: str) -> Type:
        args = [self.type_of(arg, port) for arg in binding.args]
        try:
            return operator_named(binding.op).result(args)
        except InvalidInput as error:
            self._report.error(error.code, error.message, port=port, got=binding.op, cure=error.cure)
            return ANY

    def _expression(self, binding: Cel, port: str) -> Type:
        variables = {name: self.type_of(item, at_key(port, name)) for name, item in binding.vars.items()}
        try:
            found = self._cel(binding.cel, variables)
        except AlgorailError as error:
            self._report.raised(error, port)
            return ANY
        marks: list[Sensitivity] = [item.sensitivity for item in variables.values()]
        return marked(found, join_sensitivity(*marks))


def wrong_value(report: Report, port: str, value: Any, expected: str, cure: str = "") -> None:
    """Notes that a setting has a wrong value."""
    report.error(
        "wrong-value",
        f"must be {expected}, is {short(value)}",
        port=port,
        expected=expected,
        got=short(value),
        cure=cure,
    )
