"""Writes the lines of one node: its call, its branches, its fallback."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from algorail.engine.plan.document import Binding, Node
from algorail.engine.run.bindings import Expressions, can_fail
from algorail.engine.run.calls import Call
from algorail.engine.run.layout import Keeper
from algorail.engine.run.regions import LAZY, Region, Regions, lazy_bindings
from algorail.engine.run.source import Function, Origin

_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")


class NodeWriter:
    """Writes nodes into functions.

    Args:
        enter: Writes the units of a region at the current place.
        waits: Whether a node may wait.
        homes: The function that holds each node's variable.
        index: Position of each node in the plan.
        keeper: Keeps times and outputs; None if nothing is recorded.
    """

    def __init__(
        self,
        regions: Regions,
        expressions: Expressions,
        calls: Mapping[str, Call],
        namespace: dict[str, Any],
        *,
        index: Mapping[str, int],
        homes: Mapping[str, Function],
        keeper: Keeper | None,
        enter: Callable[[Function, Region], None],
        waits: Callable[[str], bool],
    ) -> None:
        self._regions = regions
        self._expressions = expressions
        self._calls = calls
        self._namespace = namespace
        self._index = index
        self._homes = homes
        self._keeper = keeper
        self._enter = enter
        self._waits = waits

    def write(self, function: Function, node: Node) -> None:
        """Everything from the node's start to its end."""
        origin, keeper = Origin(node.id), self._keeper
        if keeper is None:
            self._write_result(function, node)
            return
        surely = self._regions.of[node.id] is self._regions.main
        start = keeper.now(function, origin, surely=surely)
        self._write_result(function, node)
        end = keeper.now(function, origin, surely=surely)
        output = keeper.keep(f"v_{node.id}", surely=surely)
        keeper.span(node.id, start, end, output)

    def _write_result(self, function: Function, node: Node) -> None:
        if node.id in self._regions.pinned:
            function.write(f'{self._target(function, node)} = pins["{node.id}"]', Origin(node.id))
        elif node.fallback is None:
            self._write_value(function, node)
        else:
            self._write_with_fallback(function, node)

    def _target(self, function: Function, node: Node) -> str:
        return function.assigns(f"v_{node.id}", self._homes[node.id])

    def _write_with_fallback(self, function: Function, node: Node) -> None:
        with function.block("try:"):
            self._write_value(function, node)
        with function.block("except Exception as error:"):
            function.write(f"rescue(error, ctx, {self._index[node.id]})")
            self._write_branch(function, node, "fallback")

    def _write_branch(self, function: Function, node: Node, port: str) -> None:
        """Units of a branch, and the branch's value as the node's."""
        region = self._regions.branches[node.id, port]
        self._enter(function, region)
        self._assign(function, node, lazy_bindings(node)[port], port)

    def _assign(self, function: Function, node: Node, binding: Binding, port: str) -> None:
        source = self._expressions.source(binding)
        function.write(f"{self._target(function, node)} = {source}", Origin(node.id, port))

    def _write_value(self, function: Function, node: Node) -> None:
        if node.kind not in LAZY:
            self._write_call(function, node)
            return
        with ExitStack() as stack:
            if node.timeout is not None and self._waits(node.id):
                limit = self._expressions.constant(float(node.timeout))
                stack.enter_context(function.block(f"async with timeout({limit}):", Origin(node.id)))
            if node.kind == "when@1":
                self._write_when(function, node)
            elif node.kind == "switch@1":
                self._write_switch(function, node)
            else:
                self._write_first_of(function, node)

    # Calls.

    def _write_call(self, function: Function, node: Node) -> None:
        call = self._calls[node.id]
        origin = Origin(node.id)
        self._namespace[f"call_{node.id}"] = call.function
        arguments = [
            (port, self._argument(port, binding), can_fail(binding)) for port, binding in node.inputs.items()
        ]
        first = {"plain": "", "context": f'NodeContext(ctx, "{node.id}")', "engine": "ctx"}[call.wants]
        opening = f"{self._target(function, node)} = {'await ' if call.is_async else ''}call_{node.id}("
        if not any(fails for _, _, fails in arguments):
            texts = [first, *(text for _, text, _ in arguments)]
            function.write(f"{opening}{', '.join(filter(None, texts))})", origin)
            return
        # A line per argument: a failure on it is one of the binding, and names the port.
        function.write(opening + (f"{first}," if first else ""), origin)
        for port, text, fails in arguments:
            function.write(f"    {text},", Origin(node.id, port) if fails else origin)
        function.write(")", origin)

    def _argument(self, port: str, binding: Binding) -> str:
        source = self._expressions.source(binding)
        if _ARGUMENT.match(port) and not keyword.iskeyword(port):
            return f"{port}={source}"
        name = self._expressions.constant(port)
        return f"**{{{name}: {source}}}"

    # Branches.

    def _write_when(self, function: Function, node: Node) -> None:
        condition = self._expressions.source(node.inputs["condition"])
        with function.block(f"if {condition}:", Origin(node.id, "condition")):
            self._write_taken(function, node, "then")
        with function.block("else:"):
            self._write_taken(function, node, "otherwise")

    def _write_taken(self, function: Function, node: Node, port: str) -> None:
        if port in node.inputs:
            self._write_branch(function, node, port)
        else:
            function.write(f"{self._target(function, node)} = None", Origin(node.id))

    def _write_switch(self, function: Function, node: Node) -> None:
        value = f"c_{node.id}"
        source = self._expressions.source(node.inputs["value"])
        function.write(f"{value} = {source}", Origin(node.id, "value"))
        word = "if"
        for number, case in enumerate(node.config.get("cases", ())):
            literal = self._expressions.constant(case)
            with function.block(f"{word} same({value}, {literal}):", Origin(node.id)):
                self._write_taken(function, node, f"case_{number}")
            word = "elif"
        with ExitStack() as stack:
            if word == "elif":
                stack.enter_context(function.block("else:"))
            if "default" in node.inputs:
                self._write_branch(function, node, "default")
            else:
                function.write(f'no_case("{node.id}", {value})', Origin(node.id))

    def _write_first_of(self, function: Function, node: Node) -> None:
        """Options in turn, side by side in the code: nested, they would soon be too deep for CPython."""
        accept_value = node.config.get("accept", "success") == "value"
        got, lost = f"got_{node.id}", f"lost_{node.id}"
        options = [port for port in lazy_bindings(node) if port != "fallback"]
        function.write(f"{got} = {lost} = None")
        for number, port in enumerate(options):
            with ExitStack() as stack:
                if number:
                    unfit = f"v_{node.id} is None" if accept_value else f"{got} is None"
                    stack.enter_context(
                        function.block(f"if {got} is None or {unfit}:" if accept_value else f"if {unfit}:")
                    )
                with function.block("try:"):
                    self._write_branch(function, node, port)
                    function.write(f"{got} = {number}")
                with function.block("except Exception as error:"):
                    function.write(f"{lost} = passed(error, ctx)")
        with function.block(f"if {got} is None:"):
            function.write(f'no_option("{node.id}", {lost})', Origin(node.id))
