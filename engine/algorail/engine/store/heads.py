"""Rows of runs, as every record store keeps them: columns, filters, and which days a filter can touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from algorail.engine.kit.errors import NotFound
from algorail.engine.record.store import RunFilter, RunHead
from algorail.engine.store.partitions import day_of, day_of_id

COLUMNS = RunHead._fields
NUMBERS = frozenset({"version", "started_ns", "duration_ns"})
_EQUAL = ("algorithm", "status", "alias", "variant")
_DAY_NS = 24 * 3600 * 1_000_000_000


def head_of(row: Sequence[Any]) -> RunHead:
    """The head that a row holds."""
    return RunHead(*row)


def conditions(where: RunFilter, mark: str) -> tuple[str, list[Any]]:
    """The WHERE clause of a filter (names are constants, values are parameters) and its parameters."""
    equal = {name: getattr(where, name) for name in _EQUAL}
    wanted: dict[str, list[Any]] = {f"{name} = {mark}": [value] for name, value in equal.items() if value}
    if where.unit:
        wanted[f"unit IN ({mark}, {mark})"] = [where.unit, where.masked_unit or where.unit]
    if where.version is not None:
        wanted[f"version = {mark}"] = [where.version]
    if where.since_ns is not None:
        wanted[f"started_ns >= {mark}"] = [where.since_ns]
    if where.until_ns is not None:
        wanted[f"started_ns < {mark}"] = [where.until_ns]
    if where.cursor:
        wanted[f"run_id < {mark}"] = [where.cursor]
    return " AND ".join(wanted) or "1 = 1", [value for values in wanted.values() for value in values]


def days_of_filter(days: Sequence[str], where: RunFilter) -> Sequence[str]:
    """The days that can hold what a filter asks for, newest first.

    A run may start up to a day after its id was made (it waited in a queue), so one day is added before
    the earliest start asked for.
    """
    newest = day_of_id(where.cursor) if where.cursor else ""
    oldest = day_of(where.since_ns - _DAY_NS) if where.since_ns is not None else ""
    last = day_of(where.until_ns) if where.until_ns is not None else ""
    ends = [day for day in (newest, last) if day]
    return [day for day in reversed(days) if day >= oldest and all(day <= end for end in ends)]


def no_run(run_id: str) -> NotFound:
    """The error for a run that is not there."""
    return NotFound(
        f"there is no run {run_id!r} on record",
        code="run-not-found",
        cure="it may be older than the record keeps, not recorded (mode, sampling), or not written yet",
    )


__all__ = ["COLUMNS", "NUMBERS", "conditions", "days_of_filter", "head_of", "no_run"]
