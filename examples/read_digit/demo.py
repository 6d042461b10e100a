"""The main job, end to end, on real data: train, publish, call, trace, split. Run it with `make demo`.

Everything listens on loopback and lives in one folder (`ALGORAIL_HOME`, here `.algorail` unless it is set).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.rule import Rule

from algorail.model_host.deploy.local import BlockingLocalHost
from examples.read_digit import prepare

HERE = Path(__file__).parent
CALLERS = 8
"""Requests under way at once."""
WRITERS = 400
"""Units of the traffic split."""

console = Console()


@dataclass(frozen=True, slots=True)
class Server:
    """The server of the demo and the commands that talk to it."""

    url: str
    key: str
    home: Path

    def command(self, *words: str, show: bool = True) -> str:
        """Run `algorail …` as a person would; returns what it printed."""
        if show:
            console.print(f"[bold cyan]$ algorail {' '.join(words)}[/]")
        done = subprocess.run([_algorail(), *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"algorail {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        if show:
            console.print(done.stdout.rstrip(), markup=False, highlight=False)
        return done.stdout

    def client(self) -> httpx.AsyncClient:
        """For calling algorithms."""
        return httpx.AsyncClient(
            base_url=self.url, headers={"authorization": f"Bearer {self.key}"}, timeout=30
        )


@dataclass(slots=True)
class Answers:
    """What the server answered, in the order of the requests."""

    readings: list[dict[str, Any]]
    versions: list[str]
    runs: list[str]
    seconds: list[float]
    elapsed: float


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo; with --stay leave everything running until Ctrl+C."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--stay", action="store_true", help="leave it running")
    parser.add_argument("--port", type=int, default=0, help="port of the server [default: a free one]")
    options = parser.parse_args(argv)
    home = _home()
    digits = prepare.load()
    with console.status("preparing") as status:
        folders = prepare.prepare(digits, home, status.update)
        status.update("starting two replicas of each model")
        with BlockingLocalHost(home) as host:
            for name, folder in folders.items():
                host.deploy(name, folder, replicas=2)
            status.update("starting the server")
            with _server(home, options.port) as server:
                status.stop()
                _show(server, digits)
                if options.stay:
                    _stay(server)


def _show(server: Server, digits: prepare.Digits) -> None:
    console.print(f"Algorail is up at [bold]{server.url}[/], two models run in two replicas each\n")
    _title("An algorithm is a Python function; publishing it makes an immutable version")
    server.command("publish", str(HERE / "algorithm.py") + ":read_digit", "--note", "first version")
    _title(f"{len(digits.held_out)} scanned digits that nobody has learned from, through REST")
    answers = asyncio.run(_read_all(server, digits))
    _report(answers, digits, server)
    _title("Every block of every run is on record")
    asked = [run for run, reading in zip(answers.runs, answers.readings, strict=True) if _second(reading)]
    server.command("trace", asked[0])
    _title("A second version, and a fifth of the writers get it: always the same ones")
    server.command(
        "publish", str(HERE / "careful.py") + ":read_digit", "--alias", "", "--note", "asks sooner"
    )
    server.command("split", "read_digit", "prod", "v1=80", "v2=20")
    asyncio.run(_split(server, digits))


async def _read_all(server: Server, digits: prepare.Digits) -> Answers:
    return await _call_all(server, list(digits.held_out), ["" for _ in digits.held_out], "reading")


async def _call_all(server: Server, images: list[Any], units: list[str], what: str) -> Answers:
    """Send all images, `CALLERS` at a time, each for its unit."""
    found: list[tuple[dict[str, Any], str, str, float] | None] = [None] * len(images)
    waiting = iter(range(len(images)))
    started = time.perf_counter()
    async with server.client() as client:
        with _bar() as bar:
            task = bar.add_task(what, total=len(images))

            async def caller() -> None:
                for number in waiting:
                    found[number] = await _call(client, images[number], units[number])
                    bar.advance(task)

            await asyncio.gather(*(caller() for _ in range(CALLERS)))
    readings, versions, runs, seconds = zip(*(one for one in found if one is not None), strict=True)
    elapsed = time.perf_counter() - started
    return Answers(list(readings), list(versions), list(runs), list(seconds), elapsed)


async def _call(client: httpx.AsyncClient, image: Any, unit: str) -> tuple[dict[str, Any], str, str, float]:
    headers = {"x-algorail-unit": unit} if unit else {}
    started = time.perf_counter()
    body = {"pixels": image.tolist()}
    response = await client.post("/v1/algorithms/read_digit/invoke", json=body, headers=headers)
    if response.is_error:
        raise SystemExit(f"{response.status_code}: {response.text}")
    took = time.perf_counter() - started
    told = response.headers
    return response.json(), told["x-algorail-version"], told["x-algorail-run-id"], took


def _report(answers: Answers, digits: prepare.Digits, server: Server) -> None:
    right = np.array([reading["digit"] for reading in answers.readings]) == digits.held_out_labels
    second = np.array([_second(reading) for reading in answers.readings])
    millis = np.array(answers.seconds) * 1e3
    size = sum(file.stat().st_size for file in (server.home / "runs").rglob("*") if file.is_file())
    console.print(f"  accuracy          [bold]{right.mean():.1%}[/] of {len(right)}")
    for name, which in (("first look", ~second), ("second opinion", second)):
        console.print(
            f"  {name:<17} {which.sum()} runs ({which.mean():.0%}), {right[which].mean():.1%} right"
        )
    console.print(
        f"  speed             {len(right) / answers.elapsed:.0f} requests/s with {CALLERS} callers, "
        f"p50 {np.percentile(millis, 50):.1f} ms, p99 {np.percentile(millis, 99):.1f} ms"
    )
    console.print(
        f"  record            {size / len(right):,.0f} bytes a run on disk, every one committed first"
    )


async def _split(server: Server, digits: prepare.Digits) -> None:
    """Every writer calls twice, with different images; nobody may change sides."""
    units = [f"writer-{number}" for number in range(WRITERS)]
    images = list(digits.held_out[: 2 * WRITERS])
    first = await _call_all(server, images[:WRITERS], units, "first call")
    again = await _call_all(server, images[WRITERS:], units, "second call")
    flipped = sum(a != b for a, b in zip(first.versions, again.versions, strict=True))
    for version, count in sorted(Counter(first.versions).items()):
        console.print(f"  version {version}         {count} of {WRITERS} writers ({count / WRITERS:.0%})")
    console.print(f"  changed sides     [bold]{flipped}[/]")
    if flipped:
        raise SystemExit("a unit changed its version")


def _stay(server: Server) -> None:
    console.print(Rule(style="dim"))
    console.print(f"It goes on running at [bold]{server.url}[/] until Ctrl+C. In another shell:\n")
    console.print(f"  export ALGORAIL_HOME={server.home}", highlight=False)
    console.print(f"  {_algorail()} runs", highlight=False)
    try:
        while True:
            time.sleep(3_600)
    except KeyboardInterrupt:
        console.print("stopping")


@contextmanager
def _server(home: Path, port: int) -> Iterator[Server]:
    """`algorail up` in a process of its own, as in production; stopped when the block ends."""
    log = home / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_algorail(), "up", "--port", str(port)], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield _wait(home, process, log)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(home: Path, process: subprocess.Popen[bytes], log: Path) -> Server:
    written = home / "server.json"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if written.exists():
            told = json.loads(written.read_text())
            return Server(told["url"], told["key"], home)
        time.sleep(0.05)
    raise SystemExit(f"the server did not start:\n{log.read_text()}")


def _home() -> Path:
    """A fresh state folder, with the settings that the algorithm needs."""
    home = Path(os.environ.setdefault("ALGORAIL_HOME", str(Path(".algorail").resolve())))
    if (home / "models").is_dir() and (home / "lab.db").is_file():
        shutil.rmtree(home)  # of an earlier demo
    home.mkdir(parents=True, exist_ok=True)
    (home / "server.json").unlink(missing_ok=True)
    settings = home / "settings.toml"
    if not settings.exists():
        settings.write_text(
            f'[engine.blocks.db_lookup.connections.lab]\nurl = "sqlite:///{home / "lab.db"}"\n',
            encoding="utf-8",
        )
    return home


def _second(reading: dict[str, Any]) -> bool:
    return bool(reading["by"] == "second opinion")


def _algorail() -> str:
    return str(Path(sys.executable).with_name("algorail"))


def _bar() -> Progress:
    columns = (TextColumn("  {task.description:<17}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def _title(text: str) -> None:
    console.print()
    console.print(f"[bold]{text}[/]")


if __name__ == "__main__":
    main()
