"""Finds every error code in the sources: in `code=…`, in class defaults, in arguments of helpers."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_NOT_CODES = {"value"}
"""In `plan.checkers` `code` is generated Python."""


@dataclass
class Found:
    """Where a code stands.

    Attributes:
        files: Modules that use it.
        raised: Exception classes that carry it.
    """

    files: set[str] = field(default_factory=set)
    raised: set[str] = field(default_factory=set)


@cache
def error_codes() -> dict[str, Found]:
    """Every code, by name."""
    paths = [path for path in sorted(ROOT.glob("*/algorail/**/*.py")) if "testing" not in path.parts]
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    shared = _helpers(trees.values())
    found: dict[str, Found] = defaultdict(Found)
    for path, tree in trees.items():
        for code, raised in _codes(tree, shared | _helpers([tree])):
            found[code].files.add(path.relative_to(ROOT).as_posix())
            found[code].raised |= raised
    return dict(sorted(found.items()))


def _helpers(trees: Iterable[ast.Module]) -> dict[str, int]:
    """Functions with a parameter `code`: its place among the arguments of a call, -1 without one."""
    places = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args if argument.arg not in ("self", "cls")]
                places[node.name] = names.index("code") if "code" in names else places.get(node.name, -1)
    return places


def _codes(tree: ast.Module, helpers: dict[str, int]) -> Iterator[tuple[str, set[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _name(node.func)
            values = [word.value for word in node.keywords if word.arg == "code"]
            place = helpers.get(name, -1)
            if 0 <= place < len(node.args):
                values.append(node.args[place])
            raised = {name} if name[:1].isupper() else set()
            yield from ((text, raised) for value in values for text in _texts(value))
        elif isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            values = [value for key, value in zip(keys, node.values, strict=True) if key == "code"]
            yield from ((text, set()) for value in values for text in _texts(value))
        elif isinstance(node, ast.ClassDef):
            yield from ((text, {node.name}) for value in _defaults(node) for text in _texts(value))


def _defaults(node: ast.ClassDef) -> Iterator[ast.expr]:
    for item in node.body:
        targets = [item.target] if isinstance(item, ast.AnnAssign) else getattr(item, "targets", [])
        if any(_name(target) == "code" for target in targets) and item.value is not None:
            yield item.value


def _texts(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.IfExp):
        yield from _texts(value.body)
        yield from _texts(value.orelse)
    elif isinstance(value, ast.Constant) and isinstance(value.value, str) and _CODE.match(value.value):
        yield from {value.value} - _NOT_CODES


def _name(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))
