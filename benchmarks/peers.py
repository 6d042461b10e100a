"""The same trivial graphs in other libraries, those of them that are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, TypedDict

from benchmarks.harness import Case


def peers_of_chain(step: Callable[..., Any]) -> list[Case]:
    """A chain of six."""
    return list(_installed({"langgraph": _langgraph_chain, "hamilton": _hamilton_chain}, step))


def peers_of_fan_out(step: Callable[..., Any], join: Callable[..., Any]) -> list[Case]:
    """One, eight, one."""
    return list(_installed({"langgraph": _langgraph_fan_out, "hamilton": _hamilton_fan_out}, step, join))


def _installed(makers: dict[str, Callable[..., Case]], *blocks: Callable[..., Any]) -> Iterator[Case]:
    for module, make in makers.items():
        if find_spec(module) is not None:
            yield make(*blocks)


def _langgraph_chain(step: Callable[..., Any]) -> Case:
    from langgraph.graph import END, START, StateGraph

    State = TypedDict("State", {"x": Any})  # noqa: UP013
    graph = StateGraph(State)

    async def run(state: Any) -> Any:
        return {"x": await step(x=state["x"])}

    names = [f"n{position}" for position in range(6)]
    for name in names:
        graph.add_node(name, run)
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    app = graph.compile()
    return Case("LangGraph", lambda: app.ainvoke({"x": {"id": "a", "score": 1}}))


def _langgraph_fan_out(step: Callable[..., Any], join: Callable[..., Any]) -> Case:
    import operator
    from typing import Annotated

    from langgraph.graph import END, START, StateGraph

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
    graph.add_edge(START, "first")
    for position in range(8):
        graph.add_node(f"b{position}", branch)
        graph.add_edge("first", f"b{position}")
        graph.add_edge(f"b{position}", "last")
    graph.add_edge("last", END)
    app = graph.compile()
    return Case("LangGraph", lambda: app.ainvoke({"x": {"id": "a", "score": 1}}))


def _hamilton_module(lines: list[str], names: dict[str, Any]) -> Any:
    from hamilton import ad_hoc_utils

    functions: dict[str, Any] = dict(names)
    exec("\n".join(lines), functions)
    found = [functions[line.split("def ")[1].split("(")[0]] for line in lines if "def " in line]
    return ad_hoc_utils.create_temporary_module(*found)


def _hamilton_case(lines: list[str], names: dict[str, Any], last: str) -> Case:
    from hamilton.async_driver import AsyncDriver

    driver = AsyncDriver({}, _hamilton_module(lines, names))
    return Case("Hamilton", lambda: driver.execute([last], inputs={"x": {"id": "a", "score": 1}}))


def _hamilton_chain(step: Callable[..., Any]) -> Case:
    names = ["x", *(f"n{i}" for i in range(6))]
    lines = [
        f"async def {name}({before}: object) -> object: return await step(x={before})"
        for before, name in pairwise(names)
    ]
    return _hamilton_case(lines, {"step": step}, "n5")


def _hamilton_fan_out(step: Callable[..., Any], join: Callable[..., Any]) -> Case:
    lines = ["async def first(x: object) -> object: return await step(x=x)"]
    lines += [f"async def b{i}(first: object) -> object: return await step(x=first)" for i in range(8)]
    names = ", ".join(f"b{i}" for i in range(8))
    ports = ", ".join(f"b{i}: object" for i in range(8))
    lines.append(f"async def last({ports}) -> object: return await join(xs=[{names}])")
    return _hamilton_case(lines, {"step": step, "join": join}, "last")
