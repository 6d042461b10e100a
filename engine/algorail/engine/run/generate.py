"""Writes the coroutine of a plan: one line per block where it can, tasks only where blocks really overlap.

Generated names: `i_NAME` inputs, `v_ID` outputs, `call_ID` blocks, `k_N` constants, `t_ID` tasks, `r` the
preallocated record (start, end, output of node i at 3i, 3i + 1, 3i + 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from algorail.engine.plan.document import Plan
from algorail.engine.run.bindings import Expressions
from algorail.engine.run.calls import Call
from algorail.engine.run.nodes import NodeWriter
from algorail.engine.run.regions import LAZY, Region, Regions, eager_bindings, lazy_bindings
from algorail.engine.run.schedule import END, Fibre, schedule
from algorail.engine.run.source import Function, Line, Origin

PULL = "*"
"""Marks the unit that pulls a shared node into a region."""


@dataclass(frozen=True, slots=True)
class Written:
    """Generated code and how to read it."""

    lines: list[Line]
    needed: frozenset[str]


class Generator:
    """One plan's code.

    Args:
        plan: The plan.
        calls: How every node that is needed is called.
        namespace: Globals of the generated module; calls and constants are added to it.
        pinned: Nodes whose value is given by the run's context.
        record: Whether values and times are kept.
    """

    def __init__(
        self,
        plan: Plan,
        calls: Mapping[str, Call],
        namespace: dict[str, Any],
        *,
        pinned: AbstractSet[str] = frozenset(),
        record: bool = True,
    ) -> None:
        self._plan = plan
        self._calls = calls
        self._namespace = namespace
        self._record = record
        self._regions = Regions(plan, pinned)
        self._index = {node.id: index for index, node in enumerate(plan.nodes)}
        self._expressions = Expressions(namespace, self._index)
        self._homes: dict[str, Function] = {}
        self._nodes = NodeWriter(
            self._regions,
            self._expressions,
            calls,
            namespace,
            index=self._index,
            homes=self._homes,
            record=record,
            enter=self._write_region,
            waits=self._is_async,
        )
        self._waits: dict[str, bool] = {}
        self._scopes = 0

    def write(self) -> Written:
        """The source lines of `run(inputs, ctx)`."""
        main = Function("async def run(inputs, ctx):")
        slots = len(self._plan.nodes) * 3
        if self._record:
            main.write("r = ctx.slots")
        if self._regions.pinned:
            main.write("pins = ctx.overrides")
        if self._regions.pulled:
            main.write("shared = Shared()")
        with main.block("try:"):
            self._read_inputs(main)
            if self._record:
                main.mark_end(slots, Origin())
            self._write_region(main, self._regions.main)
            if self._record:
                main.mark_start(slots + 1, Origin())
            result = self._expressions.source(self._plan.result)
            if self._record:
                main.write(f"r[{slots + 2}] = result = {result}", Origin("", "result"))
                result = "result"
            main.write(f"return {result}", Origin("", "result"))
        with main.block("except BaseException as error:"):
            main.write("fail(error, ctx)")
            main.write("raise")
        if self._regions.pulled:
            with main.block("finally:"):
                main.write("await shared.close()")
        return Written(list(main.render()), frozenset(self._regions.of))

    def _read_inputs(self, main: Function) -> None:
        for name, declared in self._plan.inputs.items():
            if declared.required:
                main.write(f'i_{name} = inputs["{name}"]')
            else:
                default = self._expressions.constant(declared.default)
                main.write(f'i_{name} = inputs["{name}"] if "{name}" in inputs else fresh({default})')

    # Regions and fibres.

    def _write_region(self, function: Function, region: Region) -> None:
        for pulled in region.shared:
            self._write_pull(function, pulled)
        for member in region.members:
            self._homes.setdefault(member, function)
        units = [*(PULL + node for node in self._pulls(region)), *region.members]
        units.sort(key=lambda unit: self._index[unit.removeprefix(PULL)])
        fibres = schedule(units, lambda unit: self._uses(region, unit), self._is_async)
        tasks = [fibre for fibre in fibres if not fibre.inline]
        if not tasks:
            for fibre in fibres:
                self._write_units(function, fibre, set())
            return
        self._scopes += 1
        scope = f"scope_{self._scopes}"
        function.write(f"{scope} = Scope()")
        with function.block("try:"):
            tails = {fibre.tail for fibre in tasks}
            for fibre in fibres:
                if fibre.inline:
                    self._write_units(function, fibre, tails)
                else:
                    self._write_task(function, fibre, tails, scope)
        with function.block("except BaseException as error:"):
            function.write(f"raise await {scope}.abort(error)")

    def _write_task(self, function: Function, fibre: Fibre, tasks: AbstractSet[str], scope: str) -> None:
        name = _plain(fibre.tail)
        body = function.nest(f"async def fibre_{name}():")
        self._write_units(body, fibre, tasks)
        function.write(f"t_{name} = {scope}.start(fibre_{name}())")

    def _write_units(self, function: Function, fibre: Fibre, tasks: AbstractSet[str]) -> None:
        """The fibre's units, each after the tasks that it waits for."""
        waited: set[str] = set()
        for unit in fibre.units:
            for tail in fibre.follows.get(unit, ()):
                if tail in tasks and tail not in waited:
                    waited.add(tail)
                    with function.block(f"if t_{_plain(tail)} is not None:"):
                        function.write(f"await t_{_plain(tail)}")
            if unit.startswith(PULL):
                self._write_pulling(function, unit.removeprefix(PULL))
            elif unit != END:
                self._nodes.write(function, self._regions.nodes[unit])

    def _write_pull(self, function: Function, region: Region) -> None:
        kind = "async def" if self._region_waits(region) else "def"
        self._homes[region.owner] = function
        function.shared[f"v_{region.owner}"] = None
        self._write_region(function.nest(f"{kind} pull_{region.owner}():"), region)

    def _write_pulling(self, function: Function, node: str) -> None:
        index = self._index[node]
        if self._region_waits(self._regions.pulled[node]):
            function.write(f"await shared.pull({index}, pull_{node})")
        else:
            function.write(f"shared.pull_now({index}, pull_{node})")

    def _pulls(self, region: Region) -> dict[str, None]:
        """Shared nodes that this region itself asks for."""
        links = [link for link in self._regions.links(region.finals) if link != region.owner or region.port]
        for member in region.members:
            if member not in self._regions.pinned:
                links += self._regions.links(eager_bindings(self._regions.nodes[member]).values())
        return {link: None for link in links if link in self._regions.pulled}

    def _uses(self, region: Region, unit: str) -> AbstractSet[str]:
        regions = self._regions
        if unit == END:
            found = set(regions.needs(region)) | set(regions.links(region.finals))
            found |= {PULL + link for link in self._pulls(region)}
        elif unit.startswith(PULL):
            found = set(regions.needs(regions.pulled[unit.removeprefix(PULL)]))
        else:
            found = set(regions.uses(unit))
            if unit not in regions.pinned:
                links = regions.links(eager_bindings(regions.nodes[unit]).values())
                found |= {PULL + link for link in links if link in regions.pulled}
        return found

    # What waits.

    def _is_async(self, unit: str) -> bool:
        if unit.startswith(PULL):
            return self._region_waits(self._regions.pulled[unit.removeprefix(PULL)])
        if unit not in self._waits:
            self._waits[unit] = self._node_waits(unit)
        return self._waits[unit]

    def _node_waits(self, node: str) -> bool:
        if node in self._regions.pinned:
            return False
        placed = self._regions.nodes[node]
        if placed.kind not in LAZY and self._calls[node].is_async:
            return True
        return any(self._region_waits(self._regions.branches[node, port]) for port in lazy_bindings(placed))

    def _region_waits(self, region: Region) -> bool:
        return any(map(self._is_async, region.members)) or any(
            self._region_waits(self._regions.pulled[node]) for node in self._pulls(region)
        )


def _plain(unit: str) -> str:
    """A unit's name as part of a variable."""
    return unit.replace(PULL, "shared_")
