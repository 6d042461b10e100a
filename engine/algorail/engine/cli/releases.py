"""`algorail list | versions | diff | split | alias`: which version answers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from algorail.engine.cli.client import Client, algorithm_path
from algorail.engine.cli.output import Json, console, moment, short, show_json, table
from algorail.engine.kit.errors import InvalidInput

Name = Annotated[str, typer.Argument(help="Name of the algorithm.")]
Alias = Annotated[str, typer.Argument(help="Name of the alias, such as prod.")]

alias_app = typer.Typer(help="Aliases: names that move from version to version.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list")(list_algorithms)
    app.command()(versions)
    app.command()(diff)
    app.command()(split)
    app.add_typer(alias_app, name="alias")


def list_algorithms(as_json: Json = False) -> None:
    """The algorithms of the server."""
    with Client() as client:
        found: list[dict[str, Any]] = client.get("/v1/algorithms")["algorithms"]
    if as_json:
        show_json(found)
        return
    rows = [(item["name"], item.get("latest_version"), _aliases(item), item.get("doc", "")) for item in found]
    table("algorithms", ("name", "newest", "aliases", "what it does"), rows)


def versions(name: Name, as_json: Json = False) -> None:
    """The versions of an algorithm, newest first."""
    with Client() as client:
        found: list[dict[str, Any]] = client.get(algorithm_path(name, "versions"))["versions"]
    if as_json:
        show_json(found)
        return
    rows = [
        (
            item["version"],
            item["plan_hash"][:12],
            item.get("author", ""),
            moment(item["created"]),
            item.get("note", ""),
        )
        for item in found
    ]
    table(f"{name}: versions", ("version", "hash", "author", "published", "note"), rows)


def diff(
    name: Name,
    before: Annotated[str, typer.Argument(help="A version number or @ALIAS.")],
    after: Annotated[str, typer.Argument(help="A version number or @ALIAS.")],
    as_json: Json = False,
) -> None:
    """What differs between two versions: nodes and fields added, changed and removed."""
    with Client() as client:
        answer: dict[str, Any] = client.get(algorithm_path(name, "versions", before, "diff", after))
    if as_json:
        show_json(answer)
        return
    changes = answer["changes"]
    rows = [
        (item["change"], item["where"], _cell(item.get("before")), _cell(item.get("after")))
        for item in changes
    ]
    table(f"{name}: {before} → {after}", ("change", "where", "before", "after"), rows, empty="no difference")


def split(
    name: Name,
    alias: Alias,
    weights: Annotated[list[str], typer.Argument(metavar="vN=WEIGHT...", help="Such as v3=90 v4=10.")],
    as_json: Json = False,
) -> None:
    """Split the traffic of an alias between versions, sticky by unit."""
    body = {"weights": dict(_weight(text) for text in weights)}
    with Client() as client:
        answer: dict[str, Any] = client.put(algorithm_path(name, "aliases", alias), body)
    if as_json:
        show_json(answer)
        return
    _show_alias(name, answer)


@alias_app.command("list")
def alias_list(name: Name, as_json: Json = False) -> None:
    """The aliases of an algorithm and where they point."""
    with Client() as client:
        found: list[dict[str, Any]] = client.get(algorithm_path(name, "aliases"))["aliases"]
    if as_json:
        show_json(found)
        return
    table(f"{name}: aliases", ("alias", "versions"), [(item["alias"], _target(item)) for item in found])


@alias_app.command("set")
def alias_set(
    name: Name,
    alias: Alias,
    version: Annotated[str, typer.Argument(help="Version number.")],
    as_json: Json = False,
) -> None:
    """Point an alias to one version."""
    with Client() as client:
        answer: dict[str, Any] = client.put(
            algorithm_path(name, "aliases", alias), {"version": _number(version)}
        )
    if as_json:
        show_json(answer)
        return
    _show_alias(name, answer)


@alias_app.command("rollback")
def alias_rollback(name: Name, alias: Alias, as_json: Json = False) -> None:
    """Point an alias back to where it pointed before."""
    with Client() as client:
        answer: dict[str, Any] = client.post(algorithm_path(name, "aliases", alias, "rollback"))
    if as_json:
        show_json(answer)
        return
    _show_alias(name, answer)


@alias_app.command("delete")
def alias_delete(name: Name, alias: Alias, as_json: Json = False) -> None:
    """Remove an alias; its versions stay."""
    with Client() as client:
        client.delete(algorithm_path(name, "aliases", alias))
    if as_json:
        show_json({"deleted": alias})
        return
    console.print(f"[green]✓[/] {name}@{alias} is gone")


def _cell(value: Any) -> str:
    return "" if value is None else short(value, 30)


def _weight(text: str) -> tuple[str, float]:
    version, _, weight = text.partition("=")
    try:
        return str(_number(version)), float(weight)
    except ValueError as error:
        raise InvalidInput(f"weight == {text!r}, must be like v3=90", code="usage") from error


def _number(version: str) -> int:
    digits = version.removeprefix("v")
    if not digits.isdecimal():
        raise InvalidInput(f"version == {version!r}, must be a number such as 3 or v3", code="usage")
    return int(digits)


def _aliases(item: dict[str, Any]) -> str:
    return " ".join(f"@{alias['alias']}→{_target(alias)}" for alias in item.get("aliases", []))


def _target(item: dict[str, Any]) -> str:
    shares = item.get("weights")
    if not shares:
        return f"v{item['version']}"
    total = sum(shares.values())
    return " ".join(f"v{version}={share / total:.0%}" for version, share in shares.items())


def _show_alias(name: str, answer: dict[str, Any]) -> None:
    console.print(f"[green]✓[/] {name}@{answer['alias']} → [bold]{_target(answer)}[/]")
