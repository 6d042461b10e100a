"""The page of the command line, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import typer

from algorail.engine.cli.app import build
from docs.reference.markdown import cell, page, table


@cache
def commands() -> dict[str, Any]:
    """Every command by its words, such as `alias set`."""
    return dict(_walk(typer.main.get_command(build()), ""))


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from _walk(child, f"{path} {name}".strip())


def text() -> str:
    """The page."""
    parts = [
        (
            "Commands talk to the server that `algorail up` started for the same user, or to `ALGORAIL_URL` "
            "with `ALGORAIL_API_KEY`. With `--json` each prints one JSON document. Exit codes: 0 done, 1 it "
            "failed (the error has a [code](errors.md)), 2 the command was written wrongly."
        ),
        table(
            ("command", "what it does"),
            [
                (f"[`algorail {name}`](#algorail-{name.replace(' ', '-')})", _first(command))
                for name, command in commands().items()
            ],
        ),
    ]
    for name, command in commands().items():
        parts += [f"## algorail {name}", cell(command.help or ""), _usage(name, command)]
        rows = [_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        if rows:
            parts.append(table(("argument or option", "default", "what it is"), rows))
    return page("Command line", *parts)


def _first(command: Any) -> str:
    return cell((command.help or "").strip().partition("\n")[0])


def _usage(name: str, command: Any) -> str:
    arguments = [_label(parameter) for parameter in command.params if parameter.param_type_name == "argument"]
    options = (
        ["[OPTIONS]"] if any(parameter.param_type_name == "option" for parameter in command.params) else []
    )
    return f"    algorail {' '.join([name, *arguments, *options])}"


def _label(parameter: Any) -> str:
    label = parameter.metavar or (parameter.name or "").upper()
    return label if parameter.required or label.startswith("[") else f"[{label}]"


def _row(parameter: Any) -> tuple[str, str, str]:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`", "", cell(parameter.help or "")
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    default = parameter.default
    shown = "" if parameter.required or default in (None, "", False, []) else f"`{default}`"
    return f"`{names}`", shown, cell(parameter.help or "")
