"""The main job, end to end, on real data: train, publish, call, trace, split. Run it with `make demo`.

Everything listens on loopback and lives in one folder (`ALGORAIL_HOME`, here `.algorail` unless it is set).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from algorail.model_host.deploy.local import BlockingLocalHost
from examples import common
from examples.common import Reply, Server, console, fact, title
from examples.read_digit import prepare

HERE = Path(common.relative(Path(__file__).parent))
SETTINGS = '[engine.blocks.db_lookup.connections.lab]\nurl = "sqlite:///{home}/lab.db"\n'
WRITERS = 400
"""Units of the traffic split, unless there are fewer images."""
WARM = 100


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo; with --stay leave everything running until Ctrl+C."""
    options = _options(argv)
    home = common.fresh_home(SETTINGS)
    with console.status("preparing") as status, common.serving(home, options.port) as starting:
        digits = prepare.load(options.limit)
        folders = prepare.prepare(digits, home, status.update)
        status.update("starting two replicas of each model")
        with BlockingLocalHost(home) as host:
            for name, folder in folders.items():
                host.deploy(name, folder, replicas=2)
            server = starting.ready()
            status.stop()
            _show(server, digits)
            if options.stay:
                common.stay(server)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--limit", type=int, help="read only so many of the held-out images")
    parser.add_argument("--stay", action="store_true", help="leave it running")
    parser.add_argument("--port", type=int, default=0, help="port of the server [default: a free one]")
    return parser.parse_args(argv)


def _show(server: Server, digits: prepare.Digits) -> None:
    console.print(f"Algorail is up at [bold]{server.url}[/], with two models in two replicas each")
    title("An algorithm is a Python function; publishing it makes an immutable version")
    server.command("publish", f"{HERE / 'algorithm.py'}:read_digit", "--note", "first version")
    _warm(server, digits)
    title(f"{len(digits.held_out)} scanned digits that nobody has learned from, through REST")
    before = server.record_bytes()
    replies, elapsed = server.call_all(
        "read_digit", [_body(image) for image in digits.held_out], label="reading"
    )
    _report(replies, digits)
    fact("speed", common.speed(replies, elapsed))
    written = (server.record_bytes() - before) / len(replies)
    fact("record", f"{written:,.0f} bytes a run on disk, every one committed before its answer")
    title("Every block of every run is on record")
    server.command("trace", next(reply.run for reply in replies if _second(reply)))
    title("A second version, and a fifth of the writers get it: always the same ones")
    server.command("publish", f"{HERE / 'careful.py'}:read_digit", "--alias", "", "--note", "asks sooner")
    server.command("split", "read_digit", "prod", "v1=80", "v2=20")
    _split(server, digits)
    common.try_it(server, "read_digit", _body(digits.held_out[0]))


def _warm(server: Server, digits: prepare.Digits) -> None:
    """The workers of own blocks start with their first callers, and those are not the ones to measure."""
    bodies = [_body(image) for image in digits.held_out[:WARM]]
    replies, elapsed = server.call_all("read_digit", bodies)
    slowest = max(reply.seconds for reply in replies)
    fact(
        "first calls",
        f"{len(replies)} in {elapsed:.1f} s; the slowest waited {slowest:.1f} s for a worker to start",
    )


def _report(replies: Sequence[Reply], digits: prepare.Digits) -> None:
    right = np.array([reply.output["digit"] for reply in replies]) == digits.held_out_labels
    second = np.array([_second(reply) for reply in replies])
    fact("accuracy", f"[bold]{right.mean():.1%}[/] of {len(right)}")
    for name, which in (("first look", ~second), ("second opinion", second)):
        share = f", {right[which].mean():.1%} of them right" if which.any() else ""
        fact(name, f"{which.sum()} runs ({which.mean():.0%}){share}")


def _split(server: Server, digits: prepare.Digits) -> None:
    """Every writer calls twice, with different images; nobody may change sides."""
    writers = min(WRITERS, len(digits.held_out) // 2)
    units = [f"writer-{number}" for number in range(writers)]
    bodies = [_body(image) for image in digits.held_out[: 2 * writers]]
    first, _ = server.call_all("read_digit", bodies[:writers], units=units, label="first call")
    again, _ = server.call_all("read_digit", bodies[writers:], units=units, label="second call")
    flipped = sum(a.version != b.version for a, b in zip(first, again, strict=True))
    for version, count in sorted(Counter(reply.version for reply in first).items()):
        fact(f"version {version}", f"{count} of {writers} writers ({count / writers:.0%})")
    fact("changed sides", f"[bold]{flipped}[/]")
    if flipped:
        raise SystemExit("a unit changed its version")


def _second(reply: Reply) -> bool:
    return bool(reply.output["by"] == "second opinion")


def _body(image: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"pixels": image.tolist()}


if __name__ == "__main__":
    main()
