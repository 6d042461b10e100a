"""The endpoint file: which models answer where, for every process of this state folder.

`models.json` is replaced whole under a lock, so that a reader sees either the old or the new state; it
may be read again whenever its modification time changes.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from algorail.engine.kit.errors import ConfigInvalid
from algorail.model_host.spec import Tensor

FILE = "models.json"


class EndpointEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Where one model answers.

    Attributes:
        urls: Base addresses of the replicas that are ready.
        version: The model's version.
        protocol: How to speak to it.
        inputs: What it takes, one row each.
        outputs: What it gives, one row each.
        trusted: Whether somebody deployed it with `trust`.
        owner: Process that supervises the replicas.
    """

    urls: list[str]
    version: str = "1"
    protocol: str = "oip_v2"
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    trusted: bool = False
    owner: int = 0


class _File(msgspec.Struct):
    models: dict[str, EndpointEntry] = {}


def read_endpoints(home: Path) -> dict[str, EndpointEntry]:
    """Every model by name; none if nothing was ever deployed.

    Raises:
        ConfigInvalid: `endpoints-invalid`, if the file is damaged.
    """
    file = home / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=_File).models
    except FileNotFoundError:
        return {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{str(file)!r} is damaged: {error}", code="endpoints-invalid") from error


def put_endpoint(home: Path, name: str, entry: EndpointEntry) -> None:
    """Say where a model answers."""
    _change(home, lambda models: models.update({name: entry}))


def remove_endpoint(home: Path, name: str) -> None:
    """Forget a model; nothing happens if it is unknown."""

    def remove(models: dict[str, EndpointEntry]) -> None:
        models.pop(name, None)

    _change(home, remove)


def prune_endpoints(home: Path) -> None:
    """Forget the models whose supervisor is gone."""

    def prune(models: dict[str, EndpointEntry]) -> None:
        for name in [name for name, entry in models.items() if entry.owner and not _alive(entry.owner)]:
            del models[name]

    _change(home, prune)


def _change(home: Path, change: Callable[[dict[str, EndpointEntry]], None]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    with _lock(home):
        models = read_endpoints(home)
        before = dict(models)
        change(models)
        if models == before:
            return
        data = msgspec.json.format(msgspec.json.encode(_File(models)), indent=2) + b"\n"
        descriptor, scratch = tempfile.mkstemp(prefix=f".{FILE}-", dir=home)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            Path(scratch).replace(home / FILE)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise


@contextmanager
def _lock(home: Path) -> Iterator[None]:
    with (home / f".{FILE}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
