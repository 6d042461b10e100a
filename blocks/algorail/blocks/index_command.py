"""`algorail index`: build vector indexes from files, and choose which version answers."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from algorail.engine.cli.output import Json, as_size, console, errors, fields, show_json, table
from algorail.engine.kit.home import home_folder

if TYPE_CHECKING:
    from algorail.blocks.indexes import IndexVersion

app = typer.Typer(help="Vector indexes: versioned files that `vector_search` reads.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the index.")]
Version = Annotated[
    str | None, typer.Option("--version", "-v", help="A version; the current one if not said.")
]

_STAGES = {
    "read": "reading",
    "train": "training",
    "add": "adding",
    "measure": "measuring recall",
    "write": "writing",
}


@app.command("build")
def build(
    name: Name,
    source: Annotated[
        Path, typer.Option("--from", exists=True, dir_okay=False, help="A .npy, .jsonl or .parquet file.")
    ],
    metric: Annotated[str, typer.Option("--metric", help="cosine, dot or l2.")] = "cosine",
    kind: Annotated[str, typer.Option("--kind", help="flat, hnsw, ivf, or auto to choose by size.")] = "auto",
    payloads: Annotated[
        Path | None,
        typer.Option(
            "--payloads", exists=True, dir_okay=False, help="For .npy: a .jsonl with a row for each vector."
        ),
    ] = None,
    vector: Annotated[
        str, typer.Option("--vector", help="Field or column that holds the vector.")
    ] = "vector",
    id_field: Annotated[str, typer.Option("--id", help="Payload field that holds a row's id.")] = "id",
    filterable: Annotated[
        list[str] | None,
        typer.Option(
            "--filterable", help="A payload field that filters may name; repeat it. Default: every plain one."
        ),
    ] = None,
    recall: Annotated[
        float, typer.Option("--recall", help="Share of the true ten nearest to be found.")
    ] = 0.95,
    promote: Annotated[bool, typer.Option(help="Make it the current version.")] = True,
    note: Annotated[str, typer.Option("--note", "-m", help="Kept with the version.")] = "",
    as_json: Json = False,
) -> None:
    """Build a version of an index; running servers follow at once when it is promoted."""
    indexes = _indexes()
    with _bar() as bar:
        tasks: dict[str, TaskID] = {}

        def show(step: Any) -> None:
            if step.stage not in tasks:
                tasks[step.stage] = bar.add_task(_STAGES.get(step.stage, step.stage), total=step.total)
            bar.update(tasks[step.stage], completed=step.done, total=step.total)

        built = indexes.build(
            name,
            source,
            home=home_folder(),
            metric=metric,
            kind=kind,
            payloads=payloads,
            vector=vector,
            id=id_field,
            filterable=filterable or None,
            recall=recall,
            promote=promote,
            note=note,
            progress=show,
        )
    _show(built, as_json=as_json)


@app.command("list")
def list_indexes(
    name: Annotated[str | None, typer.Argument(help="Only this index.")] = None, as_json: Json = False
) -> None:
    """The versions of all indexes, or of one."""
    found: tuple[IndexVersion, ...] = _indexes().list(name, home=home_folder())
    if as_json:
        show_json([_document(version) for version in found])
        return
    rows = [
        (
            version.name,
            version.version,
            "current" if version.current else "",
            version.kind,
            f"{version.count:,} × {version.size}",
            f"{version.recall:.3f}",
            as_size(version.bytes),
            version.note,
        )
        for version in found
    ]
    table("indexes", ("name", "version", "", "kind", "rows", "recall", "size", "note"), rows)


@app.command("show")
def show_index(name: Name, version: Version = None, as_json: Json = False) -> None:
    """One version: what it is, why it is so, how well it finds."""
    _show(_indexes().show(name, version, home=home_folder()), as_json=as_json)


@app.command("promote")
def promote_version(
    name: Name, version: Annotated[str, typer.Argument(help="The version.")], as_json: Json = False
) -> None:
    """Let a version answer from now on; going back is the same command."""
    _show(_indexes().promote(name, version, home=home_folder()), as_json=as_json)


@app.command("delete")
def delete_version(name: Name, version: Version = None, as_json: Json = False) -> None:
    """Delete a version that is not current, or, without --version, the whole index."""
    _indexes().delete(name, version, home=home_folder())
    if as_json:
        show_json({"deleted": name, "version": version})
        return
    console.print(f"[green]✓[/] {name} {version or ''} is gone")


def _indexes() -> Any:
    """The index library; numpy and FAISS are too heavy for commands that need them not."""
    return import_module("algorail.blocks.indexes")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description:>17}"), BarColumn(), TimeElapsedColumn(), console=errors, transient=True
    )


def _document(version: IndexVersion) -> dict[str, Any]:
    return {**msgspec.to_builtins(version), "bytes": version.bytes, "recall": version.recall}


def _show(version: IndexVersion, *, as_json: bool) -> None:
    if as_json:
        show_json(_document(version))
        return
    current = " [green](current)[/]" if version.current else ""
    console.print(f"[green]✓[/] index [bold]{version.name}[/] version [bold]{version.version}[/]{current}")
    fields(
        {
            "rows": f"{version.count:,} × {version.size}, {version.metric}",
            "kind": version.kind,
            "why": version.why,
            "recall@10": f"{version.recall:.3f}",
            "one search": f"{version.measured.search_us:.0f} µs on one thread",
            "size": as_size(version.bytes),
            "filters on": ", ".join(version.filterable) or "nothing",
        }
    )
