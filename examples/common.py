"""What the demos share: a fresh state folder, a server in its own process, many calls at once with a bar."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.rule import Rule
from rich.text import Text

CALLERS = 8
"""Requests under way at once."""
MARK = "made-by-a-demo"
"""The file that says that a state folder may be thrown away."""
LOG = "server.log"

console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered to one call.

    Attributes:
        output: Of the algorithm.
        version: That answered.
        run: Id of the run.
        seconds: Until the answer was there.
    """

    output: Any
    version: str
    run: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Server:
    """The server of a demo and the commands that talk to it."""

    url: str
    key: str
    home: Path

    def command(self, *words: str, show: bool = True) -> str:
        """Run `algorail …` as a person would; returns what it printed."""
        if show:
            typed = " ".join(f"'{word}'" if " " in word or not word else word for word in words)
            console.print(f"[bold cyan]$ algorail {typed}[/]", soft_wrap=True)
        colours = {"FORCE_COLOR": "1"} if console.is_terminal and show else {}
        done = subprocess.run(
            [_algorail(), *words],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": str(console.width), **colours},
        )
        if done.returncode:
            raise SystemExit(f"algorail {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        if show:
            console.print(Text.from_ansi(done.stdout.rstrip()), soft_wrap=True)
        return done.stdout

    def call(self, algorithm: str, body: Mapping[str, Any]) -> Reply:
        """One call."""
        return self.call_all(algorithm, [body])[0][0]

    def call_all(
        self,
        algorithm: str,
        bodies: Sequence[Mapping[str, Any]],
        *,
        units: Sequence[str] = (),
        label: str = "",
    ) -> tuple[list[Reply], float]:
        """Many calls, `CALLERS` at a time; the replies in order, and how long it took.

        Args:
            algorithm: Its name.
            bodies: The inputs of each call.
            units: Of each call, for a traffic split.
            label: Of the progress bar; without one there is no bar.
        """
        return asyncio.run(self._call_all(algorithm, bodies, units, label))

    async def _call_all(
        self, algorithm: str, bodies: Sequence[Mapping[str, Any]], units: Sequence[str], label: str
    ) -> tuple[list[Reply], float]:
        found: dict[int, Reply] = {}
        waiting = iter(range(len(bodies)))
        path = f"/v1/algorithms/{algorithm}/invoke"
        with _bar(disable=not (label and console.is_terminal)) as bar:
            task = bar.add_task(label, total=len(bodies))
            started = time.perf_counter()

            async def caller(client: httpx.AsyncClient) -> None:
                for number in waiting:
                    found[number] = await _call(client, path, bodies[number], units[number] if units else "")
                    bar.advance(task)

            async with self._client() as client:
                await asyncio.gather(*(caller(client) for _ in range(CALLERS)))
            elapsed = time.perf_counter() - started
        return [found[number] for number in range(len(bodies))], elapsed

    def _client(self) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60, trust_env=False)

    def record_bytes(self) -> int:
        """How large the record of all runs is; the write-ahead log, which is used again, does not count."""
        return sum(map(_pages, (self.home / "runs").glob("*.db")))

    def curl(self, algorithm: str, body: Mapping[str, Any]) -> str:
        """A command that calls the algorithm by hand; address, key and inputs are in a file that it names."""
        file = self.home / "try.curl"
        escaped = json.dumps(json.dumps(body, separators=(",", ":")))
        lines = (
            f'url = "{self.url}/v1/algorithms/{algorithm}/invoke"',
            f'header = "Authorization: Bearer {self.key}"',
            'header = "Content-Type: application/json"',
            f"data = {escaped}",
        )
        file.touch(mode=0o600)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return f"curl -sK {relative(file)}"


async def _call(client: httpx.AsyncClient, path: str, body: Mapping[str, Any], unit: str) -> Reply:
    started = time.perf_counter()
    response = await client.post(path, json=body, headers={"x-algorail-unit": unit} if unit else {})
    if response.is_error:
        raise SystemExit(f"{response.status_code}: {response.text}")
    seconds = time.perf_counter() - started
    told = response.headers
    return Reply(response.json(), told["x-algorail-version"], told["x-algorail-run-id"], seconds)


