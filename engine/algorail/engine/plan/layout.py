"""Places a graph in layers, for pictures: few crossings, straight long edges. Knows only names and sizes.

Source: Sugiyama, Tagawa and Toda (1981): longest-path layers, places for long edges, barycentre ordering.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

GAP = 28.0
BEND_WIDTH = 8.0
_SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are.

    Attributes:
        layers: Layer of each name, from 0.
        centres: Horizontal centre of each name.
        bends: For each edge, the horizontal places where it crosses the layers between.
        width: Width of everything.
    """

    layers: Mapping[str, int]
    centres: Mapping[str, float]
    bends: Mapping[tuple[str, str], tuple[float, ...]]
    width: float


def lay_out(widths: Mapping[str, float], edges: Sequence[tuple[str, str]]) -> Layout:
    """Places the names of `widths`, which stand in topological order."""
    layers = _layers(widths, edges)
    rows: list[list[str]] = [[] for _ in range(max(layers.values(), default=0) + 1)]
    for name in widths:
        rows[layers[name]].append(name)
    sizes = dict(widths)
    chains = {edge: _chain(edge, layers, rows, sizes) for edge in edges}
    above, below = _neighbours(chains.values())
    _untangle(rows, above, below)
    centres = _centre(rows, sizes, above, below)
    shift = min((centres[name] - sizes[name] / 2 for name in sizes), default=0.0)
    centres = {name: centre - shift for name, centre in centres.items()}
    width = max((centres[name] + sizes[name] / 2 for name in sizes), default=0.0)
    bends = {edge: tuple(centres[name] for name in chain[1:-1]) for edge, chain in chains.items()}
    return Layout(layers, {name: centres[name] for name in widths}, bends, width)


def _layers(widths: Mapping[str, float], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    sources: dict[str, list[str]] = defaultdict(list)
    for source, target in edges:
        sources[target].append(source)
    layers: dict[str, int] = {}
    for name in widths:
        layers[name] = 1 + max((layers.get(source, -1) for source in sources[name]), default=-1)
    return layers


def _chain(
    edge: tuple[str, str], layers: Mapping[str, int], rows: list[list[str]], sizes: dict[str, float]
) -> list[str]:
    """The names along an edge; on layers between its ends they are made up."""
    source, target = edge
    chain = [source]
    for layer in range(layers[source] + 1, layers[target]):
        name = f"{source} {target} {layer}"
        rows[layer].append(name)
        sizes[name] = BEND_WIDTH
        chain.append(name)
    return [*chain, target]


def _neighbours(chains: Iterable[list[str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = defaultdict(list)
    below: dict[str, list[str]] = defaultdict(list)
    for chain in chains:
        for upper, lower in pairwise(chain):
            above[lower].append(upper)
            below[upper].append(lower)
    return above, below


def _untangle(rows: list[list[str]], above: Mapping[str, list[str]], below: Mapping[str, list[str]]) -> None:
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        order = range(1, len(rows)) if downwards else range(len(rows) - 2, -1, -1)
        for index in order:
            fixed = {name: place for place, name in enumerate(rows[index - 1 if downwards else index + 1])}
            near = above if downwards else below
            own = {name: float(place) for place, name in enumerate(rows[index])}
            rows[index].sort(key=lambda name: _mean([fixed[each] for each in near[name]], own[name]))


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _centre(
    rows: list[list[str]],
    sizes: Mapping[str, float],
    above: Mapping[str, list[str]],
    below: Mapping[str, list[str]],
) -> dict[str, float]:
    centres: dict[str, float] = {}
    for row in rows:
        total = sum(sizes[name] + GAP for name in row) - GAP
        left = -total / 2
        for name in row:
            centres[name] = left + sizes[name] / 2
            left += sizes[name] + GAP
    for sweep in range(2 * _SWEEPS):
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_mean([centres[each] for each in near[name]], centres[name]) for name in row]
            centres.update(zip(row, _spread(row, wanted, sizes), strict=True))
    return centres


def _spread(row: list[str], wanted: list[float], sizes: Mapping[str, float]) -> list[float]:
    """Places near the wanted ones that keep order and distance: the mean of pushing right and left."""

    def least(first: int, second: int) -> float:
        return (sizes[row[first]] + sizes[row[second]]) / 2 + GAP

    right, left = list(wanted), list(wanted)
    for index in range(1, len(row)):
        right[index] = max(right[index], right[index - 1] + least(index - 1, index))
    for index in range(len(row) - 2, -1, -1):
        left[index] = min(left[index], left[index + 1] - least(index, index + 1))
    return [(one + other) / 2 for one, other in zip(right, left, strict=True)]
