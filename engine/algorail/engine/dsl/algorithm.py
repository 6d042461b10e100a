"""`@algorithm`: a typed function whose signature is the contract and whose calls are the nodes.

The function is called once, when it is decorated, with values that do not exist yet; what it places is the
plan. For type checkers and Jedi the decorated function keeps its type, `Callable[P, R]`; `plan_of` and
`algorithm_of` reach what is behind it. See docs/adr/0003-dsl.md.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ParamSpec, Protocol, TypeVar, cast, get_args, get_origin, overload

from algorail.engine.dsl.annotations import Named, port_types, resolved_signature
from algorail.engine.dsl.local import run_local
from algorail.engine.dsl.misuse import misuse
from algorail.engine.dsl.placing import SubAlgorithm, unwrapped
from algorail.engine.dsl.plain import to_plain
from algorail.engine.dsl.trace import Trace, tracing
from algorail.engine.kind import BlockKind
from algorail.engine.kit.ids import NAME
from algorail.engine.plan.document import Input, Plan, RecordMode, RecordPolicy
from algorail.engine.plan.picture import svg
from algorail.engine.plan.types import Type

P = ParamSpec("P")
R = TypeVar("R")


class Algorithm(SubAlgorithm):
    """A traced algorithm; inside another one a call places it as a sub-algorithm, elsewhere it runs.

    Attributes:
        plan: The algorithm as data.
        kinds: The block kinds that it was written with, by key; those named by text only are not among them.
        algorithms: The algorithms that it calls, by name, where they are at hand.
    """

    def __init__(
        self, function: Callable[..., Any], plan: Plan, signature: inspect.Signature, trace: Trace
    ) -> None:
        config = {"algorithm": plan.name, "version": "@prod"}
        super().__init__(plan.name, config, plan.output, signature, self)
        functools.update_wrapper(self, function)
        self.function = function
        self.plan = plan
        self.name = plan.name
        self.kinds: Mapping[str, BlockKind] = {
            key: item for key, item in trace.placed.items() if isinstance(item, BlockKind)
        }
        self.algorithms: Mapping[str, Algorithm] = {
            key: item for key, item in trace.placed.items() if isinstance(item, Algorithm)
        }

    @property
    def answer(self) -> Any:
        """The annotation of the result."""
        return cast("inspect.Signature", self.call_signature).return_annotation

    def outside(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Runs the algorithm in this process."""
        inputs, _ = self.arguments(args, kwargs)
        signature = cast("inspect.Signature", self.call_signature)
        named = {_input_name(signature.parameters[name]): item for name, item in inputs.items()}
        return run_local(self, named)

    def _repr_html_(self) -> str:
        return svg(self.plan)

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, str]:
        picture = svg(self.plan)
        return {"text/plain": repr(self), "text/html": picture, "image/svg+xml": picture}

    def __repr__(self) -> str:
        return f"<algorithm {self.name}: {len(self.plan.nodes)} nodes>"


