"""Weights to whole segments, and the transfers between arms that a change of weights needs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from algorail.ab_testing.assign.hashing import SEGMENTS
from algorail.engine.kit.errors import InvalidInput, Problem

Weight: TypeAlias = int | float | Decimal | Fraction

MAX_ARMS = 255
"""An arm's number is one byte of the table."""


def apportion(weights: Mapping[str, Weight]) -> dict[str, int]:
    """Segments per arm, in the order of the arms' names, exactly 10,000 in sum.

    Method of the largest remainder (Hamilton), in exact fractions; equal remainders go to the smaller name,
    so that the order of the mapping does not matter. An arm of weight 0 gets nothing.

    Raises:
        InvalidInput: If a weight is negative, not finite or not a number, all are 0, there are too many, or a
            positive one is too small for a single segment; `problems` has each.

    Example:
        >>> apportion({"b": 1, "a": 1, "c": 1})
        {'a': 3334, 'b': 3333, 'c': 3333}
    """
    exact = _checked(weights)
    total = sum(exact.values())
    quotas = {arm: exact[arm] * SEGMENTS / total for arm in sorted(exact)}
    counts = {arm: math.floor(quota) for arm, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda arm: (counts[arm] - quotas[arm], arm))
    for arm in by_remainder[: SEGMENTS - sum(counts.values())]:
        counts[arm] += 1
    _refuse([_too_small(arm) for arm in counts if exact[arm] and not counts[arm]])
    return counts


def transfers(before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[tuple[str, str, int]]:
    """The fewest segments to move from one apportionment to another: (giver, taker, how many).

    Only the surplus of shrinking arms moves, so the moved share is the lower bound `moved_share`.
    """
    arms = sorted({*before, *after})
    change = {arm: after.get(arm, 0) - before.get(arm, 0) for arm in arms}
    takers = [arm for arm in arms if change[arm] > 0]
    for giver in (arm for arm in arms if change[arm] < 0):
        while change[giver] < 0:
            taker = takers[0]
            count = min(-change[giver], change[taker])
            change[giver] += count
            change[taker] -= count
            if not change[taker]:
                takers.pop(0)
            yield giver, taker, count


def moved_share(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """The share of units that a change of segments must move at least: `0.5 · Σ|after − before|`.

    Example:
        >>> moved_share({"3": 9_000, "4": 1_000}, {"3": 5_000, "4": 5_000})
        0.4
    """
    return sum(abs(after.get(arm, 0) - before.get(arm, 0)) for arm in {*before, *after}) / 2 / SEGMENTS


def _checked(weights: Mapping[str, Weight]) -> dict[str, Fraction]:
    if not 1 <= len(weights) <= MAX_ARMS:
        raise InvalidInput(
            f"a split has {len(weights)} arms, must be between 1 and {MAX_ARMS}", code="split-invalid"
        )
    problems = [problem for arm, weight in weights.items() for problem in _weight_problems(arm, weight)]
    _refuse(problems)
    # A float's shortest text is what its author wrote: 0.1 is a tenth, not 0.1000000000000000055….
    exact = {arm: Fraction(repr(w)) if isinstance(w, float) else Fraction(w) for arm, w in weights.items()}
    if not any(exact.values()):
        raise InvalidInput(
            f"all weights are 0: {sorted(weights)}",
            code="split-invalid",
            cure="give at least one arm a weight above 0",
        )
    return exact


def _weight_problems(arm: str, weight: object) -> Iterator[Problem]:
    if not arm or not isinstance(arm, str):
        yield Problem(code="split-invalid", message=f"an arm's name is {arm!r}, must be non-empty text")
    number = isinstance(weight, int | float | Decimal | Fraction) and not isinstance(weight, bool)
    if not number or not math.isfinite(weight) or weight < 0:  # type: ignore[arg-type,operator]
        yield Problem(
            code="split-invalid",
            port=arm,
            message=f"weight == {weight!r}, must be a finite number >= 0",
            cure="weights are relative: 90 and 10, or 0.9 and 0.1",
        )


def _too_small(arm: str) -> Problem:
    return Problem(
        code="split-invalid",
        port=arm,
        message=f"the share is below 1/{SEGMENTS}, so nobody would be served",
        cure="give it a larger weight, or 0",
    )


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise InvalidInput("the weights cannot be used", code="split-invalid", problems=problems)
