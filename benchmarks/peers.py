"""The same trivial graphs in other libraries, those of them that are installed.

Each library runs in the way its own manual shows for async code; pipefunc has no async functions and gets
sync ones. None of them records anything here; their telemetry is off.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from inspect import Parameter, Signature
from itertools import pairwise
from typing import Annotated, Any, TypedDict

from benchmarks.harness import Case

START = {"id": "a", "score": 1}
BRANCHES = [f"b{position}" for position in range(8)]
CHAIN = [f"n{position}" for position in range(6)]


for setting in ("HAYSTACK_TELEMETRY_ENABLED", "HAMILTON_TELEMETRY_ENABLED"):
    os.environ.setdefault(setting, "false")


def peers_of_chain(step: Callable[..., Any]) -> list[Case]:
    """A chain of six."""
    return list(
        _installed(
            {
                "langgraph": _langgraph_chain,
                "haystack": _haystack_chain,
                "hamilton": _hamilton_chain,
                "pipefunc": _pipefunc_chain,
                "pydantic_graph": _pydantic_graph_chain,
            },
            step,
        )
    )


def peers_of_fan_out(step: Callable[..., Any], join: Callable[..., Any]) -> list[Case]:
    """One, eight, one."""
    return list(
        _installed(
            {
                "langgraph": _langgraph_fan_out,
                "haystack": _haystack_fan_out,
                "hamilton": _hamilton_fan_out,
                "pipefunc": _pipefunc_fan_out,
                "pydantic_graph": _pydantic_graph_fan_out,
            },
            step,
            join,
        )
    )


def _installed(makers: dict[str, Callable[..., Case]], *blocks: Callable[..., Any]) -> Iterator[Case]:
    for module, make in makers.items():
        if find_spec(module) is not None:
            yield make(*blocks)


def _langgraph_chain(step: Callable[..., Any]) -> Case:
    from langgraph.graph import END, StateGraph

    State = TypedDict("State", {"x": Any})  # noqa: UP013
    graph = StateGraph(State)

    async def run(state: Any) -> Any:
        return {"x": await step(x=state["x"])}

    for name in CHAIN:
        graph.add_node(name, run)
    for before, after in pairwise(["__start__", *CHAIN, END]):
        graph.add_edge(before, after)
    app = graph.compile()
    return Case("LangGraph", lambda: app.ainvoke({"x": START}))


def _langgraph_fan_out(step: Callable[..., Any], join: Callable[..., Any]) -> Case:
    from langgraph.graph import END, StateGraph

    State = TypedDict("State", {"x": Any, "xs": Annotated[list, operator.add], "y": Any})  # noqa: UP013
    graph = StateGraph(State)

    async def first(state: Any) -> Any:
        return {"x": await step(x=state["x"])}

    async def branch(state: Any) -> Any:
        return {"xs": [await step(x=state["x"])]}

    async def last(state: Any) -> Any:
        return {"y": await join(xs=state["xs"])}

    graph.add_node("first", first)
    graph.add_node("last", last)
    graph.add_edge("__start__", "first")
    for name in BRANCHES:
        graph.add_node(name, branch)
        graph.add_edge("first", name)
        graph.add_edge(name, "last")
    graph.add_edge("last", END)
    app = graph.compile()
    return Case("LangGraph", lambda: app.ainvoke({"x": START}))


def _hamilton_module(lines: list[str], names: dict[str, Any]) -> Any:
    from hamilton import ad_hoc_utils

    functions: dict[str, Any] = dict(names)
    exec("\n".join(lines), functions)
    found = [functions[line.split("def ")[1].split("(")[0]] for line in lines if "def " in line]
    return ad_hoc_utils.create_temporary_module(*found)


def _hamilton_case(lines: list[str], names: dict[str, Any], last: str) -> Case:
    from hamilton.async_driver import AsyncDriver
    from hamilton.base import DictResult

    driver = AsyncDriver({}, _hamilton_module(lines, names), result_builder=DictResult())
    return Case("Hamilton", lambda: driver.execute([last], inputs={"x": START}))


def _hamilton_chain(step: Callable[..., Any]) -> Case:
    lines = [
        f"async def {name}({before}: object) -> object: return await step(x={before})"
        for before, name in pairwise(["x", *CHAIN])
    ]
    return _hamilton_case(lines, {"step": step}, CHAIN[-1])


def _hamilton_fan_out(step: Callable[..., Any], join: Callable[..., Any]) -> Case:
    lines = ["async def first(x: object) -> object: return await step(x=x)"]
    lines += [f"async def {name}(first: object) -> object: return await step(x=first)" for name in BRANCHES]
    ports = ", ".join(f"{name}: object" for name in BRANCHES)
    lines.append(f"async def last({ports}) -> object: return await join(xs=[{', '.join(BRANCHES)}])")
    return _hamilton_case(lines, {"step": step, "join": join}, "last")


def _haystack_components(step: Callable[..., Any], join: Callable[..., Any] | None = None) -> tuple[Any, Any]:
    from haystack import component

    @component
    class Step:
        @component.output_types(x=Any)
        def run(self, x: Any) -> dict[str, Any]:
            raise NotImplementedError("only the async way is measured")

        @component.output_types(x=Any)
        async def run_async(self, x: Any) -> dict[str, Any]:
            return {"x": await step(x=x)}

    @component
    class Join:
        def __init__(self) -> None:
            component.set_input_types(self, **dict.fromkeys(BRANCHES, Any))

        @component.output_types(y=Any)
        def run(self, **branches: Any) -> dict[str, Any]:
            raise NotImplementedError("only the async way is measured")

        @component.output_types(y=Any)
        async def run_async(self, **branches: Any) -> dict[str, Any]:
            assert join is not None  # the chain has none
            return {"y": await join(xs=[branches[name] for name in BRANCHES])}

    return Step, Join


def _haystack_chain(step: Callable[..., Any]) -> Case:
    from haystack import Pipeline

    pipeline = Pipeline()
    Step, _ = _haystack_components(step)  # noqa: N806  # a class
    for name in CHAIN:
        pipeline.add_component(name, Step())
    for before, after in pairwise(CHAIN):
        pipeline.connect(f"{before}.x", f"{after}.x")
    return Case("Haystack", lambda: pipeline.run_async({"n0": {"x": START}}))


def _haystack_fan_out(step: Callable[..., Any], join: Callable[..., Any]) -> Case:
    from haystack import Pipeline

    pipeline = Pipeline()
    Step, Join = _haystack_components(step, join)  # noqa: N806  # classes
    pipeline.add_component("first", Step())
    pipeline.add_component("last", Join())
    for name in BRANCHES:
        pipeline.add_component(name, Step())
        pipeline.connect("first.x", f"{name}.x")
        pipeline.connect(f"{name}.x", f"last.{name}")
    return Case(
        "Haystack", lambda: pipeline.run_async({"first": {"x": START}}, concurrency_limit=len(BRANCHES))
    )


def _now(block: Callable[..., Any], **inputs: Any) -> Any:
    """The result of an async block that does not wait, without an event loop."""
    try:
        block(**inputs).send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("the block waits")


def _pipefunc_chain(step: Callable[..., Any]) -> Case:
    from pipefunc import PipeFunc, Pipeline

    def run(x: Any) -> Any:
        return _now(step, x=x)

    nodes = [PipeFunc(run, name, renames={"x": before}) for before, name in pairwise(["x", *CHAIN])]
    pipeline = Pipeline(nodes, validate_type_annotations=False)
    return Case("pipefunc, sync", lambda: pipeline.run(CHAIN[-1], kwargs={"x": START}))


def _pipefunc_fan_out(step: Callable[..., Any], join: Callable[..., Any]) -> Case:
    from pipefunc import PipeFunc, Pipeline

    def run(x: Any) -> Any:
        return _now(step, x=x)

    def last(**branches: Any) -> Any:
        return _now(join, xs=[branches[name] for name in BRANCHES])

    ports = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in BRANCHES]
    last.__signature__ = Signature(ports)  # type: ignore[attr-defined]
    nodes = [PipeFunc(run, "first"), PipeFunc(last, "last")]
    nodes += [PipeFunc(run, name, renames={"x": "first"}) for name in BRANCHES]
    pipeline = Pipeline(nodes, validate_type_annotations=False)
    return Case("pipefunc, sync", lambda: pipeline.run("last", kwargs={"x": START}))


def _pydantic_graph_chain(step: Callable[..., Any]) -> Case:
    from pydantic_graph import GraphBuilder

    builder = GraphBuilder(input_type=object, output_type=object)

    async def run(ctx: Any) -> object:
        return await step(x=ctx.inputs)

    places = [builder.start_node, *(builder.step(run, node_id=name) for name in CHAIN), builder.end_node]
    for before, after in pairwise(places):
        builder.add(builder.edge_from(before).to(after))
    graph = builder.build()
    return Case("pydantic-graph", lambda: graph.run(inputs=START))


def _pydantic_graph_fan_out(step: Callable[..., Any], join: Callable[..., Any]) -> Case:
    from pydantic_graph import GraphBuilder, reduce_list_append

    builder = GraphBuilder(input_type=object, output_type=object)

    async def run(ctx: Any) -> object:
        return await step(x=ctx.inputs)

    async def joined(ctx: Any) -> object:
        return await join(xs=ctx.inputs)

    first, last = builder.step(run, node_id="first"), builder.step(joined, node_id="last")
    branches = [builder.step(run, node_id=name) for name in BRANCHES]
    gathered = builder.join(reduce_list_append, initial_factory=list)
    builder.add(
        builder.edge_from(builder.start_node).to(first),
        builder.edge_from(first).to(*branches),
        builder.edge_from(*branches).to(gathered),
        builder.edge_from(gathered).to(last),
        builder.edge_from(last).to(builder.end_node),
    )
    graph = builder.build()
    return Case("pydantic-graph", lambda: graph.run(inputs=START))
