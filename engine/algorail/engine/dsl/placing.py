"""What places nodes: blocks, built-in blocks with their configuration, algorithms as sub-algorithms.

Type checkers and Jedi see all of them as the plain callables they look like (`Callable[P, R]`): a generic
wrapper class would complete nothing in notebooks. That leaves no room for options in the typed call, so
they have a place of their own, which keeps the type:

    vector = options(embed, retry=Retry(attempts=5), timeout=1.0)(text=question)

At run time `embed(text=question, retry=3)` works too, unless the block has a port named `retry`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast, overload

import msgspec
from typing_extensions import Unpack

from algorail.engine.dsl.annotations import port_type
from algorail.engine.dsl.misuse import misuse
from algorail.engine.dsl.policies import POLICIES, NodePolicies, node_fields
from algorail.engine.dsl.trace import Trace, current_trace
from algorail.engine.dsl.value import Value
from algorail.engine.kind import BlockKind
from algorail.engine.kit.errors import ConfigInvalid
from algorail.engine.plan.types import ANY, Type

P = ParamSpec("P")
R = TypeVar("R")


class Placeable:
    """A callable that places a node when it is called inside an algorithm.

    Attributes:
        label: What messages and unnamed nodes call it.
        kind: Kind of the node.
        config: Configuration of the node.
        output: Type of what it gives.
        call_signature: Parameters for checking calls; None: any, by name.
        source: The `BlockKind` or `Algorithm` behind it, if it is at hand.
    """

    def __init__(
        self,
        label: str,
        kind: str,
        config: Mapping[str, Any],
        *,
        output: Type = ANY,
        call_signature: inspect.Signature | None = None,
        source: Any = None,
    ) -> None:
        self.label = label
        self.kind_key = kind
        self.config = config
        self.output = output
        self.call_signature = call_signature
        self.source = source

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Places a node; outside an algorithm, does what the plain function would do."""
        trace = current_trace()
        if trace is None:
            return self.outside(args, kwargs)
        return self.place(trace, args, kwargs, {})

    def outside(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:  # noqa: ARG002
        """What a call outside an algorithm does."""
        raise misuse(
            "outside-algorithm",
            f"{self.label} was called outside an algorithm",
            "call it in a function decorated with @algorithm",
        )

    def place(
        self, trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], policies: NodePolicies
    ) -> Value:
        """A node of this block in the trace."""
        inputs, told = self.arguments(args, kwargs)
        together = cast("NodePolicies", {**policies, **told})
        self.remember(trace)
        return trace.place(
            self.kind_key, self.config, inputs, self.output, named=self.label, policies=together
        )

    def remember(self, trace: Trace) -> None:
        """Keeps the code behind the node at hand, for running in this process and for bundles."""
        if self.source is not None:
            trace.placed[self.source_key()] = self.source

    def source_key(self) -> str:
        """The name under which `source` is found."""
        return self.kind_key

    def arguments(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Inputs by port, and the options among the keywords."""
        signature = self.call_signature
        if signature is None:
            if args:
                raise misuse(
                    "positional-argument", f"{self.label} takes its inputs by name", "write port=value"
                )
            return dict(kwargs), {}
        told = {
            name: item
            for name, item in kwargs.items()
            if name in POLICIES and name not in signature.parameters
        }
        inputs = {name: item for name, item in kwargs.items() if name not in told}
        try:
            return dict(signature.bind(*args, **inputs).arguments), told
        except TypeError as error:
            shown = ", ".join(signature.parameters)
            raise misuse("arguments", f"{self.label}: {error}", f"its inputs are: {shown}") from None

    def first_port(self) -> str:
        """The port that gets the item in `each`."""
        names = list(self.call_signature.parameters) if self.call_signature else []
        if not names:
            raise misuse(
                "each-port",
                f"the inputs of {self.label} are not known, so neither is the one that gets the item",
                "wrap it in a @block or an @algorithm with a typed parameter",
            )
        return names[0]


class Configured:
    """A placeable with options: what `options` returns."""

    def __init__(self, target: Placeable, policies: NodePolicies) -> None:
        self.target = target
        self.policies = policies

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Places a node with the options; outside an algorithm they mean nothing."""
        trace = current_trace()
        if trace is None:
            return self.target.outside(args, kwargs)
        return self.target.place(trace, args, kwargs, self.policies)


def options(block: Callable[P, R], /, **policies: Unpack[NodePolicies]) -> Callable[P, R]:
    """The same block with options for its node; the type stays what it was.

        vector = options(embed, retry=3, timeout=0.5, cache=Cache(ttl=60))(text=question)

    Args:
        block: A block, a configured built-in block or an algorithm.
        policies: `name`, `retry`, `timeout`, `cache`, `breaker`, `fallback`, `record`, `doc`; for `each`
            also `concurrency`.

    Raises:
        PlanInvalid: If it is no block, or an option does not exist.
    """
    target, before = unwrapped(block, "options")
    told = {**before, **policies}
    node_fields(cast("NodePolicies", {name: item for name, item in told.items() if name != "concurrency"}))
    return cast("Callable[P, R]", Configured(target, cast("NodePolicies", told)))


def unwrapped(block: Any, what: str) -> tuple[Placeable, NodePolicies]:
    """The placeable behind a callable, and its options."""
    if isinstance(block, Configured):
        return block.target, block.policies
    if isinstance(block, Placeable):
        return block, {}
    name = getattr(block, "__name__", None) or repr(block)
    raise misuse("not-a-block", f"{what}: {name} is not a block", f"decorate the function {name} with @block")


@overload
def placed(kind: BlockKind, config: Any = ..., *, like: Callable[P, R]) -> Callable[P, R]: ...
@overload
def placed(kind: BlockKind, config: Any = ..., *, returns: type[R]) -> Callable[..., R]: ...
@overload
def placed(kind: BlockKind, config: Any = ...) -> Callable[..., Any]: ...
def placed(kind: BlockKind, config: Any = None, *, like: Any = None, returns: Any = None) -> Any:
    """A built-in block with its configuration, as a typed callable.

        def vector_search(index: str, *, k: int = 10) -> Callable[..., list[Hit]]:
            return placed(KIND, Config(index=index, k=k), returns=list[Hit])

    Args:
        kind: The kind.
        config: Its configuration: the struct, or what `msgspec.convert` makes one of.
        like: A function whose parameters and result the callable has for type checkers.
        returns: The type of the result, where the parameters cannot be told before.

    Raises:
        ConfigInvalid: If the configuration is wrong.
    """
    struct = _struct(kind, config)
    ports = kind.signature(struct)
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD if like else inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if port.required else port.default,
        )
        for name, port in ports.inputs.items()
        if name.isidentifier()
    ]
    known = len(parameters) == len(ports.inputs)
    shown = inspect.Signature(sorted(parameters, key=_optional)) if known else None
    if like is not None:
        shown = inspect.signature(like)
    output = port_type(returns) if returns is not None and ports.output == ANY else ports.output
    return Placeable(
        kind.name,
        kind.key,
        msgspec.to_builtins(struct),
        output=output,
        call_signature=shown,
        source=kind,
    )


