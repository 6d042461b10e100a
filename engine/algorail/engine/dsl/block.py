"""`@block`: a user's own function as a block."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, cast, get_args, overload

from algorail.engine.dsl.annotations import port_types, resolved_signature
from algorail.engine.dsl.convert import Convert, converter, is_plain
from algorail.engine.dsl.misuse import misuse
from algorail.engine.dsl.placing import Placeable
from algorail.engine.dsl.plain import to_plain
from algorail.engine.kind import (
    BlockKind,
    CallContext,
    Effect,
    NoConfig,
    Port,
    Runner,
    Services,
    Signature,
)

P = ParamSpec("P")
R = TypeVar("R")
EffectName: TypeAlias = Literal["pure", "read", "write"] | Effect
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")


class Block(Placeable):
    """A decorated function: places a node inside an algorithm, is the function itself outside.

    Attributes:
        function: The function as it was written.
        kind: What the engine runs.
    """

    def __init__(self, function: Callable[..., Any], kind: BlockKind, signature: inspect.Signature) -> None:
        output = kind.signature(NoConfig()).output
        super().__init__(kind.name, kind.key, {}, output=output, call_signature=signature, source=kind)
        functools.update_wrapper(self, function)
        self.function = function
        self.kind = kind

    def outside(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The plain call of the function; a coroutine, if it is async."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<block {self.kind.key}>"


class BlockDecorator(Protocol):
    """What `@block(…)` is to type checkers: an async function becomes the call of its result."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def block(function: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, R]: ...
@overload
def block(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def block(
    *,
    name: str = ...,
    version: int = ...,
    effect: EffectName = ...,
    idempotent: bool = ...,
    in_thread: bool = ...,
    category: str = ...,
) -> BlockDecorator: ...
def block(
    function: Any = None,
    /,
    *,
    name: str = "",
    version: int = 1,
    effect: EffectName = "pure",
    idempotent: bool = True,
    in_thread: bool = False,
    category: str = "own",
) -> Any:
    """Makes a block of a typed function, sync or async.

        @block(effect="read")
        async def customer(number: int) -> Customer: ...

    Its parameters are its inputs. Parameters and results may be pydantic models, dataclasses, TypedDicts
    and plain data; the block gets and gives models, plain data travels. A parameter annotated
    `CallContext | None` with default None gets the context of the call from the engine.

    Inside an algorithm a call places a node; anywhere else it is the plain call of the function, so a test
    of a block is a test of a function.

    Args:
        name: Name of the kind; by default the function's.
        version: A change that breaks algorithms is a new version.
        effect: `pure` (same inputs, same result), `read` (asks the world), `write` (changes it).
        idempotent: For writes: twice is the same as once.
        in_thread: Run it in the engine's thread pool: long computations and blocking calls.
        category: Group in the palette.

    Raises:
        PlanInvalid: For `*args`, missing annotations or types that cannot travel.
    """

    def decorate(target: Callable[..., Any]) -> Block:
        if not inspect.isfunction(target):
            raise misuse("not-a-function", f"@block on {target!r}", "decorate a function made with def")
        signature = resolved_signature(target)
        context = _context_parameter(target, signature)
        ports = signature.replace(parameters=[p for p in signature.parameters.values() if p.name != context])
        chosen = name or target.__name__
        _check(chosen, version, in_thread, target)
        inputs, output = _ports(target, ports)
        kind = BlockKind(
            name=chosen,
            version=version,
            summary=inspect.cleandoc(target.__doc__ or "").partition("\n")[0] or f"Own block {chosen}.",
            config=NoConfig,
            signature=lambda _config: Signature(inputs, output),
            build=_builder(target, ports, context, in_thread),
            effect=Effect(effect),
            idempotent=idempotent,
            category=category,
            doc=inspect.cleandoc(target.__doc__ or ""),
        )
        return Block(target, kind, ports)

    return decorate if function is None else decorate(function)


def _check(name: str, version: int, in_thread: bool, function: Callable[..., Any]) -> None:
    if not _NAME.match(name):
        raise misuse("block-name", f"{name!r} is no name of a block", 'write @block(name="lower_case")')
    if not isinstance(version, int) or version < 1:
        raise misuse("block-version", f"version == {version!r}, must be >= 1", "write version=1")
    if in_thread and inspect.iscoroutinefunction(function):
        raise misuse(
            "block-thread", f"{name} is async and in_thread", "make it a plain def, or drop in_thread"
        )


def _ports(function: Callable[..., Any], signature: inspect.Signature) -> tuple[dict[str, Port], Any]:
    types, output = port_types(function, signature)
    empty = inspect.Parameter.empty
    ports = {
        name: Port(
            types[name],
            required=parameter.default is empty,
            default=None if parameter.default is empty else to_plain(parameter.default),
        )
        for name, parameter in signature.parameters.items()
    }
    return ports, output


def _context_parameter(function: Callable[..., Any], signature: inspect.Signature) -> str:
    """The parameter that gets the call's context, empty if there is none."""
    for parameter in signature.parameters.values():
        if parameter.annotation is CallContext or CallContext in get_args(parameter.annotation):
            if parameter.default is not None:
                raise misuse(
                    "context-default",
                    f"{function.__name__}: {parameter.name!r} comes from the engine, not from the caller",
                    f"write {parameter.name}: CallContext | None = None",
                )
            return parameter.name
    return ""


def _builder(
    function: Callable[..., Any], signature: inspect.Signature, context: str, in_thread: bool
) -> Callable[[Any, Services], Runner]:
    call = adapted(function, signature, context)
    runner = Runner(
        call=call,
        is_async=inspect.iscoroutinefunction(function),
        wants_context=bool(context),
        in_thread=in_thread,
    )
    return lambda _config, _services: runner


def adapted(
    function: Callable[..., Any], signature: inspect.Signature, context: str = ""
) -> Callable[..., Any]:
    """The function on plain data: models in, plain data out; itself, if there are no models."""
    parameters = signature.parameters
    converters = {
        name: made
        for name, parameter in parameters.items()
        if (made := converter(parameter.annotation)) is not None
    }
    plain = is_plain(signature.return_annotation)
    if plain and not converters and not context:
        return function
    leave: Convert = (lambda value: value) if plain else to_plain
    prepare = _preparation(converters, context)
    if inspect.iscoroutinefunction(function):

        async def call_async(*args: Any, **inputs: Any) -> Any:
            return leave(await function(**prepare(args, inputs)))

        return functools.update_wrapper(call_async, function)

    def call(*args: Any, **inputs: Any) -> Any:
        return leave(function(**prepare(args, inputs)))

    return cast("Callable[..., Any]", functools.update_wrapper(call, function))


def _preparation(
    converters: Mapping[str, Convert], context: str
) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    def prepare(args: tuple[Any, ...], inputs: dict[str, Any]) -> dict[str, Any]:
        for name, convert in converters.items():
            if name in inputs:
                inputs[name] = convert(inputs[name])
        if context:
            inputs[context] = args[0]
        return inputs

    return prepare
