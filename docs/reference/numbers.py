"""The measured numbers of the README, from the committed results of `make bench`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from docs.reference.codes import ROOT
from docs.reference.markdown import cell, table

RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- numbers: made by `make docs` -->", "<!-- end of numbers -->"


def within(readme: str) -> str:
    """The README with its numbers up to date; as it is where it has no place for them."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        return readme
    return f"{head}{BEGIN}\n{_measured()}\n{END}{tail}"


def _measured() -> str:
    rows = [
        row for file in sorted(RESULTS.glob("*.json")) for row in _rows(json.loads(file.read_text("utf-8")))
    ]
    return table(("measured against", "this", "time", "ratio", "budget"), rows)


def _rows(result: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Only what has a budget: the rest is in the results."""
    for comparison in result["comparisons"]:
        floor = comparison["timings"][0]["name"]
        for timing in comparison["timings"]:
            budget = timing.get("budget")
            if budget is not None:
                mark = "" if timing["ratio"] <= budget else " (missed)"
                yield (
                    cell(f"{comparison['title']}: {floor}"),
                    cell(timing["name"]),
                    f"{timing['wall_us']:,.4g} µs",
                    f"{timing['ratio']:.2f}",
                    f"{budget:g}{mark}",
                )
