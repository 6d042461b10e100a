"""What an expression may contain, and which variables it reads; works on the tree, before any value exists.

The limits keep the time of one evaluation in proportion to the size of its values: the library itself
stops after 10,000 rounds of loops in all, so here only what one round may cost is of interest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from algorail.engine.kit.errors import Problem
from algorail.engine.lang._cel_tree import Expr
from algorail.engine.plan.types import (
    DictType,
    FieldType,
    ListType,
    LiteralType,
    ObjectType,
    ScalarType,
    Type,
)

MAX_HEAVY_CALLS = 4
"""Calls inside loops whose cost grows with a variable from outside of the loop."""

_COMPARISONS = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_LOGIC = frozenset({"_&&_", "_||_", "!_", "_?_:_", "@not_strictly_false"})
_CHEAP = _COMPARISONS | _LOGIC | {"_[_]", "startsWith", "endsWith"}
"""Functions whose cost is bounded by their smaller or their first operand."""


@dataclass(frozen=True, slots=True)
class Path:
    """A variable, or a field inside it, such as `ranked.best`."""

    root: str
    fields: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name as CEL writes it, with dots."""
        return ".".join((self.root, *self.fields))


@dataclass(slots=True)
class Findings:
    """What a walk over a tree brings to light.

    Attributes:
        paths: What is read, as far as the types are known; `ranked.best` hides `ranked`.
        small: Paths that must be small, because a loop reads them in every round.
        problems: (offset in the text, problem), in the order of the text.
    """

    paths: dict[Path, Type] = field(default_factory=dict)
    small: set[Path] = field(default_factory=set)
    problems: list[tuple[int, Problem]] = field(default_factory=list)


def examine(tree: Expr, vars: Mapping[str, Type]) -> Findings:
    """Walk the tree and judge it."""
    walk = _Walk(vars)
    walk.visit(tree, frozenset())
    return walk.findings


class _Walk:
    def __init__(self, vars: Mapping[str, Type]) -> None:
        self.vars = vars
        self.findings = Findings()
        self.heavy_calls = 0

    def visit(self, expr: Expr, bound: frozenset[str]) -> None:
        match expr.kind:
            case "loop":
                self._loop(expr, bound)
            case "ident" | "select":
                self._read(expr, bound)
            case _:
                self._check_call(expr, bound)
                for child in expr.children:
                    self.visit(child, bound)

    def _problem(self, expr: Expr, code: str, message: str, cure: str) -> None:
        self.findings.problems.append((expr.offset, Problem(code=code, message=message, cure=cure)))

    def _check_call(self, expr: Expr, bound: frozenset[str]) -> None:
        if expr.text is not None and "\0" in expr.text:
            self._problem(expr, "cel-forbidden", "a string may not contain the character U+0000", "remove it")
        if expr.name == "matches" and expr.kind == "call" and expr.children[-1].text is None:
            cure = "write the pattern as a string in the expression"
            self._problem(expr, "cel-forbidden", "the pattern of matches() must be a constant", cure)
        if bound and self._is_heavy(expr, bound):
            self._heavy(expr, bound)

    def _is_heavy(self, expr: Expr, bound: frozenset[str]) -> bool:
        if expr.kind != "call":
            return False
        outer = [any(True for _ in self._outer(child, bound)) for child in expr.children]
        return any(outer) and (expr.name not in _CHEAP or (expr.name in _COMPARISONS and all(outer)))

    def _heavy(self, expr: Expr, bound: frozenset[str]) -> None:
        self.heavy_calls += 1
        self.findings.small.update(self._outer(expr, bound))
        if self.heavy_calls == MAX_HEAVY_CALLS + 1:
            message = f"more than {MAX_HEAVY_CALLS} calls on whole variables inside loops"
            self._problem(
                expr, "cel-forbidden", message, "move them out of the loop, or use a transform block"
            )

    def _outer(self, expr: Expr, bound: frozenset[str]) -> Iterator[Path]:
        """Paths below `expr` from outside of the loop that may be large."""
        if expr.kind in {"ident", "select"}:
            chain = self._chain(expr, bound)
            if chain is not None:
                path, port, _ = chain
                if not _is_small(port):
                    yield path
                return
        for child in expr.children:
            yield from self._outer(child, bound | expr.bound)

    def _loop(self, expr: Expr, bound: frozenset[str]) -> None:
        iterated, start, *body = expr.children
        self.visit(iterated, bound)
        if start.kind in {"list", "map"}:
            cure = "use exists(), all() or exists_one(), or a transform block"
            self._problem(expr, "cel-forbidden", "map() and filter() are not available", cure)
            return
        for part in body:
            self.visit(part, bound | expr.bound)

    def _read(self, expr: Expr, bound: frozenset[str]) -> None:
        chain = self._chain(expr, bound)
        if chain is None:
            for child in expr.children:
                self.visit(child, bound)
            return
        path, port, rest = chain
        self.findings.paths[path] = port
        if rest and isinstance(port, ObjectType) and port.closed and rest[0].name not in port.fields:
            self._no_field(rest[0], path, port)

    def _no_field(self, expr: Expr, path: Path, port: ObjectType) -> None:
        message = f"{path.name} has no field {expr.name!r}"
        self._problem(expr, "cel-undefined", message, suggest(expr.name, list(port.fields)))

    def _chain(self, expr: Expr, bound: frozenset[str]) -> tuple[Path, Type, Sequence[Expr]] | None:
        """The typed beginning of `a.b.c`, its type, and the selects that go on from it."""
        selects: list[Expr] = []
        while expr.kind == "select":
            selects.append(expr)
            expr = expr.children[0]
        if expr.kind != "ident" or expr.name in bound or expr.name not in self.vars:
            return None
        selects.reverse()
        port, fields = self.vars[expr.name], list[str]()
        for select in selects:
            # has(a.b) must see the whole of a, and an optional field is looked up where it may be missing.
            if select.test_only or not isinstance(port, ObjectType) or select.name not in port.fields:
                break
            if not port.fields[select.name].required:
                break
            port = port.fields[select.name].type
            fields.append(select.name)
        return Path(expr.name, tuple(fields)), port, selects[len(fields) :]


def known_type(expr: Expr, vars: Mapping[str, Type]) -> Type | None:
    """The port type of a variable, a field or an item, which says more than the types of CEL; else None."""
    if expr.kind == "ident":
        return vars.get(expr.name)
    if expr.kind == "select" or (expr.kind == "call" and expr.name == "_[_]"):
        match known_type(expr.children[0], vars):
            case ObjectType(fields=fields) if expr.name in fields and not expr.test_only:
                return fields[expr.name].type
            case ListType(item=item) if expr.kind == "call":
                return item
            case DictType(value=value) if not expr.test_only:
                return value
    return None


def _is_small(port: Type) -> bool:
    match port:
        case ScalarType(name=name):
            return name in {"null", "boolean", "integer", "number"}
        case LiteralType() | FieldType(name="secret"):
            return True
        case _:
            return False


def suggest(name: str, choices: Sequence[str]) -> str:
    """A cure for a misspelt name: the nearest choice, or all of them."""
    if near := get_close_matches(name, choices, n=1):
        return f"did you mean {near[0]!r}?"
    return f"there is: {', '.join(sorted(choices))}" if choices else "there are no variables here"
