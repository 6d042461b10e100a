"""Control: `when`, `switch`, `each`, `first_of`, and expressions that have no Python operator.

All are pull-based: a block runs only if a branch that is taken needs its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, cast, overload

from typing_extensions import Unpack

from algorail.engine.dsl.misuse import misuse
from algorail.engine.dsl.placing import unwrapped
from algorail.engine.dsl.policies import NodePolicies
from algorail.engine.dsl.trace import required_trace
from algorail.engine.dsl.value import Value, operation, type_in
from algorail.engine.plan.document import Cel
from algorail.engine.plan.types import ANY, ListType, Type

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")


def when(condition: bool, *, then: T, otherwise: U, **policies: Unpack[NodePolicies]) -> T | U:
    """`then` if the condition holds, else `otherwise`; only the one that is needed runs.

    answer = when(ranked.best > 0.7, then=compose(question, ranked), otherwise=refuse(question))
    """
    inputs = {"condition": condition, "then": then, "otherwise": otherwise}
    trace = required_trace("when")
    _needs_value("when", condition, "a condition that is known already needs no when: use Python's if")
    return cast("T | U", trace.place("when@1", {}, inputs, _common([then, otherwise]), policies=policies))


def switch(
    value: Any,
    cases: Mapping[Any, T] | Sequence[tuple[Any, T]],
    *,
    default: U,
    **policies: Unpack[NodePolicies],
) -> T | U:
    """The case whose key equals the value, else `default`; only that one runs.

    reply = switch(intent, {"refund": refund(order), "status": status(order)}, default=ask(question))
    """
    trace = required_trace("switch")
    pairs = list(cases.items()) if isinstance(cases, Mapping) else list(cases)
    if not pairs:
        raise misuse("switch-cases", "switch has no cases", "give at least one: {'a': x}")
    for key, _ in pairs:
        if not (key is None or isinstance(key, str | int | float)):
            raise misuse(
                "switch-cases", f"the case {key!r} is no literal", "use strings, numbers, booleans, None"
            )
    inputs = {"value": value, **{f"case_{n}": item for n, (_, item) in enumerate(pairs)}, "default": default}
    output = _common([*(item for _, item in pairs), default])
    config = {"cases": [key for key, _ in pairs]}
    return cast("T | U", trace.place("switch@1", config, inputs, output, policies=policies))


def each(
    block: Callable[Concatenate[T, P], R], items: Sequence[T], /, *args: P.args, **kwargs: P.kwargs
) -> list[R]:
    """The block for every item, in the order of the items, several at once.

    The item goes to the block's first parameter, further arguments to every call:

        labels = each(options(classify, concurrency=4), texts, language="en")

    Options of the node (and `concurrency`, 8 by default) come with `options(block, …)`.
    """
    trace = required_trace("each")
    target, policies = unwrapped(block, "each")
    if not isinstance(items, Value | list | tuple):
        raise misuse("each-items", f"items == {items!r}, must be a list", "write each(block, items)")
    over = target.first_port()
    inputs, told = target.arguments((items, *args), kwargs)
    shared = {port: item for port, item in inputs.items() if port != over}
    if "items" in shared:
        raise misuse(
            "each-port", f"{target.label} has a port named 'items'", "wrap it in a block without one"
        )
    policies = cast("NodePolicies", {**policies, **told})
    concurrency = policies.pop("concurrency", None)
    config: dict[str, Any] = {"kind": target.kind_key, "config": dict(target.config), "over": over}
    if concurrency is not None:
        _check_concurrency(concurrency)
        config["concurrency"] = concurrency
    target.remember(trace)
    ports = {"items": items, **shared}
    name = f"each_{target.label}"
    placed = trace.place("each@1", config, ports, ListType(target.output), named=name, policies=policies)
    return cast("list[R]", placed)


@overload
def first_of(
    first: T, second: U, /, *, accept: Literal["success", "value"] = ..., **policies: Unpack[NodePolicies]
) -> T | U: ...
@overload
def first_of(
    first: T,
    second: U,
    third: V,
    /,
    *,
    accept: Literal["success", "value"] = ...,
    **policies: Unpack[NodePolicies],
) -> T | U | V: ...
@overload
def first_of(
    *options: T, accept: Literal["success", "value"] = ..., **policies: Unpack[NodePolicies]
) -> T: ...
def first_of(
    *options: Any, accept: Literal["success", "value"] = "success", **policies: Unpack[NodePolicies]
) -> Any:
    """The first that succeeds, tried in order; with `accept="value"` it must not be None either.

    hits = first_of(cached(question), search(question), accept="value")
    """
    trace = required_trace("first_of")
    if not options:
        raise misuse("first-of-options", "first_of has no options", "write first_of(a, b)")
    if accept not in {"success", "value"}:
        raise misuse("first-of-accept", f"accept == {accept!r}", "write accept='success' or accept='value'")
    inputs = {f"option_{n}": item for n, item in enumerate(options)}
    config = {} if accept == "success" else {"accept": accept}
    return trace.place("first_of@1", config, inputs, _common(options), policies=policies)


def expr(cel: str, /, **variables: Any) -> Any:
    """An expression in CEL on values, checked before the run: `expr("a.score * 2.0 > b", a=a, b=b)`.

    For what the operators of Python cannot say: `xs.exists(x, x.score > 0.5)`, `name.startsWith("a")`, texts.
    """
    trace = required_trace("expr")
    if not isinstance(cel, str):
        raise misuse("expr-text", f"expr takes a text first, got {cel!r}", 'write expr("a > b", a=a, b=b)')
    bound = {name: trace.binding(item) for name, item in variables.items()}
    return Value(trace, Cel(cel, bound), ANY)


def contains(container: Any, item: Any) -> bool:
    """Whether a list, a dict or a text has the item in it: what `item in container` would say."""
    return cast("bool", operation("in", item, container))


def length(container: Any) -> int:
    """How many items a value has: what `len` would say."""
    return cast("int", operation("len", container))


def _check_concurrency(concurrency: Any) -> None:
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise misuse("node-option", f"concurrency == {concurrency!r}, must be >= 1", "write concurrency=8")


def _needs_value(what: str, condition: Any, cure: str) -> None:
    if isinstance(condition, bool):
        raise misuse("constant-condition", f"the condition of {what} is always {condition}", cure)


def _common(options: Sequence[Any]) -> Type:
    """The type of several branches, as far as it is one."""
    known = [type_in(item) if isinstance(item, Value) else ANY for item in options]
    return known[0] if all(item == known[0] for item in known) else ANY
