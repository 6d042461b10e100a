"""Every line of `docs/quickstart.md` runs: files are written, commands are typed, outputs are compared."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quickstart.md"
ADDRESS = "127.0.0.1:8750"

FENCE = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ ", re.MULTILINE)

ALREADY_DONE = {
    "make install": f"make --dry-run --directory {ROOT} install > /dev/null",
    "source .venv/bin/activate": "true",
}
"""What was done before the test could start: it runs in that environment."""


@dataclass(frozen=True)
class Step:
    """A file to write, or a command to type with the output that the page shows."""

    text: str
    shown: str = ""
    file: str = ""


def steps(page: str) -> Iterator[Step]:
    for language, title, body in FENCE.findall(page):
        if title:
            yield Step(body, file=title)
        elif language == "console":
            starts = [match.start() for match in COMMAND.finditer(body)]
            for start, end in pairwise([*starts, len(body)]):
                command, _, shown = body[start:end].partition("\n")
                yield Step(command.removeprefix("$ "), shown=shown)
        else:
            raise AssertionError(f"a {language} block that nobody runs: {body[:60]}")


def pattern(shown: str) -> re.Pattern[str]:
    """What is shown, with … for anything and blanks of any width."""
    lines = [
        r"[^\S\n]*".join(
            ".*" if word == "…" else re.escape(word).replace("…", ".*")
            for word in re.findall(r"…|[^\s…]+", line)
        )
        for line in shown.splitlines()
    ]
    return re.compile(r"[^\S\n]*" + r"[^\S\n]*\n[^\S\n]*".join(lines) + r"\s*")


class Terminal:
    """One shell in which everything is typed, and the server of the second terminal."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.home = folder / "state"
        programs = str(Path(sys.executable).parent)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ALGORAIL_")}
        self.env = kept | {
            "HOME": str(folder),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "COLUMNS": "100",
            "LANG": "C.UTF-8",
            "ALGORAIL_HOME": str(self.home),
            "ALGORAIL_ENGINE__PORT": str(self.port),
        }
        self.folder = folder
        self.server: subprocess.Popen[str] | None = None
        self.shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env=self.env, cwd=folder,
        )  # fmt: skip

    def type(self, command: str) -> str:
        """Type a command; returns what came back."""
        self.shell.stdin.write(f'{command}\necho "<done $?>"\n')
        self.shell.stdin.flush()
        output = ""
        while "<done " not in output:
            line = self.shell.stdout.readline()
            assert line, f"the shell ended at {command!r}:\n{output}"
            output += line
        return output.partition("<done ")[0]

    def up(self, command: str) -> str:
        """Start the server in the second terminal; returns what it says."""
        self.server = subprocess.Popen(
            command.split(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env={**self.env, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        return self.server.stdout.readline() + self.server.stdout.readline()

    def stop(self) -> None:
        self.shell.stdin.close()
        self.shell.wait(10)
        self.shell.stdout.close()
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)
            self.server.wait(30)
            self.server.stdout.close()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    if shutil.which("bash") is None or shutil.which("curl") is None:
        pytest.skip("the page is typed into bash, and calls with curl")
    opened = Terminal(tmp_path)
    yield opened
    opened.stop()


@pytest.mark.integration
def test_every_line_of_the_quickstart(terminal: Terminal) -> None:
    page = PAGE.read_text(encoding="utf-8").replace(ADDRESS, f"127.0.0.1:{terminal.port}")
    here = terminal.folder
    started = time.monotonic()
    count = 0
    for step in steps(page):
        if step.file:
            (here / step.file).write_text(step.text, encoding="utf-8")
            continue
        came = terminal.up(step.text) if step.text == "algorail up" else terminal.type(
            ALREADY_DONE.get(step.text, step.text)
        )  # fmt: skip
        assert pattern(step.shown).fullmatch(came), (
            f"$ {step.text}\n{came}\n-- but the page shows:\n{step.shown}"
        )
        if step.text.startswith("cd "):
            here = Path(terminal.type("pwd").strip())
        count += 1
    assert count > 25
    assert time.monotonic() - started < 600


def test_the_comparison_notices_a_difference() -> None:
    assert pattern("run_… ok\n  2 kB").fullmatch("run_123   ok\n2 kB\n")
    assert not pattern("run_… ok").fullmatch("run_123 failed\n")
    assert not pattern("one\n").fullmatch("one\ntwo\n")
    assert not pattern("").fullmatch("error\n")
