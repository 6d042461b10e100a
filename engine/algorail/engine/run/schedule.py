"""The order of one region: what runs in line, what runs beside it, and what waits for what.

Units (nodes) that must follow one another anyway are one fibre. One path of fibres through the region runs
in line; every other fibre is a task, started as soon as the in-line path has what it needs, and waits for
its other predecessors itself. So there are no level barriers, and a region that is one chain has no task.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

END = ""
"""The unit that stands for whoever wants the region's value."""


@dataclass(slots=True, eq=False)
class Fibre:
    """Units that run one after the other.

    Attributes:
        units: Node ids in order; the last fibre of a region ends with `END`.
        before: Fibres that it waits for, without those that these wait for anyway.
        inline: Whether it runs in the region's own line.
        outside: Units of other fibres that its units follow directly.
        follows: The same by unit, as the tails of those fibres.
    """

    units: list[str]
    before: list[Fibre] = field(default_factory=list)
    inline: bool = False
    outside: set[str] = field(default_factory=set)
    follows: dict[str, list[str]] = field(default_factory=dict)

    @property
    def tail(self) -> str:
        """Its last unit, which names it."""
        return self.units[-1]


def schedule(
    members: Sequence[str], uses: Callable[[str], AbstractSet[str]], is_async: Callable[[str], bool]
) -> list[Fibre]:
    """Fibres of a region in an order in which they can be started.

    Args:
        members: Units in topological order, without `END`.
        uses: What a unit (or `END`) needs; ids outside of the region do not matter.
        is_async: Whether a unit may wait.
    """
    units = [*members, END]
    if not any(is_async(unit) for unit in members):
        return [Fibre(units, inline=True)]
    before = _reduced(units, uses)
    fibres = _fibres(units, before, is_async)
    _inline_path(fibres, is_async)
    return _start_order(fibres, is_async)


def batches(fibres: Sequence[Fibre]) -> Iterator[list[Fibre]]:
    """The same order; tasks that can be started at once stand together, what runs in line stands alone."""
    batch: list[Fibre] = []
    for fibre in fibres:
        if batch and (fibre.inline or batch[0].inline or not set(batch).isdisjoint(fibre.before)):
            yield batch
            batch = []
        batch.append(fibre)
    if batch:
        yield batch


def _reduced(units: list[str], uses: Callable[[str], AbstractSet[str]]) -> dict[str, set[str]]:
    """Direct predecessors, without those that follow from the others. Bit sets keep it quick."""
    position = {unit: index for index, unit in enumerate(units)}
    ancestors: list[int] = []
    before: dict[str, set[str]] = {}
    for unit in units:
        direct = sorted((position[use] for use in uses(unit) if use in position), reverse=True)
        seen, kept = 0, []
        for index in direct:
            if not seen >> index & 1:
                kept.append(index)
                seen |= ancestors[index] | 1 << index
        ancestors.append(seen)
        before[unit] = {units[index] for index in kept}
    return before


def _fibres(units: list[str], before: dict[str, set[str]], is_async: Callable[[str], bool]) -> list[Fibre]:
    after: dict[str, list[str]] = {unit: [] for unit in units}
    for unit in units:
        for predecessor in before[unit]:
            after[predecessor].append(unit)
    group: dict[str, Fibre] = {}
    for unit in reversed(units):
        successors = after[unit]
        follower = group[successors[0]] if len(successors) == 1 else None
        joins = len(before[unit]) > 1 and not is_async(unit) if unit != END else False
        # What leads a fibre starts when it can, so it may not stand before something else that is awaited.
        if follower is None or not (joins or follower.outside == {unit}):
            follower = Fibre([])
        follower.units.insert(0, unit)
        follower.outside = (follower.outside - {unit}) | before[unit]
        group[unit] = follower
    for unit in units:
        if group[unit].units[0] == unit:
            _end_predecessor(group[unit], group, is_async)
    fibres = list(dict.fromkeys(group[unit] for unit in units))
    position = {unit: index for index, unit in enumerate(units)}
    for fibre in fibres:
        fibre.units.sort(key=position.__getitem__)
    for fibre in fibres:
        for unit in fibre.units:
            others = {group[one]: None for one in sorted(before[unit]) if group[one] is not fibre}
            fibre.follows[unit] = [other.tail for other in others]
            fibre.before += [other for other in others if other not in fibre.before]
    return fibres


def _end_predecessor(own: Fibre, group: dict[str, Fibre], is_async: Callable[[str], bool]) -> None:
    """Units that never wait and follow one other unit need no task of their own: they end its fibre."""
    if len(own.outside) != 1 or any(unit == END or is_async(unit) for unit in own.units):
        return
    (predecessor,) = own.outside
    target = group[predecessor]
    later = target.units[target.units.index(predecessor) + 1 :]
    if not any(unit == END or is_async(unit) for unit in later):
        target.units += own.units
        group.update(dict.fromkeys(own.units, target))


def _inline_path(fibres: list[Fibre], is_async: Callable[[str], bool]) -> None:
    """Mark the path to the end that holds the most waiting units, and what never waits before it."""
    weight: dict[Fibre, int] = {}
    for fibre in _topological(fibres):
        own = sum(1 for unit in fibre.units if unit != END and is_async(unit))
        weight[fibre] = own + max((weight[one] for one in fibre.before), default=0)
        if not own and not fibre.before:
            fibre.inline = True
    step: Fibre | None = next(fibre for fibre in fibres if END in fibre.units)
    while step is not None:
        step.inline = True
        step = max(step.before, key=weight.__getitem__, default=None)


def _start_order(fibres: list[Fibre], is_async: Callable[[str], bool]) -> list[Fibre]:
    """Topological; tasks as early as possible, then what never waits, then the next step of the path."""

    def rank(fibre: Fibre) -> int:
        return (
            0
            if not fibre.inline
            else 1
            if not any(unit != END and is_async(unit) for unit in fibre.units) and not fibre.before
            else 2
        )

    missing = {fibre: len(fibre.before) for fibre in fibres}
    after: dict[Fibre, list[Fibre]] = {fibre: [] for fibre in fibres}
    for fibre in fibres:
        for predecessor in fibre.before:
            after[predecessor].append(fibre)
    order = {fibre: index for index, fibre in enumerate(fibres)}
    ready = [(rank(fibre), order[fibre]) for fibre in fibres if not missing[fibre]]
    heapq.heapify(ready)
    started: list[Fibre] = []
    while ready:
        fibre = fibres[heapq.heappop(ready)[1]]
        started.append(fibre)
        for successor in after[fibre]:
            missing[successor] -= 1
            if not missing[successor]:
                heapq.heappush(ready, (rank(successor), order[successor]))
    return started


def _topological(fibres: list[Fibre]) -> list[Fibre]:
    done: dict[Fibre, None] = {}
    for fibre in fibres:
        stack = [(fibre, iter(fibre.before))]
        while stack:
            current, rest = stack[-1]
            following = next((one for one in rest if one not in done), None)
            if following is None:
                done[current] = None
                stack.pop()
            else:
                stack.append((following, iter(following.before)))
    return list(done)
