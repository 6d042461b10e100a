"""Values that do not exist yet: what the inputs and blocks of an algorithm look like while it is written.

A `Value` takes part in expressions (`ranked.best > 0.7`), which become bindings of the plan. Whatever would
need the value itself (`if`, `for`, f-strings …) raises at once and names the cure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from algorail.engine.dsl.misuse import misuse
from algorail.engine.kit.errors import PlanInvalid
from algorail.engine.plan.document import Binding, Op, Ref
from algorail.engine.plan.types import ANY, BOOLEAN, DictType, ListType, ObjectType, Type

if TYPE_CHECKING:
    from algorail.engine.dsl.trace import Trace

BinaryMethod: TypeAlias = Callable[["Value", Any], "Value"]


class Value:
    """A value that exists only when the algorithm runs; see the module's text."""

    __slots__ = ("_algorail_binding", "_algorail_trace", "_algorail_type")

    def __init__(self, trace: Trace, binding: Binding, port_type: Type = ANY) -> None:
        object.__setattr__(self, "_algorail_trace", trace)
        object.__setattr__(self, "_algorail_binding", binding)
        object.__setattr__(self, "_algorail_type", port_type)

    def __getattr__(self, name: str) -> Value:
        if name.startswith("_"):
            raise AttributeError(name)
        return _inside(self, name)

    def __getitem__(self, key: Any) -> Value:
        if isinstance(key, slice):
            raise misuse(
                "value-sliced",
                f"a slice of {label(self)} is not known yet",
                "take single items as in xs[0], or cut the list in a @block",
            )
        return _inside(self, key)

    def __repr__(self) -> str:
        return f"<value {label(self)}>"

    def __setattr__(self, name: str, value: Any) -> None:
        raise _changed(self, f".{name} = …")

    def __setitem__(self, key: Any, value: Any) -> None:
        raise _changed(self, f"[{key!r}] = …")

    def __delitem__(self, key: Any) -> None:
        raise _changed(self, f"[{key!r}]")

    def __invert__(self) -> Value:
        return operation("not", self)

    def __neg__(self) -> Value:
        return operation("neg", self)

    def __abs__(self) -> Value:
        return operation("abs", self)

    def __round__(self, digits: int | None = None) -> Value:
        return operation("round", self) if digits is None else operation("round", self, digits)

    if TYPE_CHECKING:

        def __eq__(self, other: object) -> Any: ...
        def __hash__(self) -> int: ...


def trace_of(value: Value) -> Trace:
    """The trace that a value belongs to."""
    found: Trace = object.__getattribute__(value, "_algorail_trace")
    return found


def binding_in(value: Value) -> Binding:
    """What a value stands for in the plan."""
    found: Binding = object.__getattribute__(value, "_algorail_binding")
    return found


def type_in(value: Value) -> Type:
    """What is known of a value's type."""
    found: Type = object.__getattribute__(value, "_algorail_type")
    return found


def label(value: Value) -> str:
    """How messages call a value: `ranked.best`."""
    binding = binding_in(value)
    if isinstance(binding, Ref):
        steps = "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in binding.path)
        return f"{binding.ref}{steps}"
    return "of an expression"


def operation(op: str, *args: Any) -> Value:
    """An operator applied to values; `op` is a name of the plan's operators.

    Operators have their Python form (`a > b`, `a & b`); this is for the ones that have none, or whose
    operands are all known already.
    """
    trace = next((trace_of(arg) for arg in args if isinstance(arg, Value)), None)
    if trace is None:
        from algorail.engine.dsl.trace import required_trace  # noqa: PLC0415 - a trace makes values

        trace = required_trace(f"operation({op!r}, …)")
    binding = Op(op, tuple(trace.binding(arg) for arg in args))
    return Value(trace, binding, BOOLEAN if op in _BOOLEAN else ANY)


_BOOLEAN = frozenset({"<", "<=", ">", ">=", "==", "!=", "not", "in", "not in", "is", "is not"})


def _inside(value: Value, key: Any) -> Value:
    """A field or an item of a value."""
    binding = binding_in(value)
    if isinstance(key, bool) or not isinstance(key, str | int | Value):
        raise misuse(
            "value-key", f"{key!r} cannot be a key of {label(value)}", "use a field's name or a position"
        )
    if isinstance(binding, Ref) and not isinstance(key, Value):
        found = _field_type(value, key)
        return Value(trace_of(value), Ref(binding.ref, (*binding.path, key)), found)
    return operation("[]", value, key)


