"""The control kinds that are calls: `each` over a list, and `sub_algorithm`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from algorail.engine.kind import Effect
from algorail.engine.kit.errors import AlgorailError, BlockFailed, ConfigInvalid, InvalidInput, LimitExceeded
from algorail.engine.plan.document import MAX_DEPTH
from algorail.engine.run.calls import Call
from algorail.engine.run.context import NodeContext, RunContext
from algorail.engine.run.messages import code_of, reason
from algorail.engine.run.scope import Scope
from algorail.engine.run.trace import Child

if TYPE_CHECKING:
    from algorail.engine.run.compile import CompiledPlan

CONCURRENCY = 8
"""Items of an `each` in flight at once, unless it says otherwise."""

ON_ERROR = ("fail", "null", "skip")
"""What an `each` does with an item that fails: end, put null in its place, or leave it out."""

_FAILED = object()

Algorithms = Callable[[str, str], "CompiledPlan"]
"""Finds a compiled algorithm by name and version ("3" or "@alias"). Raises `NotFound`."""

Item = Callable[[RunContext, int, dict[str, Any]], Any]


def sub_algorithm_call(node: str, index: int, name: str, version: str, algorithms: Algorithms) -> Call:
    """Runs another algorithm as a block. An alias is looked up at each run, a number once."""
    found = algorithms(name, version)
    fixed = None if version.startswith("@") else found

    async def run_item(ctx: RunContext, position: int | None, inputs: dict[str, Any]) -> Any:
        return await _run_child(ctx, fixed or algorithms(name, version), (node, index, position), inputs)

    async def run(ctx: RunContext, /, **inputs: Any) -> Any:
        return await run_item(ctx, None, inputs)

    effect, idempotent = effect_of(found)
    return Call(run, True, "engine", effect, idempotent, item=run_item)


async def _run_child(
    ctx: RunContext, child: CompiledPlan, place: tuple[str, int, int | None], inputs: dict[str, Any]
) -> Any:
    node, index, position = place
    if ctx.depth + 1 >= MAX_DEPTH:
        raise LimitExceeded(
            f"sub-algorithms nest deeper than {MAX_DEPTH} at {child.plan.name!r}", cure="break the recursion"
        )
    inner = ctx.child(node, position)
    running = child.run(inputs, inner)
    if ctx.record:
        ctx.noted().children.setdefault(index, []).append(Child(position or 0, inner))
    return await running


def effect_of(compiled: CompiledPlan) -> tuple[Effect, bool]:
    """What an algorithm does to the world: the most that one of its blocks does."""
    effects = [call.effect for call in compiled.calls.values()]
    idempotent = all(call.idempotent for call in compiled.calls.values() if call.effect is Effect.WRITE)
    for effect in (Effect.WRITE, Effect.READ):
        if effect in effects:
            return effect, idempotent
    return Effect.PURE, True


def each_call(node: str, config: Mapping[str, Any], inner: Call) -> Call:
    """Runs a block, or an algorithm, once per item of a list; the order of the outputs is that of the items.

    Raises:
        ConfigInvalid: If `concurrency` or `on_error` is out of range.
    """
    over = str(config.get("over", "item"))
    width, on_error = config.get("concurrency", CONCURRENCY), config.get("on_error", "fail")
    if not isinstance(width, int) or width < 1:
        raise ConfigInvalid(f"each {node!r}: concurrency == {width!r}, must be a whole number >= 1")
    if on_error not in ON_ERROR:
        raise ConfigInvalid(f"each {node!r}: on_error == {on_error!r}, must be one of {', '.join(ON_ERROR)}")
    item = inner.item or _block_item(node, inner)
    outer = replace(inner, wants="engine", item=None)
    if not inner.is_async:

        def run_all(ctx: RunContext, /, items: Any, **rest: Any) -> list[Any]:
            outputs = []
            for position, value in enumerate(_listed(items)):
                try:
                    outputs.append(item(ctx, position, {over: value, **rest}))
                except Exception as error:  # noqa: BLE001  # raised again unless on_error says otherwise
                    outputs.append(_item_failed(error, node, position, on_error))
            return _kept(outputs, on_error)

        return replace(outer, function=run_all)

    async def run_beside(ctx: RunContext, /, items: Any, **rest: Any) -> list[Any]:
        values = _listed(items)
        outputs: list[Any] = [None] * len(values)
        todo = iter(enumerate(values))

        async def work() -> None:
            await _work(
                todo,
                outputs,
                lambda position, value: item(ctx, position, {over: value, **rest}),
                node,
                on_error,
            )

        await _beside(work, min(width, len(values)))
        return _kept(outputs, on_error)

    return replace(outer, function=run_beside)


async def _work(
    todo: Iterator[tuple[int, Any]],
    outputs: list[Any],
    call: Callable[[int, Any], Awaitable[Any]],
    node: str,
    on_error: str,
) -> None:
    """Take items until none is left; several of these share one iterator."""
    for position, value in todo:
        try:
            outputs[position] = await call(position, value)
        except Exception as error:  # noqa: BLE001  # raised again unless on_error says otherwise
            outputs[position] = _item_failed(error, node, position, on_error)


async def _beside(work: Callable[[], Any], width: int) -> None:
    scope = Scope()
    try:
        tasks = scope.start(*[work] * (width - 1))
        await work()
        for task in tasks:
            if task is not None:
                await task
    except BaseException as error:  # noqa: BLE001  # always raised again
        raise await scope.abort(error)  # noqa: B904  # it is that error, or the one that came first


def _block_item(node: str, inner: Call) -> Item:
    function = inner.function
    if inner.wants == "plain":
        return lambda _ctx, _position, inputs: function(**inputs)

    def with_context(ctx: RunContext, position: int, inputs: dict[str, Any]) -> Any:
        call_context = NodeContext(ctx, node)
        call_context.item = position
        return function(call_context, **inputs)

    return with_context


def _listed(items: Any) -> list[Any]:
    if isinstance(items, list | tuple):
        return list(items)
    raise InvalidInput(f"each needs a list of items, got {type(items).__name__}")


def _item_failed(error: Exception, node: str, position: int, on_error: str) -> Any:
    if on_error == "null":
        return None
    if on_error == "skip":
        return _FAILED
    raise BlockFailed(
        f"item {position}: {reason(error)}",
        node=node,
        code=code_of(error),
        retryable=error.retryable if isinstance(error, AlgorailError) else None,
    ) from error


def _kept(outputs: list[Any], on_error: str) -> list[Any]:
    return [output for output in outputs if output is not _FAILED] if on_error == "skip" else outputs
