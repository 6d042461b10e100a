"""A plan as a picture: Mermaid text for documents, a self-contained SVG for notebooks and browsers.

Its colours stand on light and on dark ground. Nothing of a plan reaches the markup without being escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from itertools import pairwise

from algorail.engine.plan.document import Binding, Node, Plan, refs
from algorail.engine.plan.layout import Layout, lay_out
from algorail.engine.plan.order import topological
from algorail.engine.plan.types import describe

_LINE = 96.0
"""From one layer to the next, pixels."""
_BOX = 44.0
_MARGIN = 24.0
_CHARACTER = 7.4
_RESULT = " result"
"""Name of the last box; no node can have it."""

_STYLES = {
    "input": ("#dbe7f5", "#5b7fa8", "#1c2f45"),
    "block": ("#f4f5f7", "#8a94a3", "#232a33"),
    "control": ("#fbeccd", "#c08a2d", "#4a3510"),
    "algorithm": ("#e6e0f5", "#7c68b5", "#2e2352"),
    "result": ("#d9efe0", "#4f9a6b", "#173a25"),
}
"""Fill, border and text of each role."""
_CONTROL = frozenset({"when", "switch", "first_of", "each"})
_GREY = "#8a94a3"


def mermaid(plan: Plan) -> str:
    """The plan as a Mermaid flowchart."""
    lines = ["flowchart TD"]
    names = {name: f"i{index}" for index, name in enumerate(plan.inputs)}
    names |= {node.id: f"n{index}" for index, node in enumerate(plan.nodes)}
    for name, item in plan.inputs.items():
        kind = _quoted(describe(item.type))
        lines.append(f'    {names[name]}(["{_quoted(name)}<br/><small>{kind}</small>"]):::input')
    for node in plan.nodes:
        opening, closing = ("{{", "}}") if _role(node) == "control" else ("[", "]")
        label = f"{_quoted(node.id)}<br/><small>{_quoted(_subtitle(node))}</small>"
        lines.append(f'    {names[node.id]}{opening}"{label}"{closing}:::{_role(node)}')
    lines.append('    result(["result"]):::result')
    for source, target, label, lazy in _edges(plan):
        arrow = "-.->" if lazy else "-->"
        text = f'|"{_quoted(label)}"|' if label else ""
        lines.append(f"    {names[source]} {arrow}{text} {names.get(target, 'result')}")
    for role, (fill, border, text) in _STYLES.items():
        lines.append(f"    classDef {role} fill:{fill},stroke:{border},color:{text}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Text inside a Mermaid label: everything that could end it or mean something is written as an entity."""
    return re.sub(r"[^\w .,\[\]?@/-]", lambda found: f"#{ord(found[0])};", text, flags=re.ASCII)


def _role(node: Node) -> str:
    kind = node.kind.partition("@")[0]
    if kind == "sub_algorithm":
        return "algorithm"
    return "control" if kind in _CONTROL else "block"


def _subtitle(node: Node) -> str:
    kind = node.kind.partition("@")[0]
    if kind == "sub_algorithm":
        return f"algorithm {node.config.get('algorithm', '?')} {node.config.get('version', '')}".strip()
    return f"each {str(node.config.get('kind', '?')).partition('@')[0]}" if kind == "each" else kind


def _edges(plan: Plan) -> Iterator[tuple[str, str, str, bool]]:
    """Source, target, label, and whether it is pulled only when needed."""
    known = {*plan.inputs, *(node.id for node in plan.nodes)}
    for node in plan.nodes:
        chooses = _role(node) == "control" and not node.kind.startswith("each@")
        for port, binding in node.inputs.items():
            lazy = chooses and port not in {"condition", "value"}
            yield from _links(binding, node.id, _port_label(node, port) if chooses else "", lazy, known)
        if node.fallback is not None:
            yield from _links(node.fallback, node.id, "fallback", True, known)
    yield from _links(plan.result, _RESULT, "", False, known)


def _links(
    binding: Binding, target: str, label: str, lazy: bool, known: set[str]
) -> Iterator[tuple[str, str, str, bool]]:
    for name in dict.fromkeys(ref.ref for ref in refs(binding)):
        if name in known:
            yield name, target, label, lazy


def _port_label(node: Node, port: str) -> str:
    cases = node.config.get("cases")
    index = port.removeprefix("case_")
    if port.startswith("case_") and isinstance(cases, list) and index.isdecimal() and int(index) < len(cases):
        return str(cases[int(index)])
    return "" if port in {"condition", "value"} else port


def svg(plan: Plan) -> str:
    """The plan as a self-contained SVG, transparent behind its boxes.

    Raises:
        PlanInvalid: If there is a cycle, which has no layers.
    """
    nodes = {node.id: node for node in topological(plan)}
    labels = {name: (name, describe(item.type)) for name, item in plan.inputs.items()}
    labels |= {name: (name, _subtitle(node)) for name, node in nodes.items()}
    labels[_RESULT] = ("result", describe(plan.output))
    labels = {name: (_cut(title), _cut(subtitle)) for name, (title, subtitle) in labels.items()}
    widths = {name: max(80.0, 26 + _CHARACTER * max(map(len, pair))) for name, pair in labels.items()}
    edges = _merged(plan)
    layout = lay_out(widths, list(edges))
    roles = {**dict.fromkeys(plan.inputs, "input"), **{name: _role(node) for name, node in nodes.items()}}
    roles[_RESULT] = "result"
    arrivals = _arrivals(layout, list(edges), widths)
    body = [_edge(layout, edge, arrivals[edge], *edges[edge]) for edge in edges]
    body += [_box(layout, name, widths[name], labels[name], roles[name]) for name in widths]
    height = max(layout.layers.values()) * _LINE + _BOX + 2 * _MARGIN
    return _document(plan.name, layout.width + 2 * _MARGIN, height, "".join(body))


