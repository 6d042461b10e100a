"""Where a model answers: names from the operator and the model host, load and health of every address.

Routing is power of two choices on outstanding requests. An address that fails several times in a row is
left alone for a while, longer each time, then one request is allowed to find out whether it is back.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from algorail.engine.kit.clock import Clock
from algorail.engine.kit.errors import ConfigInvalid, Forbidden, NotFound, Unavailable
from algorail.model_host.endpoints import FILE, EndpointEntry, read_endpoints
from algorail.model_host.spec import Tensor

FAILURES = 3
"""Failures in a row that eject an address."""
OPEN_FIRST, OPEN_MAX = 1.0, 30.0
"""Seconds an ejected address rests: at first, and at most."""
BUDGET_SHARE, BUDGET_MAX = 0.1, 10.0
"""Retries allowed for each request, and how many may be saved up: a retry storm must not follow an
outage."""


class KnownModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model in the operator's settings: `model_call.models.NAME`.

    Attributes:
        urls: Base addresses.
        model: The name the server knows it by, where that differs.
        api_key: Reference to a secret.
    """

    urls: list[str]
    model: str = ""
    api_key: str = ""


class ModelCallSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's settings of this block.

    Attributes:
        models: Models by name; they hide what the model host announces.
        allow: Origins that plans may name as `url`, such as `http://10.0.0.7:8000`.
    """

    models: dict[str, KnownModel] = {}
    allow: list[str] = []


@dataclass(slots=True, eq=False)
class Address:
    """One base address and what is known of its health."""

    url: str
    parsed: httpx.URL
    outstanding: int = 0
    failures: int = 0
    rest: float = OPEN_FIRST
    open_until: float | None = None
    probing: bool = False

    def admits(self, now: float) -> bool:
        """Whether a request may go there; after its rest, one at a time."""
        return self.open_until is None or (now >= self.open_until and not self.probing)

    def begin(self) -> bool:
        """A request goes there; whether it is the probe of a rested address."""
        self.outstanding += 1
        probe = self.open_until is not None
        self.probing = self.probing or probe
        return probe

    def end(self, healthy: bool | None, now: float, *, probe: bool) -> None:
        """It is over. None: it says nothing about the address (cancelled, refused, busy)."""
        self.outstanding -= 1
        if probe:
            self.probing = False
        if healthy:
            self.failures, self.open_until, self.rest = 0, None, OPEN_FIRST
        elif healthy is False:
            self.failures += 1
            if probe or self.failures >= FAILURES:
                self.open_until = now + self.rest
                self.rest = min(self.rest * 2, OPEN_MAX)


@dataclass(slots=True)
class Pool:
    """The addresses of one model in this process."""

    name: str
    clock: Clock
    addresses: list[Address] = field(default_factory=list)
    budget: float = BUDGET_MAX

    def update(self, urls: Sequence[str]) -> None:
        """Use these addresses; what is known of those that stay is kept."""
        known = {address.url: address for address in self.addresses}
        self.addresses = [known.get(url) or Address(url, httpx.URL(url)) for url in urls]

    def pick(self, tried: Collection[Address]) -> Address:
        """The address for the next attempt; those that were tried only if no other is left.

        Raises:
            Unavailable: `model-down`, if there is none, or every one rests.
        """
        now = self.clock.monotonic()
        fit = [address for address in self.addresses if address.admits(now)]
        fresh = [address for address in fit if address not in tried] or fit
        if not fresh:
            raise self._down(now)
        if len(fresh) > 2:
            fresh = random.sample(fresh, 2)
        fewest = min(address.outstanding for address in fresh)
        return random.choice([address for address in fresh if address.outstanding == fewest])

    def deposit(self) -> None:
        """A first attempt was made: it earns a part of a retry."""
        self.budget = min(self.budget + BUDGET_SHARE, BUDGET_MAX)

    def withdraw(self) -> bool:
        """Whether one more retry is within the budget."""
        if self.budget < 1:
            return False
        self.budget -= 1
        return True

    def _down(self, now: float) -> Unavailable:
        if not self.addresses:
            return Unavailable(f"model {self.name!r} has no replica that is ready", code="model-down")
        waits = [address.open_until - now for address in self.addresses if address.open_until is not None]
        return Unavailable(
            f"every address of model {self.name!r} failed lately: {[a.url for a in self.addresses]}",
            code="model-down",
            retry_after=max(0.0, min(waits, default=0.0)),
        )


@dataclass(frozen=True, slots=True)
class Target:
    """A resolved model."""

    pool: Pool
    model: str
    api_key: str
    inputs: Mapping[str, Tensor]


class Directory:
    """Finds models by name. The endpoint file is read again whenever it changed.

    Args:
        home: State folder.
        settings: The operator's, for this block.
        clock: For the health of addresses.

    Raises:
        ConfigInvalid: If the settings are wrong.
    """

    def __init__(self, home: Path, settings: Mapping[str, Any], clock: Clock) -> None:
        try:
            self._settings = msgspec.convert(settings, ModelCallSettings)
        except msgspec.ValidationError as error:
            raise ConfigInvalid(f"settings of model_call: {error}") from error
        self._allowed = {origin(url) for url in self._settings.allow}
        self._home = home
        self._file = home / FILE
        self._stamp: tuple[int, ...] = ()
        self._announced: dict[str, EndpointEntry] = {}
        self._clock = clock
        self._targets: dict[str, Target] = {}
        self._pools: dict[str, Pool] = {}

    def find(self, model: str, url: str) -> Target:
        """The model of that name, or the one behind that address.

        Raises:
            NotFound: `model-not-found`, listing the names that are known.
            Forbidden: `model-url-forbidden`.
        """
        self._refresh()
        key = model or url
        target = self._targets.get(key)
        if target is None:
            target = self._targets[key] = self._named(model) if model else self._addressed(url)
        return target

    def _refresh(self) -> None:
        try:
            status = self._file.stat()
            stamp: tuple[int, ...] = (status.st_mtime_ns, status.st_ino, status.st_size)
        except FileNotFoundError:
            stamp = ()
        if stamp != self._stamp:
            self._announced = read_endpoints(self._home)
            self._stamp = stamp
            self._targets.clear()

    def _named(self, name: str) -> Target:
        known, announced = self._settings.models.get(name), self._announced.get(name)
        if known is not None:
            return Target(self._pool(name, known.urls), known.model or name, known.api_key, {})
        if announced is not None:
            return Target(self._pool(name, announced.urls), name, "", announced.inputs)
        names = sorted({*self._settings.models, *self._announced})
        raise NotFound(
            f"there is no model {name!r}; known: {names}",
            code="model-not-found",
            cure="deploy it, or name its addresses in the settings of model_call",
        )

    def _addressed(self, url: str) -> Target:
        if origin(url) not in self._allowed:
            raise Forbidden(
                f"model_call may not call {url!r}",
                code="model-url-forbidden",
                cure="the operator can allow its origin or name the model in the settings of model_call",
            )
        return Target(self._pool(url, [url]), "", "", {})

    def _pool(self, key: str, urls: Sequence[str]) -> Pool:
        pool = self._pools.setdefault(key, Pool(key, self._clock))
        pool.update([url.rstrip("/") for url in urls])
        return pool


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address.

    Raises:
        ConfigInvalid: If it is no plain http or https address.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (KeyError, ValueError):
        raise ConfigInvalid(f"url == {url!r}, must be http:// or https://") from None
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise ConfigInvalid(f"url == {url!r}, must have a host, no user, no query and no fragment")
    return parts.scheme, parts.hostname.lower(), port
