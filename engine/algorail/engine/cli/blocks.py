"""`algorail block`: what blocks there are, and a new one of your own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from algorail.engine.cli.client import Client
from algorail.engine.cli.output import Json, console, show_json, table
from algorail.engine.kit.errors import Conflict, InvalidInput

app = typer.Typer(help="Blocks: list those of the server, start one of your own.", no_args_is_help=True)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")

_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{package}"
version = "0.1.0"
description = "The block {name} for Algorail."
requires-python = ">=3.11"
dependencies = ["algorail"]

[project.entry-points."algorail.blocks"]
{name} = "{package}:{name}"

[tool.hatch.build.targets.wheel]
packages = ["{package}"]

[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
"""

_BLOCK = '''\
"""The block `{name}`: say here what it does and why."""

from algorail.engine import block


@block
def {name}(text: str, limit: int = 100) -> str:
    """Cut a text to at most `limit` characters, at a word where possible."""
    if len(text) <= limit:
        return text
    head = text[:limit]
    return head.rsplit(" ", 1)[0] if " " in head else head
'''

_TEST = """\
from {package} import {name}


def test_a_short_text_stays():
    assert {name}("short", limit=10) == "short"


def test_a_long_text_is_cut_at_a_word():
    assert {name}("one two three", limit=9) == "one two"
"""

_README = """\
# {name}
A block for Algorail. Try it and put it where your server finds it:

    pip install -e .
    python -m pytest
    algorail block list

In an algorithm:

    from algorail.engine import algorithm
    from {package} import {name}

    @algorithm
    def shorten(text: str) -> str:
        return {name}(text=text, limit=20)
"""


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the block: lower case, digits and `_`.")],
    into: Annotated[Path, typer.Option("--into", help="Folder to put the project in.")] = Path(),
    as_json: Json = False,
) -> None:
    """Make an installable package with a working block and its test."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"name == {name!r}, must be lower case letters, digits and `_`, and start with a letter",
            code="block-name",
        )
    package = f"{name}_block"
    root = into / package
    if root.exists():
        raise Conflict(
            f"{root} exists", code="file-exists", cure="choose another name or --into another folder"
        )
    files = {
        "pyproject.toml": _PROJECT,
        "README.md": _README,
        f"{package}/__init__.py": _BLOCK,
        f"tests/test_{name}.py": _TEST,
    }
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(name=name, package=package), encoding="utf-8")
    if as_json:
        show_json({"folder": str(root), "files": sorted(files)})
        return
    console.print(f"made [bold]{root}[/]; next: [bold]pip install -e {root}[/], then restart the server")


@app.command("list")
def list_blocks(as_json: Json = False) -> None:
    """The blocks that the server offers."""
    with Client() as client:
        catalogue: list[dict[str, Any]] = client.get("/v1/blocks")["blocks"]
    if as_json:
        show_json(catalogue)
        return
    rows = [(item["kind"], item["category"], item["effect"], item["summary"]) for item in catalogue]
    table("blocks", ("kind", "category", "effect", "what it does"), rows)
