"""`algorail invoke | runs | trace | replay`: run it, and see what happened in every block."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from algorail.engine.cli.client import Client, algorithm_path
from algorail.engine.cli.output import Json, console, duration, moment, short, show_json, table
from algorail.engine.cli.tree import run_tree, shown
from algorail.engine.kit.errors import InvalidInput

_REPLAY_COLUMNS = ("block", "verdict", "before", "after", "took")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (invoke, runs, trace, replay):
        app.command()(command)


def invoke(
    name: Annotated[str, typer.Argument(help="Name of the algorithm.")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FIELD=VALUE...]", help="Inputs; values are JSON, or text where that fails."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="All inputs as JSON; @FILE reads a file, - the standard input."),
    ] = None,
    version: Annotated[str, typer.Option("--version", "-v", help="A version number, or @ALIAS.")] = "@prod",
    unit: Annotated[str, typer.Option("--unit", help="Who it is for: keeps a traffic split sticky.")] = "",
    stream: Annotated[bool, typer.Option("--stream", help="Print parts of the answer as they come.")] = False,
    as_json: Json = False,
) -> None:
    """Run an algorithm and print its answer."""
    body = _inputs(inputs or [], data)
    headers = {"x-algorail-version": version} | ({"x-algorail-unit": unit} if unit else {})
    path = algorithm_path(name, "invoke")
    with Client() as client:
        if stream:
            _print_stream(client, path, body, headers)
            return
        response = client.send("POST", path, json=body, headers=headers)
    answer = response.json()
    if as_json:
        show_json(answer)
        return
    console.print_json(data=answer)
    run, answered = response.headers["x-algorail-run-id"], response.headers["x-algorail-version"]
    console.print(f"[dim]version {answered} · see every block: algorail trace {run}[/]")


def runs(
    algorithm: Annotated[str, typer.Argument(help="Only runs of this algorithm.")] = "",
    status: Annotated[str, typer.Option("--status", help="Only runs with this status, such as failed.")] = "",
    version: Annotated[int | None, typer.Option("--version", "-v", help="Only runs of this version.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """The newest runs."""
    with Client() as client:
        page = client.get("/v1/runs", algorithm=algorithm, status=status, version=version, limit=limit)
    if as_json:
        show_json(page["runs"])
        return
    rows = [
        (
            item["run_id"],
            f"{item['algorithm']} v{item['version']}",
            item["status"],
            moment(item["started_ns"]),
            duration(item["duration_ns"]),
            item.get("error_code", ""),
        )
        for item in page["runs"]
    ]
    table(
        f"{algorithm}: runs" if algorithm else "runs",
        ("run", "algorithm", "status", "started", "took", "error"),
        rows,
    )


def trace(
    run: Annotated[str, typer.Argument(help="Id of a run.")],
    full: Annotated[bool, typer.Option("--full", help="Do not cut long values and arrays.")] = False,
    as_json: Json = False,
) -> None:
    """One run as a tree: every block with its time, input, output and attempts."""
    with Client() as client:
        record: dict[str, Any] = client.get(f"/v1/runs/{quote(run, safe='')}", full=full)
    if as_json:
        show_json(record)
        return
    console.print(run_tree(record, full=full))


def replay(
    run: Annotated[str, typer.Argument(help="Id of a recorded run.")],
    version: Annotated[
        str | None, typer.Option("--version", "-v", help="Replay through this version.")
    ] = None,
    from_node: Annotated[
        str | None, typer.Option("--from", help="Run from this node on; take the rest from the record.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a recorded run again and show what differs, block by block. Writes are answered from the record."""
    with Client() as client:
        answer: dict[str, Any] = client.post(
            f"/v1/runs/{quote(run, safe='')}/replay", {"version": version, "from_node": from_node}
        )
    if as_json:
        show_json(answer)
        return
    rows = [
        (
            item["node"],
            item["verdict"],
            short(shown(item["before"]), 40) if "before" in item else "",
            short(shown(item["after"]), 40) if "after" in item else "",
            _latency(item),
        )
        for item in answer["blocks"]
    ]
    table(f"replay of {run} through version {answer['version']}", _REPLAY_COLUMNS, rows)
    differ = [item["node"] for item in answer["blocks"] if item["verdict"] not in ("equal", "close")]
    if differ:
        console.print(f"[yellow]•[/] {len(differ)} of {len(rows)} blocks differ: {escape(', '.join(differ))}")
    else:
        console.print(f"[green]✓[/] all {len(rows)} blocks answered the same")


def _latency(item: dict[str, Any]) -> str:
    before, after = item.get("before_ns"), item.get("after_ns")
    if before is None or after is None:
        return ""
    return f"{duration(before)} → {duration(after)}"


def _inputs(pairs: list[str], data: str | None) -> dict[str, Any]:
    given = _document(data) if data is not None else {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InvalidInput(f"input == {pair!r}, must be like question='how much?'", code="usage")
        try:
            given[name] = json.loads(text)
        except ValueError:
            given[name] = text
    return given


def _document(data: str) -> dict[str, Any]:
    try:
        text = data
        if data == "-":
            text = sys.stdin.read()
        elif data.startswith("@"):
            text = Path(data[1:]).read_text(encoding="utf-8")
        document = json.loads(text)
    except OSError as error:
        raise InvalidInput(f"{data[1:]} cannot be read: {error.strerror}", code="file-not-found") from error
    except ValueError as error:
        raise InvalidInput(f"--data is not JSON: {error}", code="usage") from error
    if not isinstance(document, dict):
        raise InvalidInput(f"--data must be a JSON object, got {short(document)}", code="usage")
    return document


def _print_stream(client: Client, path: str, body: dict[str, Any], headers: dict[str, str]) -> None:
    for event, payload in client.stream(path, body, headers):
        if event == "delta":
            part = payload["delta"]
            sys.stdout.write(part if isinstance(part, str) else json.dumps(part))
            sys.stdout.flush()
        elif event == "error":
            sys.stdout.write("\n")
            raise InvalidInput(
                payload.get("detail", "the run failed"), code=payload.get("code", "run-failed")
            )
        else:
            sys.stdout.write("\n")
            console.print_json(data=payload)
