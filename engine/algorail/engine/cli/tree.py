"""A recorded run as a tree: every block with its time, inputs, output and attempts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from algorail.engine.cli.output import as_size, duration

_SIGNS = {"ok": "[green]✓[/]", "failed": "[red]✗[/]", "fallback": "[yellow]↷[/]", "cached": "[cyan]≡[/]",
          "pinned": "[magenta]⌖[/]", "cancelled": "[dim]⊘[/]"}  # fmt: skip


def run_tree(record: Mapping[str, Any], *, full: bool = False) -> Tree:
    """A run as `GET /v1/runs/{id}` describes it.

    Args:
        record: The document.
        full: Wrap long values instead of cutting them at the terminal's edge.
    """
    return _Painter(full).run(record)


def shown(value: Any) -> str:
    """A recorded value as compact text; what the record does not hold in full stands in ‹angle quotes›."""
    if isinstance(value, str):
        return value
    return _text(value)


class _Painter:
    """Draws one tree.

    Args:
        full: Wrap long lines instead of cutting them.
    """

    def __init__(self, full: bool) -> None:
        self._full = full

    def run(self, record: Mapping[str, Any]) -> Tree:
        ok = record["status"] == "succeeded"
        tree = Tree(self._line(_head(record, ok)))
        tree.add(self._line(f"[dim]inputs[/]  {escape(shown(record['inputs']))}"))
        for block in sorted(record["blocks"], key=_end):
            self._block(tree, block)
        if ok:
            tree.add(self._line(f"[dim]output[/]  {escape(shown(record['output']))}"))
        else:
            tree.add(Text.from_markup(f"[red]{escape(_error(record.get('error')))}[/]"))
        return tree

    def _block(self, tree: Tree, block: Mapping[str, Any]) -> None:
        sign = _SIGNS.get(block["status"], "•")
        branch = tree.add(
            self._line(
                f"{sign} [bold]{escape(block['node'])}[/] [dim]{escape(block['kind'])}[/] "
                f"{duration(block['duration_ns'])} [dim]at {duration(block['start_ns'])}[/]"
            )
        )
        for port, value in (block.get("inputs") or {}).items():
            branch.add(self._line(f"[dim]{escape(port)} ←[/] {escape(shown(value))}"))
        for number, attempt in enumerate(block.get("attempts", []), 1):
            if attempt.get("error"):
                branch.add(self._line(f"[yellow]try {number}:[/] {escape(_error(attempt['error']))}"))
        for child in block.get("children", []):
            branch.add(self.run(child))
        if block.get("error"):
            branch.add(Text.from_markup(f"[red]{escape(_error(block['error']))}[/]"))
        else:
            branch.add(self._line(f"[dim]→[/] {escape(shown(block.get('output')))}"))

    def _line(self, markup: str) -> Text:
        line = Text.from_markup(markup)
        if not self._full:
            line.no_wrap, line.overflow = True, "ellipsis"
        return line


def _end(block: Mapping[str, Any]) -> int:
    """When it was done: what a block waited for stands before it."""
    end: int = block["start_ns"] + block["duration_ns"]
    return end


def _head(record: Mapping[str, Any], ok: bool) -> str:
    alias = f"@{record['alias']}" if record.get("alias") else ""
    reason = record.get("reason", "")
    why = " ".join(part for part in (alias, "" if alias and reason == "alias" else reason) if part)
    return (
        f"[bold]{escape(record['algorithm'])}[/] v{record['version']} "
        f"[{'green' if ok else 'red'}]{escape(record['status'])}[/] {duration(record['duration_ns'])} "
        f"[dim]{escape(record['run_id'])} {escape(why)}[/]"
    ).rstrip()


def _error(error: Mapping[str, Any] | None) -> str:
    return f"{error['code']}: {error['message']}" if error else "no reason recorded"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        if "$record" in value:
            return f"‹{_mark(value)}›"
        return "{" + ", ".join(f"{json.dumps(key)}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)


def _mark(mark: Mapping[str, Any]) -> str:
    kind = mark["$record"]
    if kind == "array":
        shape = "×".join(map(str, mark["shape"]))
        head = ", ".join(f"{item:g}" for item in mark.get("head", []))
        return f"{mark['dtype']}[{shape}] {head}, …" if head else f"{mark['dtype']}[{shape}]"
    if kind == "masked":
        return str(mark.get("sensitivity", "masked"))
    size = f" {as_size(mark['size'])}" if "size" in mark else ""
    digest = f" {mark['digest'][:12]}" if "digest" in mark else ""
    why = f" {mark['why']}" if "why" in mark else ""
    return f"{kind}{size}{digest}{why}"