def _field_type(value: Value, key: str | int) -> Type:
    match type_in(value):
        case ObjectType(fields=fields) if isinstance(key, str) and key in fields:
            return fields[key].type
        case ObjectType(fields=fields, closed=True, title=title):
            near = get_close_matches(str(key), fields, n=1)
            cure = f"did you mean {near[0]!r}?" if near else "use one of its fields"
            raise misuse(
                "unknown-field",
                f"{label(value)} ({title or 'object'}) has no field {key!r}; it has: {', '.join(fields)}",
                cure,
            )
        case DictType(value=found) if isinstance(key, str):
            return found
        case ListType(item=found) if isinstance(key, int):
            return found
    return ANY


def _changed(value: Value, how: str) -> PlanInvalid:
    return misuse(
        "value-changed",
        f"{label(value)}{how}: a value cannot be changed",
        "make a new one: {'a': x, 'b': y}, a model's constructor, or a @block",
    )


def _infix(op: str) -> BinaryMethod:
    def method(self: Value, other: Any) -> Value:
        return operation(op, self, other)

    return method


def _reflected(op: str) -> BinaryMethod:
    def method(self: Value, other: Any) -> Value:
        return operation(op, other, self)

    return method


_INFIX = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_BOTH = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%",
    "and": "and", "or": "or",
}  # fmt: skip
_IMPOSSIBLE: dict[str, tuple[str, str]] = {
    "__bool__": (
        "{} has no truth value yet",
        ("for `if` write when(condition, then=a, otherwise=b); for `and`, `or`, `not` write &, |, ~ with "
        "brackets; for 0 < x < 1 write (0 < x) & (x < 1)"),
    ),
    "__iter__": (
        "{} cannot be iterated, it is not there yet",
        "write each(block, items) to run a block for every item, or xs[0] for one item",
    ),
    "__len__": ("the length of {} is not known yet", "write length(xs)"),
    "__contains__": ("what is in {} is not known yet", "write contains(xs, item)"),
    "__format__": (
        "{} cannot be put into an f-string, it is not there yet",
        "build the text in a @block, or write expr('\"Hello \" + name', name=name)",
    ),
    "__str__": (
        "{} has no text yet",
        "build the text in a @block; for a look at the plan write print(plan_of(my_algorithm))",
    ),
    "__int__": (
        "{} cannot become an int, it is not there yet",
        "convert it in a @block or in expr('int(x)', x=x)",
    ),
    "__float__": (
        "{} cannot become a float, it is not there yet",
        "convert it in a @block or in expr('double(x)', x=x)",
    ),
    "__index__": (
        "{} cannot be used as a position, it is not there yet",
        "write xs[value] with a value xs, or use a @block",
    ),
    "__hash__": (
        "{} cannot be a key of a dict or a member of a set, it is not there yet",
        "write switch(value, {'a': x, 'b': y}, default=z) to choose by a value",
    ),
    "__call__": (
        "{} cannot be called, it is not there yet",
        "values have fields, not methods: call a @block with it",
    ),
    "__await__": ("{} cannot be awaited", "leave out `await`; the engine awaits async blocks"),
    "__pow__": ("{} ** … is no operator of plans", "write x * x, or compute it in a @block"),
    "__array__": ("{} cannot become an array, it is not there yet", "use numpy inside a @block"),
    "__enter__": ("{} cannot be used in `with`", "use it inside a @block"),
    "__reduce_ex__": ("{} cannot be copied or pickled", "use the value itself"),
}  # fmt: skip


def _impossible(message: str, cure: str, code: str) -> Callable[..., Any]:
    def method(self: Value, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise misuse(code, message.format(label(self)), cure)

    return method


def _methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, op in {**_INFIX, **_BOTH}.items():
        yield f"__{name}__", _infix(op)
    for name, op in _BOTH.items():
        yield f"__r{name}__", _reflected(op)
    for name, (message, cure) in _IMPOSSIBLE.items():
        yield name, _impossible(message, cure, f"value-{name.strip('_').replace('_', '-')}")


for _name, _method in _methods():
    setattr(Value, _name, _method)