def _document(name: str, width: float, height: float, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(name)}" '
        'font-family="ui-sans-serif, system-ui, Helvetica, Arial, sans-serif" text-anchor="middle">'
        f"<title>{escape(name)}</title>{_ARROW}{body}</svg>"
    )


def _merged(plan: Plan) -> dict[tuple[str, str], tuple[str, bool]]:
    """One line for all links from one box to another: its labels together, dashed if all of them are lazy."""
    found: dict[tuple[str, str], tuple[str, bool]] = {}
    for source, target, label, lazy in _edges(plan):
        labels, all_lazy = found.get((source, target), ("", True))
        found[source, target] = (", ".join(filter(None, (labels, label))), all_lazy and lazy)
    return found


def _arrivals(
    layout: Layout, edges: list[tuple[str, str]], widths: dict[str, float]
) -> dict[tuple[str, str], tuple[float, int]]:
    """Where each line ends: side by side on top of its target, with its rank there."""
    by_target: dict[str, list[tuple[str, str]]] = {}
    for edge in edges:
        by_target.setdefault(edge[1], []).append(edge)
    found: dict[tuple[str, str], tuple[float, int]] = {}
    for target, group in by_target.items():
        group.sort(key=lambda edge: (layout.bends[edge] or (layout.centres[edge[0]],))[-1])
        step = min(22.0, (widths[target] - 24) / len(group))
        for rank, edge in enumerate(group):
            found[edge] = (layout.centres[target] + (rank - (len(group) - 1) / 2) * step, rank)
    return found


_ARROW = (
    '<defs><marker id="algorail-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    f'orient="auto"><path d="M0 0 8 4 0 8z" fill="{_GREY}"/></marker></defs>'
)


def _cut(text: str, limit: int = 30) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _top(layer: int) -> float:
    return _MARGIN + layer * _LINE


def _edge(layout: Layout, edge: tuple[str, str], arrival: tuple[float, int], label: str, lazy: bool) -> str:
    start, end = (layout.layers[name] for name in edge)
    points = [(layout.centres[edge[0]] + _MARGIN, _top(start) + _BOX)]
    for offset, bend in enumerate(layout.bends[edge], 1):
        points += [(bend + _MARGIN, _top(start + offset)), (bend + _MARGIN, _top(start + offset) + _BOX)]
    points.append((arrival[0] + _MARGIN, _top(end) - 2))
    dashes = ' stroke-dasharray="5 4"' if lazy else ""
    line = f'<path d="{_curve(points)}" fill="none" stroke="{_GREY}" stroke-width="1.5"{dashes} '
    text = _edge_label(points, label, arrival[1]) if label else ""
    return f'{line}marker-end="url(#algorail-arrow)"/>{text}'


def _curve(points: list[tuple[float, float]]) -> str:
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x, y), (to_x, to_y) in pairwise(points):
        middle = (y + to_y) / 2
        path += f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
    return path


def _edge_label(points: list[tuple[float, float]], label: str, rank: int) -> str:
    """On the last stretch of the line, neighbours at different heights, on a plate so that it can be read."""
    (from_x, from_y), (to_x, to_y) = points[-2:]
    share = 0.32 if rank % 2 else 0.66
    x, y = to_x + (from_x - to_x) * share, to_y + (from_y - to_y) * share
    text = _cut(label, 20)
    width = 10 + 6.2 * len(text)
    plate = f'x="{x - width / 2:.1f}" y="{y - 8:.1f}" width="{width:.1f}" height="16"'
    return (
        f'<rect {plate} rx="8" fill="#6b7686"/>'
        f'<text x="{x:.1f}" y="{y + 3.5:.1f}" font-size="10.5" fill="#ffffff">{escape(text)}</text>'
    )


def _box(layout: Layout, name: str, width: float, label: tuple[str, str], role: str) -> str:
    fill, border, ink = _STYLES[role]
    centre, top = layout.centres[name] + _MARGIN, _top(layout.layers[name])
    left, radius = centre - width / 2, 22 if role in {"input", "result"} else 8
    if role == "control":
        tip, right, bottom, middle = 12, left + width, top + _BOX, top + _BOX / 2
        upper = f"{left - tip},{middle} {left},{top} {right},{top}"
        points = f"{upper} {right + tip},{middle} {right},{bottom} {left},{bottom}"
        shape = f'<polygon points="{points}" fill="{fill}" stroke="{border}" stroke-width="1.5"/>'
    else:
        shape = (
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{_BOX}" rx="{radius}" '
            f'fill="{fill}" stroke="{border}" stroke-width="1.5"/>'
        )
    title, subtitle = (escape(text) for text in label)
    x = f'x="{centre:.1f}"'
    return (
        f'<g fill="{ink}">{shape}<text {x} y="{top + 19}" font-size="13" font-weight="600">{title}</text>'
        f'<text {x} y="{top + 34}" font-size="10.5" fill-opacity=".75">{subtitle}</text></g>'
    )