def fresh_home(settings: str) -> Path:
    """An empty state folder with these settings; what an earlier demo left in it is deleted.

    Args:
        settings: TOML; `{home}` in it is the folder.

    Raises:
        SystemExit: If the folder belongs to something else, or a server is using it.
    """
    home = Path(os.environ.setdefault("ALGORAIL_HOME", str(Path(".algorail").resolve()))).resolve()
    if (home / "server.json").exists() and _answers(home / "server.json"):
        raise SystemExit(
            f"a server is running on {relative(home)}; stop it, or set ALGORAIL_HOME to another folder"
        )
    if (home / MARK).exists():
        shutil.rmtree(home)
    elif home.is_dir() and any(home.iterdir()):
        raise SystemExit(f"{relative(home)} was not made by a demo; set ALGORAIL_HOME to another folder")
    home.mkdir(parents=True, exist_ok=True)
    (home / MARK).touch()
    (home / "settings.toml").write_text(settings.replace("{home}", str(home)), encoding="utf-8")
    return home


def _answers(announcement: Path) -> bool:
    try:
        told = json.loads(announcement.read_text(encoding="utf-8"))
        return httpx.get(f"{told['url']}/healthz", timeout=2, trust_env=False).is_success
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return False


@dataclass(frozen=True, slots=True)
class StartingServer:
    """A server process that may not answer yet."""

    home: Path
    process: subprocess.Popen[bytes]

    def ready(self) -> Server:
        """Wait until it answers.

        Raises:
            SystemExit: If it ends, or takes more than a minute.
        """
        written = self.home / "server.json"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            if written.exists():
                told = json.loads(written.read_text(encoding="utf-8"))
                return Server(told["url"], told["key"], self.home)
            time.sleep(0.05)
        raise SystemExit(f"the server did not start:\n{(self.home / LOG).read_text(encoding='utf-8')}")


def _pages(file: Path) -> int:
    """Bytes of a SQLite file once its log is folded in."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int(count * size)


@contextmanager
def serving(home: Path, port: int = 0) -> Iterator[StartingServer]:
    """`algorail up` in a process of its own, as in production; stopped when the block ends."""
    with (home / LOG).open("wb") as output:
        command = [_algorail(), "up", "--port", str(port)]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield StartingServer(home, process)
    finally:
        process.terminate()
        process.wait(timeout=30)


def try_it(server: Server, algorithm: str, body: Mapping[str, Any]) -> None:
    """Say where the server is and how to call it by hand."""
    title("Try it by hand")
    fact("address", f"[bold]{server.url}[/] (`--stay`, or `make up`, leaves it running)")
    fact("a call", server.curl(algorithm, body))
    fact("its record", f"ALGORAIL_HOME={relative(server.home)} {relative(Path(_algorail()))} runs")


def stay(server: Server) -> None:
    """Leave everything running until Ctrl+C."""
    console.print(Rule(style="dim"))
    console.print(f"It goes on running at [bold]{server.url}[/] until Ctrl+C.")
    try:
        while True:
            time.sleep(3_600)
    except KeyboardInterrupt:
        console.print("stopping")


def speed(replies: Sequence[Reply], elapsed: float) -> str:
    """Throughput and latency in one line."""
    millis = np.array([reply.seconds for reply in replies]) * 1e3
    return (
        f"[bold]{len(replies) / elapsed:.0f}[/] requests/s with {CALLERS} callers, "
        f"p50 {np.percentile(millis, 50):.1f} ms, p99 {np.percentile(millis, 99):.1f} ms"
    )


def title(text: str) -> None:
    """Say what comes next."""
    console.print()
    console.print(f"[bold]{text}[/]")


def fact(name: str, text: str) -> None:
    """One line of a result."""
    console.print(f"  {name:<17} {text}")


def relative(path: Path) -> str:
    """A path as a person would type it here."""
    typed = os.path.relpath(path)
    return typed if len(typed) < len(str(path)) else str(path)


def _algorail() -> str:
    return str(Path(sys.executable).with_name("algorail"))


def _bar(*, disable: bool) -> Progress:
    columns = (TextColumn("  {task.description:<17}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=disable)
