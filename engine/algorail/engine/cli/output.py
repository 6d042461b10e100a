"""How commands speak: tables and trees for people, one JSON document for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from algorail.engine.kit.errors import AlgorailError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

console = Console()
errors = Console(stderr=True)


UNBROKEN = frozenset({"run", "name", "version", "kind"})
"""Columns that people copy from: never broken over two lines."""


def show_json(document: Any) -> None:
    """Print a document for programs."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str = "none yet"
) -> None:
    """Print rows; says so when there are none."""
    if not rows:
        console.print(f"[dim]{escape(title)}: {empty}[/dim]")
        return
    console.print(f"[bold]{escape(title)}[/]")
    view = Table(header_style="dim", box=None, pad_edge=False)
    for column in columns:
        view.add_column(column, overflow="fold", no_wrap=column in UNBROKEN)
    for row in rows:
        view.add_row(*(escape("" if cell is None else str(cell)) for cell in row))
    console.print(view)


def show_error(error: AlgorailError, *, as_json: bool = False) -> None:
    """Print an error with all its problems and its cure."""
    if as_json:
        show_json(
            {
                "code": error.code,
                "message": error.message,
                "cure": error.cure,
                "problems": [problem.as_dict() for problem in error.problems],
                **({"run_id": error.details["run_id"]} if error.details.get("run_id") else {}),
            }
        )
        return
    errors.print(f"[bold red]error[/] [dim]{escape(error.code)}[/] {escape(error.message)}")
    for problem in error.problems:
        where = ".".join(part for part in (problem.node, problem.port) if part)
        errors.print(f"  [red]•[/] [bold]{escape(where)}[/] {escape(problem.message)}")
        if problem.cure:
            errors.print(f"    [green]→ {escape(problem.cure)}[/]")
    if error.cure:
        errors.print(f"  [green]→ {escape(error.cure)}[/]")
    if error.details.get("run_id"):
        errors.print(f"[dim]see every block: algorail trace {error.details['run_id']}[/]")


def moment(time: int | str) -> str:
    """A wall-clock time, of nanoseconds or RFC 3339, local, to the second."""
    when = datetime.fromisoformat(time) if isinstance(time, str) else datetime.fromtimestamp(time / 1e9, UTC)
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(nanoseconds: float) -> str:
    """A duration with a sensible unit."""
    for unit, size in (("s", 1e9), ("ms", 1e6)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds / 1e3:.3g} µs"


def short(value: Any, width: int = 60) -> str:
    """A value on one line, cut to a width."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def as_size(count: float) -> str:
    """Bytes with a sensible unit."""
    for unit in ("B", "kB", "MB"):
        if count < 1_000:
            return f"{count:.3g} {unit}"
        count /= 1_000
    return f"{count:.3g} GB"


def fields(document: Mapping[str, Any]) -> None:
    """Print a few named values, aligned."""
    width = max((len(name) for name in document), default=0)
    for name, value in document.items():
        console.print(f"[dim]{escape(name):>{width}}[/]  {escape(str(value))}")
