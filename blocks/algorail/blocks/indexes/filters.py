"""Filters on payload fields: the configuration, the values of a call, and the rows they leave."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
import numpy as np

from algorail.blocks.indexes.columns import OPERATORS, Column, Positions, Scalar
from algorail.blocks.indexes.native import faiss
from algorail.engine.kit.errors import InvalidInput, Problem

_KEPT = 64
_KEPT_ROWS = 4_000_000


class FromPort(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The value comes with the call, through an input port of this name.

    Attributes:
        port: Name of the port.
        optional: Whether null means "no such condition"; otherwise null is refused.
    """

    port: str
    optional: bool = False


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a payload field must fulfil: every operator that is given. A row without the field never does."""

    eq: Scalar | FromPort | None = None
    in_: list[Scalar] | FromPort | None = msgspec.field(name="in", default=None)
    ge: Scalar | FromPort | None = None
    gt: Scalar | FromPort | None = None
    le: Scalar | FromPort | None = None
    lt: Scalar | FromPort | None = None

    def parts(self) -> Iterator[tuple[str, Any]]:
        """(operator, value) of those that are given."""
        for operator in OPERATORS:
            value = getattr(self, "in_" if operator == "in" else operator)
            if value is not None:
                yield operator, value


class Clause(NamedTuple):
    """One comparison with its value at hand. A list of values is a tuple."""

    field: str
    operator: str
    value: Any


def clauses(conditions: Mapping[str, Condition], values: Mapping[str, Any]) -> tuple[Clause, ...]:
    """The comparisons of a call.

    Args:
        conditions: By payload field, from the configuration.
        values: By port, from the call.

    Raises:
        InvalidInput: `filter-invalid`, if a value is missing or not of the right shape.
    """
    found = []
    for name, condition in conditions.items():
        for operator, given in condition.parts():
            value = given
            if isinstance(given, FromPort):
                value = values.get(given.port)
                if value is None and given.optional:
                    continue
            found.append(Clause(name, operator, _checked(name, operator, value)))
    return tuple(found)


def _checked(name: str, operator: str, value: Any) -> Any:
    many = operator == "in"
    if many and isinstance(value, list | tuple) and all(isinstance(item, Scalar) for item in value):
        return tuple(value)
    if not many and isinstance(value, Scalar):
        return value
    expected = "a list of plain values" if many else "text, a number or a boolean"
    raise InvalidInput(
        f"the filter {name!r} {operator!r} got {value!r}",
        code="filter-invalid",
        problems=[
            Problem(code="filter-invalid", message=f"must be {expected}", port=name, got=repr(value)[:80])
        ],
    )


@dataclass(slots=True)
class _Cache:
    """The last selections by their clauses: services filter by the same few values again and again."""

    limit: int
    items: OrderedDict[Any, Selection] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Any) -> Selection | None:
        with self.lock:
            if key in self.items:
                self.items.move_to_end(key)
            return self.items.get(key)

    def put(self, key: Any, selection: Selection) -> None:
        with self.lock:
            self.items[key] = selection
            if len(self.items) > self.limit:
                self.items.popitem(last=False)


class Selection:
    """The rows that a filter leaves.

    Args:
        rows: Their positions in the index.
        total: Rows of the index.
    """

    def __init__(self, rows: Positions, total: int) -> None:
        self.count = len(rows)
        self.share = len(rows) / total
        self._rows = rows
        self._total = total

    @cached_property
    def listed(self) -> Any:
        """As a list of positions: FAISS then touches only these."""
        return faiss().IDSelectorArray(self._rows.astype(np.int64))

    @cached_property
    def bitmap(self) -> Any:
        """As one bit per row: FAISS asks for every row it meets."""
        mask = np.zeros(self._total, dtype=np.bool_)
        mask[self._rows] = True
        return faiss().IDSelectorBitmap(np.packbits(mask, bitorder="little"))


class PayloadIndex:
    """The filterable fields of a loaded index.

    Args:
        columns: By payload field.
        total: Rows of the index.
    """

    def __init__(self, columns: Mapping[str, Column], total: int) -> None:
        self._columns = columns
        self._total = total
        self._cache = _Cache(limit=max(1, min(_KEPT, _KEPT_ROWS // total)))

    def select(self, wanted: tuple[Clause, ...]) -> Selection:
        """The rows for which every comparison holds.

        Raises:
            InvalidInput: `filter-invalid`, if a field is not filterable or a value of another class.
        """
        # True, 1 and 1.0 are one dictionary key; the class keeps a bad comparison from a good one's rows.
        key = tuple((clause, _classes(clause.value)) for clause in wanted)
        selection = self._cache.get(key)
        if selection is None:
            selection = Selection(self._intersection(wanted), self._total)
            self._cache.put(key, selection)
        return selection

    def _intersection(self, wanted: tuple[Clause, ...]) -> Positions:
        parts = sorted((self._rows(clause) for clause in wanted), key=len)
        if len(parts) == 1:
            return parts[0]
        counts = np.zeros(self._total, dtype=np.int32)
        for number, rows in enumerate(parts):
            inside = rows[counts[rows] == number]
            counts[inside] += 1
        return np.flatnonzero(counts == len(parts)).astype(np.int32)

    def _rows(self, clause: Clause) -> Positions:
        column = self._columns.get(clause.field)
        if column is None:
            raise InvalidInput(
                f"the index cannot filter by {clause.field!r}",
                code="filter-invalid",
                cure=f"filterable are {sorted(self._columns)}; others must be named when the index is built",
            )
        return column.rows(clause.operator, clause.value)


def _classes(value: Any) -> tuple[type, ...]:
    return tuple(type(item) for item in (value if isinstance(value, tuple) else (value,)))
