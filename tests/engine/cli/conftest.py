"""A server for each test module, and `algorail` as a person types it, in this process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from algorail.engine.cli import app, output
from algorail.engine.service.settings import EngineSettings, Settings
from algorail.engine.testing.server import RunningServer, running_server

SUPPORT = '''
from typing import TypedDict

from algorail.engine import CallContext, Retry, algorithm, block, options, when


class Greeting(TypedDict):
    text: str
    polite: bool


@block
def shout(text: str) -> str:
    """In capitals."""
    if text == "nobody":
        raise ValueError("there is nobody")
    return text.upper()


@block
def spell(text: str, context: CallContext | None = None) -> str:
    """Letter by letter."""
    if context is not None:
        for letter in text:
            context.emit(letter)
    return text


@algorithm
def loud(name: str) -> str:
    """A name, so that it is heard."""
    capitals = options(shout, retry=Retry(attempts=2, first=0))(text=name)
    return capitals


@algorithm
def greet(name: str, polite: bool = True) -> Greeting:
    """Greets somebody."""
    heard = loud(name=name)
    text = when(polite, then="Good day, " + heard, otherwise=heard)
    return Greeting(text=text, polite=polite)


@algorithm
def spelled(text: str) -> str:
    letters = spell(text)
    return letters
'''


@dataclass(frozen=True)
class Typed:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Typed]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    # Code of bundles runs in the server, so that no worker has to start; the quickstart tries it isolated.
    settings = Settings(home=tmp_path_factory.mktemp("home"), engine=EngineSettings(bundle_policy="trusted"))
    with running_server(settings) as running:
        yield running


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`typed("runs", "--json")` runs `algorail runs --json` in an empty folder, with no server known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALGORAIL_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("ALGORAIL_URL", raising=False)
    monkeypatch.delenv("ALGORAIL_API_KEY", raising=False)
    monkeypatch.setattr(output.console, "width", 100)
    monkeypatch.setattr(output.errors, "width", 100)
    modules = set(sys.modules)

    def run(*words: str, stdin: str = "") -> Typed:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["algorail", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        monkeypatch.setattr(sys, "path", list(sys.path))
        try:
            app.run()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        for name in set(sys.modules) - modules:
            if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
                del sys.modules[name]
        said = capsys.readouterr()
        return Typed(code, said.out, said.err)

    return run


@pytest.fixture
def algorail(typed: Command, server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, with the server known."""
    monkeypatch.setenv("ALGORAIL_URL", server.url)
    monkeypatch.setenv("ALGORAIL_API_KEY", server.admin_key)
    return typed


@pytest.fixture
def support(tmp_path: Path) -> Path:
    file = tmp_path / "support.py"
    file.write_text(SUPPORT)
    return file


@pytest.fixture(scope="module")
def published(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`greet` and `loud`, published once for the module."""
    file = tmp_path_factory.mktemp("published") / "support.py"
    file.write_text(SUPPORT)
    command = [str(Path(sys.executable).with_name("algorail")), "publish", f"{file}:greet"]
    known = {"ALGORAIL_URL": server.url, "ALGORAIL_API_KEY": server.admin_key}
    subprocess.run(command, env=os.environ | known, check=True, capture_output=True)


@pytest.fixture
def greet(algorail: Command, published: None, support: Path) -> Command:
    """The command, with `greet` published and its file at hand."""
    return algorail
