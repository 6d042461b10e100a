"""`algorail up | doctor`: start a server on this machine, and find out why something does not work."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.markup import escape

from algorail.engine.cli.client import SERVER_FILE, Client, address
from algorail.engine.cli.output import Json, as_size, console, show_json
from algorail.engine.kit.errors import AlgorailError, InvalidInput, Unavailable
from algorail.engine.kit.home import home_folder, write_private

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_FREE_BYTES = 256 * 1024 * 1024


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(up)
    app.command()(doctor)


def up(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on [default: 127.0.0.1].")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", help="Port; 0 takes a free one [default: 8750].")
    ] = None,
    expose: Annotated[
        bool, typer.Option("--expose", help="Allow an address that other machines can reach.")
    ] = False,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "warning",
    as_json: Json = False,
) -> None:
    """Start the server: API, runs and records in one process, everything in one folder."""
    # The server's libraries are heavy; the other commands must not wait for them.
    from algorail.engine.api.app import create_app  # noqa: PLC0415
    from algorail.engine.api.serving import serve  # noqa: PLC0415
    from algorail.engine.service.settings import read_settings  # noqa: PLC0415
    from algorail.engine.worker.executors import executor_of  # noqa: PLC0415

    settings = read_settings(home_folder())
    wanted_host = host or settings.engine.host
    if wanted_host not in _LOOPBACK and not expose:
        raise InvalidInput(
            f"--host {wanted_host} can be reached from other machines",
            code="host-exposed",
            cure="add --expose if that is meant, and put TLS in front of it",
        )
    listener = _listen(wanted_host, settings.engine.port if port is None else port)
    app = create_app(settings, executor=executor_of)
    url = _url(wanted_host, listener.getsockname()[1])
    serve(
        app,
        listener,
        on_ready=lambda: _announce(url, app.state.engine.admin_key(), as_json=as_json),
        on_stop=_withdraw,
        log_level=log_level,
    )


def doctor(as_json: Json = False) -> None:
    """Check this installation and the server, and say what to do about what is wrong."""
    findings = [_run(check) for check in _CHECKS]
    if as_json:
        show_json(
            [{"check": one.check, "ok": one.ok, "says": one.says, "cure": one.cure} for one in findings]
        )
    else:
        for one in findings:
            console.print(
                f"{'[green]✓[/]' if one.ok else '[red]✗[/]'} [bold]{one.check}[/] {escape(one.says)}"
            )
            if one.cure:
                console.print(f"    [green]→ {escape(one.cure)}[/]")
    if not all(one.ok for one in findings):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Finding:
    check: str
    ok: bool
    says: str
    cure: str = ""


def _run(check: Callable[[], _Finding]) -> _Finding:
    try:
        return check()
    except AlgorailError as error:
        return _Finding(check.__name__.strip("_"), False, error.message, error.cure)


def _python() -> _Finding:
    running = ".".join(map(str, sys.version_info[:3]))
    fast = sys.version_info >= (3, 12)
    return _Finding(
        "python", True, f"{running}{'' if fast else ': works; 3.12 and newer start parallel blocks sooner'}"
    )


def _home() -> _Finding:
    home = home_folder()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        return _Finding("home", False, f"{home} cannot be written", "set ALGORAIL_HOME to a folder of yours")
    state = os.statvfs(existing)
    free = state.f_bavail * state.f_frsize
    if free < _FREE_BYTES:
        return _Finding(
            "home", False, f"{home} has {as_size(free)} free", "make room: durable records need it"
        )
    return _Finding("home", True, f"{home}, {as_size(free)} free")


def _blocks() -> _Finding:
    from algorail.engine.registry.kinds import InstalledKinds  # noqa: PLC0415  # imports every block's libraries

    kinds = InstalledKinds()
    broken = kinds.broken()
    if broken:
        says = "; ".join(f"{key}: {reason}" for key, reason in broken.items())
        return _Finding("blocks", False, says, "reinstall or remove the packages that offer them")
    return _Finding("blocks", True, ", ".join(kinds.keys()))


def _server() -> _Finding:
    with Client(timeout=5) as client:
        ready: dict[str, Any] = client.get("/readyz")
    return _Finding("server", True, f"{address().url} is {ready.get('status', 'ready')}")


def _key() -> _Finding:
    with Client(timeout=5) as client:
        count = len(client.get("/v1/algorithms")["algorithms"])
    return _Finding("key", True, f"accepted; {count} algorithms within its reach")


_CHECKS = (_python, _home, _blocks, _server, _key)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"{host}:{port} cannot be taken: {error.strerror}",
            code="port-taken",
            cure="another server may be running; choose a port with --port, 0 for any",
        ) from error
    return listener


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(url: str, key: str, *, as_json: bool) -> None:
    """Write address and key where the other commands look, readable by this user only."""
    file = home_folder() / SERVER_FILE
    write_private(file, json.dumps({"url": url, "key": key, "pid": os.getpid()}))
    if as_json:
        show_json({"url": url, "home": str(home_folder())})
        return
    console.print(f"[bold green]Algorail[/] is up at [bold]{url}[/]")
    console.print(
        f"[dim]state in {escape(str(home_folder()))} · OpenAPI at {url}/openapi.json · Ctrl+C stops it[/]",
        soft_wrap=True,
    )


def _withdraw() -> None:
    """Take the announcement back, unless another server has made its own since."""
    file = home_folder() / SERVER_FILE
    with contextlib.suppress(OSError, ValueError):
        if json.loads(file.read_text(encoding="utf-8")).get("pid") == os.getpid():
            file.unlink()
