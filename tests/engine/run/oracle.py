"""A straightforward interpreter of plans: recursive, one node at a time, no overlap. The compiler's oracle.

It shares no code with the compiler. Only what it decides is compared: output or failure, and which nodes ran.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

from algorail.engine.kind import Runner
from algorail.engine.plan.document import Binding, DictOf, ListOf, Node, Op, Plan, Ref, Value
from algorail.engine.testing.fakes import FakeKinds, FakeServices


class Failed(Exception):
    """A node failed; `node` says which."""

    def __init__(self, node: str, cause: BaseException) -> None:
        super().__init__(node)
        self.node = node
        self.cause = cause


@dataclass
class Interpreter:
    """Runs one plan once."""

    plan: Plan
    kinds: FakeKinds
    inputs: dict[str, Any]
    pinned: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, Failed] = field(default_factory=dict)
    executed: set[str] = field(default_factory=set)

    async def run(self) -> Any:
        """The result, or `Failed`."""
        return await self.evaluate(self.plan.result, "")

    async def evaluate(self, binding: Binding, node: str) -> Any:
        match binding:
            case Ref(ref=ref, path=path):
                value = self.inputs[ref] if ref in self.plan.inputs else await self.pull(ref)
                for step in path:
                    try:
                        value = value[step]
                    except (LookupError, TypeError) as error:
                        raise Failed(node, error) from error
                return value
            case Value(value=value):
                return value
            case Op(op=">", args=(left, right)):
                return await self.evaluate(left, node) > await self.evaluate(right, node)
            case ListOf(list=items):
                return [await self.evaluate(item, node) for item in items]
            case DictOf(dict=items):
                return {key: await self.evaluate(item, node) for key, item in items.items()}
        raise NotImplementedError(binding)

    async def pull(self, node_id: str) -> Any:
        if node_id in self.failures:
            raise self.failures[node_id]
        if node_id not in self.values:
            try:
                self.values[node_id] = await self.compute(self.plan.node(node_id))
            except Failed as failure:
                self.failures[node_id] = failure
                raise
        return self.values[node_id]

    async def compute(self, node: Node) -> Any:
        if node.id in self.pinned:
            self.executed.add(node.id)
            return self.pinned[node.id]
        inputs = {}
        if node.kind not in {"when@1", "switch@1", "first_of@1"}:
            # What a block needs fails the run, not the block: a fallback does not help.
            for binding in node.inputs.values():
                await self.links(binding)
        try:
            if node.kind == "when@1":
                return await self.when(node)
            if node.kind == "switch@1":
                return await self.switch(node)
            if node.kind == "first_of@1":
                return await self.first_of(node)
            self.executed.add(node.id)
            for port, binding in node.inputs.items():
                inputs[port] = await self.evaluate(binding, node.id)
            return await self.call(node, inputs)
        except Failed:
            if node.fallback is None:
                raise
            return await self.evaluate(node.fallback, node.id)

    async def links(self, binding: Binding) -> None:
        match binding:
            case Ref(ref=ref):
                if ref not in self.plan.inputs:
                    await self.pull(ref)
            case Op(args=items) | ListOf(list=items):
                for item in items:
                    await self.links(item)
            case DictOf(dict=items):
                for item in items.values():
                    await self.links(item)

    async def call(self, node: Node, inputs: dict[str, Any]) -> Any:
        runner: Runner = self.kinds.get(node.kind).build(None, FakeServices())
        try:
            result = runner.call(**inputs)
            return await result if inspect.isawaitable(result) else result
        except Exception as error:
            raise Failed(node.id, error) from error

    async def when(self, node: Node) -> Any:
        await self.links(node.inputs["condition"])
        self.executed.add(node.id)
        port = "then" if await self.evaluate(node.inputs["condition"], node.id) else "otherwise"
        return await self.evaluate(node.inputs[port], node.id) if port in node.inputs else None

    async def switch(self, node: Node) -> Any:
        await self.links(node.inputs["value"])
        self.executed.add(node.id)
        value = await self.evaluate(node.inputs["value"], node.id)
        for number, case in enumerate(node.config["cases"]):
            if type(case) is type(value) and case == value:
                return await self.evaluate(node.inputs[f"case_{number}"], node.id)
        if "default" not in node.inputs:
            raise Failed(node.id, LookupError(value))
        return await self.evaluate(node.inputs["default"], node.id)

    async def first_of(self, node: Node) -> Any:
        self.executed.add(node.id)
        wants_value = node.config.get("accept") == "value"
        found, last = False, None
        for number in range(len([port for port in node.inputs if port.startswith("option_")])):
            try:
                value = await self.evaluate(node.inputs[f"option_{number}"], node.id)
            except Failed as failure:
                last = failure
                continue
            found = True
            if value is not None or not wants_value:
                return value
        if found:
            return None
        raise Failed(node.id, last or LookupError("no option"))