class AlgorithmDecorator(Protocol):
    """What `@algorithm(…)` is to type checkers."""

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def algorithm(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def algorithm(
    *,
    name: str = ...,
    doc: str | None = ...,
    record: RecordMode | RecordPolicy = ...,
    unit: str = ...,
    timeout: float | None = ...,
    bundle: str = ...,
) -> AlgorithmDecorator: ...
def algorithm(
    function: Any = None,
    /,
    *,
    name: str = "",
    doc: str | None = None,
    record: RecordMode | RecordPolicy = "durable",
    unit: str = "",
    timeout: float | None = None,
    bundle: str = "",
) -> Any:
    """Makes an algorithm of a typed function.

    Args:
        name: Its name in the registry; by default the function's.
        doc: Its description; by default the docstring.
        record: How runs are recorded: a mode, or a `RecordPolicy`.
        unit: The input that identifies the unit of a traffic split.
        timeout: Default deadline of a run, seconds.
        bundle: Content hash of the code bundle with own blocks; publishing fills it in.

    Raises:
        PlanInvalid: At once, wherever the function does what only a run could; the message names the cure.
    """

    def decorate(target: Callable[..., Any]) -> Algorithm:
        _check_function(target)
        signature = resolved_signature(target)
        types, output = port_types(target, signature)
        chosen = name or target.__name__
        if not NAME.match(chosen):
            raise misuse("algorithm-name", f"{chosen!r} is no name", 'write @algorithm(name="lower-case")')
        names = {parameter: _input_name(p) for parameter, p in signature.parameters.items()}
        if unit and unit not in names.values():
            raise misuse("algorithm-unit", f"unit={unit!r} is no input", f"inputs are: {', '.join(names)}")
        if timeout is not None and timeout <= 0:
            raise misuse("algorithm-timeout", f"timeout == {timeout!r}, must be > 0", "write seconds")
        trace = Trace(chosen, {names[parameter]: found for parameter, found in types.items()})
        with tracing(trace):
            result = _called(target, signature, {p: trace.input(names[p]) for p in names})
            binding = trace.binding(result)
        plan = Plan(
            name=chosen,
            inputs={names[p.name]: _input(p, types[p.name]) for p in signature.parameters.values()},
            output=output,
            nodes=tuple(trace.nodes),
            result=binding,
            doc=inspect.cleandoc(target.__doc__ or "") if doc is None else doc,
            unit=unit,
            timeout=timeout,
            record=record if isinstance(record, RecordPolicy) else RecordPolicy(mode=record),
            bundle=bundle,
        )
        return Algorithm(target, plan, signature, trace)

    return decorate if function is None else decorate(function)


def _check_function(function: Any) -> None:
    if not inspect.isfunction(function):
        raise misuse("not-a-function", f"@algorithm on {function!r}", "decorate a function made with def")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise misuse(
            "algorithm-async",
            f"{function.__name__} is async or yields",
            "write a plain def that returns; the engine runs blocks at the same time by itself",
        )


def _called(function: Callable[..., Any], signature: inspect.Signature, values: Mapping[str, Any]) -> Any:
    bound = signature.bind_partial()
    bound.arguments.update(values)
    result = function(*bound.args, **bound.kwargs)
    if result is None and signature.return_annotation not in {None, type(None)}:
        raise misuse(
            "no-result", f"{function.__name__} returns nothing", "end it with return and the answer's value"
        )
    return result


def _input_name(parameter: inspect.Parameter) -> str:
    if get_origin(parameter.annotation) is not None:
        for note in get_args(parameter.annotation)[1:]:
            if isinstance(note, Named):
                return note.name
    return parameter.name


def _input(parameter: inspect.Parameter, found: Type) -> Input:
    plain = replace(found, doc="")
    if parameter.default is parameter.empty:
        return Input(type=plain, doc=found.doc)
    return Input(type=plain, required=False, default=to_plain(parameter.default), doc=found.doc)


def algorithm_of(function: Callable[..., Any]) -> Algorithm:
    """The `Algorithm` behind a decorated function.

    Raises:
        PlanInvalid: If it is not decorated with `@algorithm`.
    """
    target = unwrapped(function, "algorithm_of")[0]
    if not isinstance(target, Algorithm):
        raise misuse("not-an-algorithm", f"{target.label} is no algorithm", "decorate it with @algorithm")
    return target


def plan_of(function: Callable[..., Any]) -> Plan:
    """The plan of a decorated function."""
    return algorithm_of(function).plan


def kind_of(function: Callable[..., Any]) -> BlockKind:
    """The kind of a block.

    Raises:
        PlanInvalid: If there is no block behind it.
    """
    target = unwrapped(function, "kind_of")[0]
    if not isinstance(target.source, BlockKind):
        raise misuse("not-a-block", f"{target.label} has no code here", "decorate a function with @block")
    kind: BlockKind = target.source
    return kind


__all__ = ["Algorithm", "algorithm", "algorithm_of", "kind_of", "plan_of"]