def _optional(parameter: inspect.Parameter) -> bool:
    return parameter.default is not inspect.Parameter.empty


def _struct(kind: BlockKind, config: Any) -> msgspec.Struct:
    if isinstance(config, kind.config):
        return config
    try:
        return msgspec.convert(config or {}, kind.config)
    except msgspec.ValidationError as error:
        raise ConfigInvalid(f"{kind.key}: {error}", cure=f"see {kind.config.__name__}") from None


def placed_kind(kind: str, config: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """A block by the name of its kind, if its code is not at hand: `placed_kind("embed@1")(text=q)`."""
    if "@" not in kind:
        raise misuse(
            "kind-name", f"kind == {kind!r}, must be a name and a version", 'write "vector_search@1"'
        )
    return Placeable(kind.partition("@")[0], kind, config or {})


@overload
def sub_algorithm(algorithm: Callable[P, R], /, version: str = ...) -> Callable[P, R]: ...
@overload
def sub_algorithm(algorithm: str, /, version: str = ...) -> Callable[..., Any]: ...
def sub_algorithm(algorithm: Any, /, version: str = "@prod") -> Any:
    """A published algorithm as a block.

    Args:
        algorithm: An `@algorithm` function (which, called by itself, means its `@prod`), or a name.
        version: A number (`"3"`) or an alias (`"@prod"`).
    """
    known = None if isinstance(algorithm, str) else unwrapped(algorithm, "sub_algorithm")[0]
    name = algorithm if known is None else str(known.config.get("algorithm", known.label))
    config = {"algorithm": name, "version": version}
    if known is None:
        return Placeable(name, "sub_algorithm@1", config)
    return SubAlgorithm(name, config, known.output, known.call_signature, known.source)


class SubAlgorithm(Placeable):
    """An algorithm that another one calls."""

    def __init__(
        self,
        label: str,
        config: Mapping[str, Any],
        output: Type,
        call_signature: inspect.Signature | None,
        source: Any,
    ) -> None:
        super().__init__(
            label, "sub_algorithm@1", config, output=output, call_signature=call_signature, source=source
        )

    def source_key(self) -> str:
        """Algorithms are found by their names."""
        return str(self.config["algorithm"])
