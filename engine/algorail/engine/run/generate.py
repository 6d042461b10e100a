"""Writes the coroutine of a plan: one line per block where it can, tasks only where blocks really overlap.

Generated names: `i_NAME` inputs, `v_ID` outputs, `call_ID` blocks, `k_N` constants, `t_ID` tasks, `at_N`
readings of the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from algorail.engine.plan.document import Plan
from algorail.engine.run.bindings import Expressions
from algorail.engine.run.calls import Call
from algorail.engine.run.layout import Keeper, Layout
from algorail.engine.run.nodes import NodeWriter
from algorail.engine.run.regions import LAZY, Region, Regions, eager_bindings, lazy_bindings
from algorail.engine.run.schedule import END, Fibre, batches, schedule
from algorail.engine.run.source import Function, Line, Origin

PULL = "*"
"""Marks the unit that pulls a shared node into a region."""


@dataclass(frozen=True, slots=True)
class Written:
    """Generated code and how to read it.

    Attributes:
        needed: Nodes that some course of events may need.
        layout: What it keeps of a run.
    """

    lines: list[Line]
    needed: frozenset[str]
    layout: Layout


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
        self._regions = Regions(plan, pinned)
        self._index = {node.id: index for index, node in enumerate(plan.nodes)}
        self._expressions = Expressions(namespace, self._index)
        self._main = Function("async def run(inputs, ctx):")
        self._keeper = Keeper(self._main) if record else None
        # What is kept must be within reach when the run ends.
        self._homes = dict.fromkeys(self._index, self._main) if record else {}
        self._nodes = NodeWriter(
            self._regions,
            self._expressions,
            calls,
            namespace,
            index=self._index,
            homes=self._homes,
            keeper=self._keeper,
            enter=self._write_region,
            waits=self._is_async,
        )
        self._waits: dict[str, bool] = {}
        self._scopes = 0

    def write(self) -> Written:
        """The source lines of `run(inputs, ctx)`."""
        main, layout = self._main, Layout()
        if self._regions.pinned:
            main.write("pins = ctx.overrides")
        if self._regions.pulled:
            main.write("shared = Shared()")
        with main.block("try:"):
            self._read_inputs(main)
            if self._keeper is None:
                self._write_region(main, self._regions.main)
                main.write(f"return {self._expressions.source(self._plan.result)}", Origin("", "result"))
            else:
                layout = self._write_kept(main, self._keeper)
        with main.block("except BaseException as error:"):
            main.write(f"fail(error, ctx{', locals()' if layout.names else ''})")
            main.write("raise")
        if self._regions.pulled:
            with main.block("finally:"):
                main.write("await shared.close()")
        return Written(list(main.render()), frozenset(self._regions.of), layout)

    def _write_kept(self, main: Function, keeper: Keeper) -> Layout:
        started = keeper.now(main, Origin())
        self._write_region(main, self._regions.main)
        ended = keeper.now(main, Origin())
        main.write(f"result = {self._expressions.source(self._plan.result)}", Origin("", "result"))
        layout = keeper.hand_over(started, ended, "result")
        main.write("return result")
        return layout

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
        scope, reading = f"scope_{self._scopes}", function.reading
        function.write(f"{scope} = Scope()")
        with function.block("try:"):
            # Making a scope, and leaving it, takes no time worth telling.
            function.reading = reading
            tails = {fibre.tail for fibre in tasks}
            for batch in batches(fibres):
                if batch[0].inline:
                    self._write_units(function, batch[0], tails)
                else:
                    self._write_tasks(function, batch, tails, scope)
            reading = function.reading
        with function.block("except BaseException as error:"):
            function.write(f"raise await {scope}.abort(error)")
        function.reading = reading

    def _write_tasks(
        self, function: Function, batch: list[Fibre], tasks: AbstractSet[str], scope: str
    ) -> None:
        names = [_plain(fibre.tail) for fibre in batch]
        for name, fibre in zip(names, batch, strict=True):
            self._write_units(function.nest(f"async def fibre_{name}():"), fibre, tasks)
        started = "".join(f"t_{name}, " for name in names)
        function.write(f"{started}= {scope}.start({', '.join(f'fibre_{name}' for name in names)})")

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
        home = self._homes.setdefault(region.owner, function)
        home.shared[f"v_{region.owner}"] = None
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
