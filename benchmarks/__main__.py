"""`python -m benchmarks [SUITE …] [--peers] [--rounds N]`: measure, print a table, keep the figures.

Suites are the modules `benchmarks/suite_*.py`; without a name all of them run. Results go to
`benchmarks/results/NAME.json` (with `--label LABEL`: `NAME-LABEL.json`).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.harness import ROUNDS, Bench

HERE = Path(__file__).parent
PACKAGES = (
    "algorail", "faiss-cpu", "fastapi", "haystack-ai", "httptools", "langgraph", "msgspec", "numpy",
    "orjson", "pipefunc", "pydantic", "pydantic-graph", "sf-hamilton", "sqlalchemy", "starlette",
    "uvicorn", "uvloop", "zstandard",
)  # fmt: skip


def main() -> None:
    """Run the suites that were asked for, one after the other."""
    suites = sorted(path.stem.removeprefix("suite_") for path in HERE.glob("suite_*.py"))
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(suites)}; default: all")
    parser.add_argument("--peers", action="store_true", help="measure other libraries too, where installed")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="samples per case (default %(default)s)")
    parser.add_argument("--label", default="", help="suffix of the result files, such as py312")
    options = parser.parse_args()
    if unknown := sorted(set(options.suites) - set(suites)):
        parser.error(f"no suite {', '.join(unknown)}; there are: {', '.join(suites)}")
    console = Console()
    for name in options.suites or suites:
        bench = Bench(peers=options.peers, rounds=options.rounds)
        console.rule(f"[bold]{name}")
        asyncio.run(importlib.import_module(f"benchmarks.suite_{name}").suite(bench))
        show(bench, console)
        file = HERE / "results" / (f"{name}-{options.label}.json" if options.label else f"{name}.json")
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(bench.as_dict(PACKAGES), indent=2) + "\n")
        console.print(f"figures kept in benchmarks/results/{file.name}")


def show(bench: Bench, console: Console) -> None:
    """Print what was measured."""
    for comparison in bench.comparisons:
        table = Table(title=comparison.title, title_justify="left")
        for column in ("", "wall µs", "cpu µs", f"ratio ({comparison.by})", "budget", ""):
            table.add_column(column, justify="left" if not column else "right")
        for timing in comparison.timings:
            good = None if timing.budget is None else timing.ratio <= timing.budget
            table.add_row(
                timing.name, f"{timing.wall_us:,.2f}", f"{timing.cpu_us:,.2f}", f"{timing.ratio:.2f}",
                "" if timing.budget is None else f"≤ {timing.budget:g}", _verdict(good),
            )  # fmt: skip
        console.print(table)
    if bench.facts:
        table = Table(title="figures", title_justify="left")
        for column in ("", "value", "budget", ""):
            table.add_column(column, justify="right" if column else "left")
        for fact in bench.facts:
            sign = "≤" if fact.better == "lower" else "≥"
            budget = "" if fact.budget is None else f"{sign} {fact.budget:,g} {fact.unit}"
            table.add_row(
                f"{fact.title}: {fact.name}", f"{fact.value:,.6g} {fact.unit}", budget, _verdict(fact.good)
            )
        console.print(table)


def _verdict(good: bool | None) -> str:
    return "" if good is None else "[green]ok[/]" if good else "[red]over[/]"


if __name__ == "__main__":
    main()
