"""`algorail key`: keys for the services and people that call."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from algorail.engine.cli.client import Client
from algorail.engine.cli.output import Json, console, fields, moment, show_json, table

app = typer.Typer(help="API keys: who may call, publish and operate.", no_args_is_help=True)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Who it is for, such as the calling service.")],
    scope: Annotated[
        str,
        typer.Option(
            "--scope",
            "-s",
            help="viewer calls and reads, author also publishes, operator also moves aliases, "
            "admin also makes keys.",
        ),
    ] = "viewer",
    team: Annotated[str, typer.Option("--team", help="Bind the key to one team's algorithms.")] = "",
    bare: Annotated[bool, typer.Option("--bare", help="Print the key alone, for scripts.")] = False,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown once and cannot be had again."""
    with Client() as client:
        made: dict[str, Any] = client.post("/v1/keys", {"name": name, "scope": scope, "team": team})
    if as_json:
        show_json(made)
    elif bare:
        typer.echo(made["key"])
    else:
        fields({"key": made["key"], "id": made["id"], "scope": made["scope"]})
        console.print("[yellow]it is shown only now; keep it where secrets are kept[/]")


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """The keys, newest first; never their text."""
    with Client() as client:
        found: list[dict[str, Any]] = client.get("/v1/keys")["keys"]
    if as_json:
        show_json(found)
        return
    rows = [
        (key["id"], key["name"], key["scope"], key["team"], _seen(key["last_used"]), _seen(key["revoked"]))
        for key in found
    ]
    table("keys", ("id", "name", "scope", "team", "last used", "revoked"), rows)


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `key list` shows it.")],
    as_json: Json = False,
) -> None:
    """End a key, everywhere within a second."""
    with Client() as client:
        client.delete(f"/v1/keys/{quote(key_id, safe='')}")
    if as_json:
        show_json({"revoked": key_id})
        return
    console.print(f"[green]✓[/] {escape(key_id)} opens nothing any more")


def _seen(time: str | None) -> str:
    return moment(time) if time else ""
