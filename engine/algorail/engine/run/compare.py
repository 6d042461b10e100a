"""Comparing values of two runs: equal, equal within a tolerance, or different and where."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far numbers may be apart: `|a - b| <= absolute + relative * |a|`."""

    relative: float = 1e-6
    absolute: float = 1e-9


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two values differ. `path` is written `hits[0].score`; empty at the top."""

    path: str
    before: Any
    after: Any
    within: bool
    """Whether it is within the tolerance."""


def differences(
    before: Any, after: Any, tolerance: Tolerance = Tolerance(), path: str = ""
) -> Iterator[Difference]:
    """Every place where two values differ, outermost first."""
    if isinstance(before, np.ndarray) or isinstance(after, np.ndarray):
        yield from _arrays(before, after, tolerance, path)
    elif isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            place = f"{path}.{key}" if path else str(key)
            if key in before and key in after:
                yield from differences(before[key], after[key], tolerance, place)
            else:
                yield Difference(place, before.get(key), after.get(key), within=False)
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        for position, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, tolerance, f"{path}[{position}]")
    elif _numbers(before, after):
        if not _same_number(before, after):
            yield Difference(path, before, after, _close(before, after, tolerance))
    elif type(before) is not type(after) or before != after:
        yield Difference(path, before, after, within=False)


def _arrays(before: Any, after: Any, tolerance: Tolerance, path: str) -> Iterator[Difference]:
    # A vector that went through JSON is a list; its values count, not its clothes.
    if not all(isinstance(one, np.ndarray | list | tuple) for one in (before, after)):
        yield Difference(path, before, after, within=False)
        return
    one, other = np.asarray(before), np.asarray(after)
    numeric = all(np.issubdtype(array.dtype, np.number) for array in (one, other))
    if one.shape != other.shape or not numeric:
        if one.shape != other.shape or not np.array_equal(one, other):
            yield Difference(path, before, after, within=False)
    elif not np.array_equal(one, other, equal_nan=True):
        within = np.allclose(other, one, rtol=tolerance.relative, atol=tolerance.absolute, equal_nan=True)
        yield Difference(path, before, after, bool(within))


def _numbers(before: Any, after: Any) -> bool:
    return all(isinstance(one, int | float) and not isinstance(one, bool) for one in (before, after))


def _same_number(before: float, after: float) -> bool:
    return before == after or (math.isnan(before) and math.isnan(after))


def _close(before: float, after: float, tolerance: Tolerance) -> bool:
    if not (math.isfinite(before) and math.isfinite(after)):
        return False
    return abs(before - after) <= tolerance.absolute + tolerance.relative * abs(before)
