"""The measured numbers of the README, from the committed results of `make bench`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from docs.reference.codes import ROOT
from docs.reference.markdown import cell, page, table

_OTHER_PYTHONS = ("engine-py311", "engine-py313")
"""On the page, not in the README, which shows one Python."""
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- numbers: made by `make docs` -->", "<!-- end of numbers -->"


def within(readme: str) -> str:
    """The README with its numbers up to date; as it is where it has no place for them."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        return readme
    return f"{head}{BEGIN}\n{_measured()}\n{END}{tail}"


def text() -> str:
    """The page with every figure that has a budget."""
    parts = []
    for name, result in _results().items():
        machine = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
        parts += [f"## {name}", f"`{_command(name)}`; {machine}.", _table(_timings(result))]
        facts = [row for row in result.get("facts", []) if row.get("budget") is not None]
        if facts:
            parts.append(table(("figure", "value", "budget"), map(_fact, facts)))
    return page(
        "Measured",
        "Everything with a budget, from `benchmarks/results/`, as `make bench` left it. A ratio is against a "
        "floor that was measured in turns with it on the same machine; a missed budget says so.",
        *parts,
    )


def _results() -> dict[str, dict[str, Any]]:
    files = sorted(RESULTS.glob("*.json"))
    return {file.stem: json.loads(file.read_text("utf-8")) for file in files if "-peers" not in file.stem}


def _command(name: str) -> str:
    """What makes the result: a label behind the suite's name says where it was measured."""
    suite, _, label = name.partition("-")
    return f"python -m benchmarks {suite}" + (f" --label {label}" if label else "")


def _measured() -> str:
    """For the README: each suite's first figure, and how many of its budgets are met."""
    rows = []
    for name, result in _results().items():
        timings = list(_timings(result))
        if timings and name not in _OTHER_PYTHONS:
            title, floor, timing = timings[0]
            met = sum(one["ratio"] <= one["budget"] for _, _, one in timings)
            what = cell(f"{title}: {timing['name']} / {floor}")
            rows.append(
                (name, what, f"{timing['ratio']:.2f}", f"{timing['budget']:g}", f"{met} of {len(timings)}")
            )
    return table(("suite", "for example", "ratio", "budget", "budgets met"), rows)


def _timings(result: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Title, floor and timing of everything that has a budget."""
    for comparison in result["comparisons"]:
        floor = comparison["timings"][0]["name"]
        for timing in comparison["timings"]:
            if timing.get("budget") is not None:
                yield comparison["title"], floor, timing


def _table(timings: Iterable[tuple[str, str, dict[str, Any]]]) -> str:
    rows = [
        (
            cell(f"{title}: {timing['name']}"),
            cell(floor),
            f"{timing['wall_us']:,.1f} µs",
            f"{timing['ratio']:.2f}",
            f"{timing['budget']:g}" + ("" if timing["ratio"] <= timing["budget"] else " (missed)"),
        )
        for title, floor, timing in timings
    ]
    return table(("measured", "against", "time", "ratio", "budget"), rows)


def _fact(fact: dict[str, Any]) -> tuple[str, str, str]:
    value, budget = fact["value"], fact["budget"]
    met = value <= budget if fact.get("better") == "lower" else value >= budget
    unit = fact.get("unit", "")
    return (
        cell(f"{fact['title']}: {fact['name']}"),
        f"{value:,.4g} {unit}",
        f"{budget:g}" + ("" if met else " (missed)"),
    )
