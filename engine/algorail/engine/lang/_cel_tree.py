"""The syntax tree of a CEL expression, read from the bytes that the library serialises.

`cel-expr-python` hands out no tree, but its `serialize()` is the public protobuf message
`cel.expr.ParsedExpr` (https://github.com/google/cel-spec, `proto/cel/expr/syntax.proto`). The wire
format is simple enough that reading it here is less than a dependency on protobuf would be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["const", "ident", "select", "call", "list", "map", "loop"]

_Fields: TypeAlias = dict[int, list[int | bytes]]


_KINDS: Mapping[int, Kind] = {
    3: "const",
    4: "ident",
    5: "select",
    6: "call",
    7: "list",
    8: "map",
    9: "loop",
}
"""By their field numbers in the `oneof` of `cel.expr.Expr`."""


@dataclass(frozen=True, slots=True)
class Expr:
    """One node of the tree.

    Attributes:
        kind: What it is.
        offset: Where it stands in the text, in characters.
        name: Variable (`ident`), field (`select`) or function (`call`).
        children: Operand, arguments or elements; of a `loop` range, start, condition, step and result.
        text: The value of a string constant, None for anything else.
        test_only: A `select` inside `has(…)`.
        bound: Variables that a `loop` binds in its condition, step and result.
    """

    kind: Kind
    offset: int
    name: str = ""
    children: tuple[Expr, ...] = ()
    text: str | None = None
    test_only: bool = False
    bound: frozenset[str] = frozenset()

    def walk(self) -> Iterator[Expr]:
        """This node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def read_tree(serialized: bytes) -> Expr:
    """The tree of a serialised parsed expression (an `Any` that holds a `ParsedExpr`)."""
    parsed = _fields(_bytes(_fields(serialized), 2))
    positions = _positions(_bytes(parsed, 3))
    return _expr(_bytes(parsed, 2), positions)


def _positions(source_info: bytes) -> Mapping[int, int]:
    entries = (_fields(entry) for entry in _parts(_fields(source_info), 4))
    return {_int(entry, 1): _int(entry, 2) for entry in entries}


def _expr(data: bytes, positions: Mapping[int, int]) -> Expr:
    fields = _fields(data)
    number = next((number for number in fields if number in _KINDS), 3)
    body = _fields(_bytes(fields, number))

    def children(message: _Fields, *numbers: int) -> tuple[Expr, ...]:
        return tuple(_expr(part, positions) for number in numbers for part in _parts(message, number))

    expr = Expr(_KINDS[number], positions.get(_int(fields, 2), 0))
    match expr.kind:
        case "const":
            return replace(expr, text=_text(body, 6) if 6 in body else None)
        case "ident":
            return replace(expr, name=_text(body, 1))
        case "select":
            return replace(
                expr, name=_text(body, 2), children=children(body, 1), test_only=bool(_int(body, 3))
            )
        case "call":
            return replace(expr, name=_text(body, 2), children=children(body, 1, 3))
        case "list":
            expr = replace(expr, children=children(body, 1))
        case "map":
            pairs = (children(_fields(entry), 3, 4) for entry in _parts(body, 2))
            expr = replace(expr, children=tuple(child for pair in pairs for child in pair))
        case "loop":
            bound = frozenset(name for name in (_text(body, 1), _text(body, 3), _text(body, 8)) if name)
            expr = replace(expr, children=children(body, 2, 4, 5, 6, 7), bound=bound)
    return expr


def _fields(data: bytes) -> _Fields:
    """The fields of one protobuf message by number; numbers as int, everything else as bytes."""
    fields: _Fields = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _varint(data, at)
        else:
            if tag & 7 == 2:
                size, at = _varint(data, at)
            else:
                size = 8 if tag & 7 == 1 else 4
            value = data[at : at + size]
            at += size
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _parts(fields: _Fields, number: int) -> Iterator[bytes]:
    return (part for part in fields.get(number, ()) if isinstance(part, bytes))


def _bytes(fields: _Fields, number: int) -> bytes:
    value = fields.get(number, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def _int(fields: _Fields, number: int) -> int:
    value = fields.get(number, [0])[-1]
    return value if isinstance(value, int) else 0


def _text(fields: _Fields, number: int) -> str:
    return _bytes(fields, number).decode()
