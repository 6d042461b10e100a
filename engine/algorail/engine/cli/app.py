"""Puts the commands together and turns errors into exit codes: 1 the command failed, 2 it was misused."""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated

import typer
from rich.markup import escape

from algorail.engine.cli import authoring, blocks, calling, keys, releases, server, working
from algorail.engine.cli.output import errors, show_error
from algorail.engine.kit.errors import AlgorailError

GROUP = "algorail.cli"
"""Entry points in this group add commands; each loads a `typer.Typer`."""


def _version(show: bool) -> None:
    if show:
        sys.stdout.write(f"algorail {version('algorail')}\n")
        raise typer.Exit


def _root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Commands talk to the server that `algorail up` started, or to ALGORAIL_URL with ALGORAIL_API_KEY."""


@cache
def build() -> typer.Typer:
    """The whole command, with what other packages add."""
    app = typer.Typer(
        name="algorail",
        help="Typed ML algorithms as versioned graphs: write in Python, publish, call, trace every block.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for module in (server, working, authoring, calling, releases):
        module.register(app)
    app.add_typer(blocks.app, name="block")
    app.add_typer(keys.app, name="key")
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        _add_foreign(app, point)
    return app


def _add_foreign(app: typer.Typer, point: EntryPoint) -> None:
    """Add a command of another package; a broken one must not take the others with it."""
    try:
        app.add_typer(point.load(), name=point.name)
    except Exception as error:  # noqa: BLE001
        reason = escape(f"{type(error).__name__}: {error}")
        errors.print(
            f"[yellow]the command {point.name!r} of {escape(point.value)} does not load:[/] {reason}"
        )


def run() -> None:
    """Run the command of `sys.argv`."""
    try:
        build()()
    except AlgorailError as error:
        show_error(error, as_json="--json" in sys.argv)
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("[dim]stopped[/]")
        sys.exit(130)
