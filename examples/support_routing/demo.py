"""Text support routing, end to end: embed, search, vote, answer.

Run it with `python -m examples.support_routing.demo`.

Everything listens on loopback and lives in one folder (`ALGORAIL_HOME`, here `.algorail` unless it is set).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.padding import Padding
from rich.table import Table

from algorail.model_host.deploy.local import BlockingLocalHost
from examples import common
from examples.common import Server, console, fact, title
from examples.support_routing import embedder, prepare
from examples.support_routing.prepare import Message

ALGORITHM = common.relative(Path(__file__).parent / "algorithm.py")
SETTINGS = '[engine.blocks.db_lookup.connections.support]\nurl = "sqlite:///{home}/support.db"\n'
QUESTIONS = (
    ("Anna", "Where is my order 50114? It should have been here on Friday."),
    ("Ben", "my card was charged twice for one order, please fix"),
    ("Chloe", "the app crashes whenever I open it"),
    ("Deniz", "Lovely weather today, isn't it?"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Route support messages; with --stay leave everything running until Ctrl+C."""
    options = _options(argv)
    home = common.fresh_home(SETTINGS)
    learned, held_out = prepare.load()
    held_out = held_out[:: max(1, len(held_out) // options.limit)] if options.limit else held_out
    with console.status("preparing") as status, common.serving(home, options.port) as starting:
        folder = prepare.prepare(learned, home, options.embeddings, status.update)
        status.update("starting a replica of the model")
        with BlockingLocalHost(home) as host:
            host.deploy(embedder.NAME, folder, trust=options.embeddings == "minilm")
            server = starting.ready()
            status.stop()
            console.print(f"Algorail is up at [bold]{server.url}[/], embeddings: {options.embeddings}")
            _publish(server)
            _measure(server, held_out, len(learned))
            _answers(server)
            _inbox(server, held_out)
            if not options.stay:
                _without_model(server, host)
            name, text = QUESTIONS[0]
            common.try_it(server, "route_message", {"text": text, "name": name})
            if options.stay:
                common.stay(server)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--embeddings",
        choices=("trained", "minilm"),
        default="trained",
        help=f"the model: trained here, or pretrained by the extra {embedder.EXTRA!r} [default: trained]",
    )
    parser.add_argument("--limit", type=int, default=0, help="route only about that many held-out messages")
    parser.add_argument("--stay", action="store_true", help="leave it running")
    parser.add_argument("--port", type=int, default=0, help="port of the server [default: a free one]")
    return parser.parse_args(argv)


def _publish(server: Server) -> None:
    title("Two algorithms: one routes a message, the other one an inbox")
    server.command("publish", f"{ALGORITHM}:route_inbox")
    replies, elapsed = server.call_all("route_message", [{"text": "hello"}] * common.CALLERS)
    fact("first calls", f"{len(replies)} in {elapsed:.1f} s, while the workers of its own blocks started")


def _measure(server: Server, messages: Sequence[Message], learned: int) -> None:
    title(f"{len(messages)} messages that nobody has learned from; {learned} others are the past")
    bodies = [{"text": message["text"]} for message in messages]
    replies, elapsed = server.call_all("route_message", bodies, label="routing")
    right = np.array(
        [reply.output["team"] == message["team"] for reply, message in zip(replies, messages, strict=True)]
    )
    machine = np.array([reply.output["answered"] for reply in replies])
    fact("right team", f"[bold]{right.mean():.1%}[/] of {len(right)}; {1 / 6:.1%} would be chance")
    for name, which in (("answered at once", machine), ("left to a person", ~machine)):
        share = f", {right[which].mean():.1%} of them to the right team" if which.any() else ""
        fact(name, f"{which.sum()} ({which.mean():.0%}){share}")
    fact("speed", common.speed(replies, elapsed))
    _by_team(messages, right, machine)


def _by_team(messages: Sequence[Message], right: np.ndarray, machine: np.ndarray) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2))
    table.add_column("  team")
    for heading in ("messages", "right team", "answered at once"):
        table.add_column(heading, justify="right")
    teams = np.array([message["team"] for message in messages])
    for team in dict.fromkeys(teams.tolist()):
        which = teams == team
        table.add_row(
            f"  {team}", f"{which.sum()}", f"{right[which].mean():.0%}", f"{machine[which].mean():.0%}"
        )
    console.print()
    console.print(table)


def _answers(server: Server) -> None:
    title("What customers hear")
    replies = [server.call("route_message", {"text": text, "name": name}) for name, text in QUESTIONS]
    for (name, text), reply in zip(QUESTIONS, replies, strict=True):
        _conversation(name, text, reply.output)
    title("Every block is on record; what is personal is masked in it")
    server.command("trace", replies[0].run)


def _conversation(name: str, text: str, routed: dict[str, Any]) -> None:
    said = f"[cyan]{name:>7}[/]  {text}"
    told = f"[green]{routed['reply']}[/] [dim]({routed['team']}, {routed['confidence']:.2f})[/]"
    console.print(Padding(said, (0, 0, 0, 2), expand=False))
    console.print(Padding(told, (0, 0, 1, 11), expand=False))


def _inbox(server: Server, messages: Sequence[Message]) -> None:
    title("A whole inbox in one call: each message by a sub-algorithm, four at a time")
    some = messages[:: max(1, len(messages) // 12)][:12]
    reply = server.call("route_inbox", {"texts": [message["text"] for message in some]})
    teams = Counter(routed["team"] for routed in reply.output)
    sums = ", ".join(f"{count} {team}" for team, count in teams.most_common())
    fact(f"{len(some)} messages", f"in {reply.seconds * 1e3:.0f} ms: {sums}")


def _without_model(server: Server, host: BlockingLocalHost) -> None:
    title("The model goes away: keywords decide, and nobody gets an error")
    host.remove(embedder.NAME)
    name, text = "Elif", "Tracking is silent, the courier has not brought my package"
    _conversation(name, text, server.call("route_message", {"text": text, "name": name}).output)


if __name__ == "__main__":
    main()
