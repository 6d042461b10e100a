"""`algorail validate | publish | export | explain`: from a file to a published version, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.syntax import Syntax

from algorail.engine.cli.client import Client, algorithm_path
from algorail.engine.cli.output import Json, console, fields, show_json
from algorail.engine.kit.errors import InvalidInput, PlanInvalid, Problem

if TYPE_CHECKING:
    from algorail.engine.cli.load import Loaded

Target = Annotated[
    str,
    typer.Argument(metavar="FILE.py:NAME", help="An algorithm in a file; a .yaml or .json plan works too."),
]
Name = Annotated[str, typer.Argument(help="Name of the algorithm.")]
Version = Annotated[str, typer.Option("--version", "-v", help="A version number, or @ALIAS.")]
Requirements = Annotated[
    list[str] | None,
    typer.Option(
        "--requirement", "-r", help="A package that the file's own blocks need, as in pip (repeatable)."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (validate, publish, export, explain):
        app.command()(command)


def validate(target: Target, as_json: Json = False) -> None:
    """Check an algorithm against the server's blocks without publishing it. Nothing of it is run there."""
    ordered = _read(target).in_order()
    with Client() as client:
        checked = [(one, _checked(client, one)) for one in ordered]
    if as_json:
        answer = next((answer for _, answer in checked if not answer["valid"]), checked[-1][1])
        show_json(answer)
        if not answer["valid"]:
            raise typer.Exit(1)
        return
    for loaded, answer in checked:
        _show_checked(loaded, answer)


def publish(
    target: Target,
    note: Annotated[str, typer.Option("--note", "-m", help="What changed, for the history.")] = "",
    alias: Annotated[
        str, typer.Option("--alias", help="Alias to move to the new version; empty for none.")
    ] = "prod",
    allow_breaking: Annotated[
        bool, typer.Option("--allow-breaking", help="Accept that callers of the alias must change.")
    ] = False,
    requirement: Requirements = None,
    as_json: Json = False,
) -> None:
    """Publish an algorithm as an immutable version, with the code of its own blocks."""
    loaded = _read(target, requirement or ())
    how = {"note": note, "alias": alias or None, "allow_breaking": allow_breaking}
    with Client() as client:
        answers = [_publish(client, one, how) for one in loaded.in_order()]
    if as_json:
        show_json(answers[-1])
        return
    for answer in answers:
        _show_published(answer, alias)


def export(
    name: Name,
    version: Version = "@prod",
    python: Annotated[bool, typer.Option("--python", help="As Python (the default).")] = False,
    yaml: Annotated[bool, typer.Option("--yaml", help="As a YAML plan.")] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="As a Mermaid diagram.")] = False,
    svg: Annotated[bool, typer.Option("--svg", help="As a picture.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON plan.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write instead of printing.")
    ] = None,
) -> None:
    """Show a published version as code, as a document or as a picture."""
    flags = {"python": python, "yaml": yaml, "mermaid": mermaid, "svg": svg, "json": as_json}
    chosen = [form for form, on in flags.items() if on]
    if len(chosen) > 1:
        raise InvalidInput(f"choose one form, got {', '.join(chosen)}", code="usage")
    form = chosen[0] if chosen else "python"
    text = _written(name, version, form)
    if out is not None:
        out.write_text(text, encoding="utf-8")
        console.print(f"wrote [bold]{escape(str(out))}[/]")
    elif form in ("python", "yaml") and console.is_terminal:
        console.print(Syntax(text, form, background_color="default"))
    else:
        typer.echo(text.rstrip("\n"))


def explain(
    name: Name,
    version: Version = "@prod",
    code: Annotated[bool, typer.Option("--code", help="Show the generated coroutine.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a version does: its nodes, the critical path and, with --code, the code that runs."""
    with Client() as client:
        answer: dict[str, Any] = client.get(algorithm_path(name, "versions", version, "explain"))
    if as_json:
        show_json(answer)
        return
    console.print(answer["text"], markup=False, highlight=False)
    if code:
        console.print(Syntax(answer["code"], "python", background_color="default"))


def _checked(client: Client, loaded: Loaded) -> dict[str, Any]:
    """The server's check, but not about algorithms of the same file, which are published with it."""
    _send_bundle(client, loaded)
    answer = client.post("/v1/validate", {"plan": loaded.document()})
    own = {need.plan.name for need in loaded.needs}
    calls = {node.id for node in loaded.plan.nodes if node.config.get("algorithm") in own}
    kept = [
        item
        for item in answer["problems"]
        if not (item["code"] == "unknown-algorithm" and item.get("node") in calls)
    ]
    return {**answer, "problems": kept, "valid": answer["valid"] or not kept}


def _show_checked(loaded: Loaded, answer: dict[str, Any]) -> None:
    if not answer["valid"]:
        raise PlanInvalid(f"{loaded.plan.name} does not hold together", problems=_problems(answer))
    for problem in _problems(answer):
        console.print(f"[yellow]•[/] {escape(str(problem))}")
    count = len(loaded.plan.nodes)
    nodes = "1 node" if count == 1 else f"{count} nodes"
    console.print(f"[green]✓[/] {escape(loaded.plan.name)}: {nodes}, every port fits")


def _read(target: str, requirements: list[str] | tuple[str, ...] = ()) -> Loaded:
    from algorail.engine.cli.load import read  # noqa: PLC0415  # the DSL and numpy: too heavy for `algorail runs`

    return read(target, requirements)


def _written(name: str, version: str, form: str) -> str:
    from algorail.engine.cli.forms import written  # noqa: PLC0415  # as above

    with Client() as client:
        document = client.get(algorithm_path(name, "versions", version))["plan"]
    return written(document, form)


def _publish(client: Client, loaded: Loaded, how: dict[str, Any]) -> dict[str, Any]:
    _send_bundle(client, loaded)
    path = algorithm_path(loaded.plan.name, "versions")
    answer: dict[str, Any] = client.post(path, {"plan": loaded.document(), **how})
    return {"algorithm": loaded.plan.name, **answer}


def _send_bundle(client: Client, loaded: Loaded) -> None:
    if loaded.bundle is not None:
        client.send(
            "POST",
            "/v1/bundles",
            content=loaded.bundle.to_zip(),
            headers={"content-type": "application/zip"},
        )


def _problems(answer: dict[str, Any]) -> list[Problem]:
    slots = Problem.__slots__
    return [Problem(**{key: item[key] for key in item if key in slots}) for item in answer["problems"]]


def _show_published(answer: dict[str, Any], alias: str) -> None:
    what = "published" if answer.get("created", True) else "already there"
    console.print(f"[green]✓[/] {escape(answer['algorithm'])} version [bold]{answer['version']}[/] {what}")
    shown = {"hash": answer["plan_hash"][:16]}
    contract = answer.get("contract")
    if contract:
        shown["contract"] = contract["kind"]
    if alias:
        shown["alias"] = f"@{alias}"
    fields(shown)
    for change in (contract or {}).get("changes", []):
        console.print(f"  [yellow]•[/] {escape(str(change))}")
