"""The embedded backend: models served by supervised subprocesses on loopback.

    async with LocalHost(home) as host:
        endpoint = await host.deploy("digits", "models/digits", replicas=2)

Every replica has a port of its own. One that dies leaves the endpoint file at once and is started
again, later after every failure; a model deployed again is replaced without a moment in which nobody
answers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from algorail.engine.kit.errors import ConfigInvalid, Forbidden, NotFound, Unavailable
from algorail.model_host.deploy.process import ReplicaProcess
from algorail.model_host.endpoints import EndpointEntry, prune_endpoints, put_endpoint, remove_endpoint
from algorail.model_host.serve.threads import default_threads
from algorail.model_host.spec import Manifest, check_name, read_manifest

log = logging.getLogger("algorail.model_host.local")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """How replicas are supervised.

    Attributes:
        ready_timeout: Seconds a replica may take to load; large models need minutes.
        grace: Seconds for running requests when a replica stops.
        backoff: Seconds before the first restart; doubled with every failure in a row.
        backoff_max: The longest wait: a crash loop must not eat the machine.
        steady: Seconds after which a replica counts as healthy and the wait starts again from `backoff`.
    """

    ready_timeout: float = 120.0
    grace: float = 30.0
    backoff: float = 0.5
    backoff_max: float = 30.0
    steady: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    name: str
    path: Path
    manifest: Manifest
    replicas: int
    version: str
    options: tuple[str, ...]
    trust: bool


class Endpoint:
    """A deployed model.

    Attributes:
        name: The model's name.
        version: Its version.
        restarts: How often a replica was started again.
    """

    def __init__(self, plan: _Plan, home: Path, settings: LocalSettings) -> None:
        self.name = plan.name
        self.version = plan.version
        self.restarts = 0
        self._plan = plan
        self._home = home
        self._settings = settings
        self._live: dict[int, ReplicaProcess] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._changed = asyncio.Condition()
        self._announced = False
        (home / "logs").mkdir(parents=True, exist_ok=True)

    @property
    def urls(self) -> list[str]:
        """Base addresses of the replicas that are ready."""
        return [replica.url for _, replica in sorted(self._live.items())]

    @property
    def pids(self) -> list[int]:
        """Processes of the replicas that are ready."""
        return [replica.pid for _, replica in sorted(self._live.items())]

    async def until(self, condition: Callable[[Endpoint], bool], within: float = 60.0) -> None:
        """Wait until something is true of the endpoint, such as `len(endpoint.urls) == 2`.

        Raises:
            TimeoutError: If it is not in time.
        """
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def start(self) -> None:
        """Start every replica; all must be ready, or none stays.

        Raises:
            Unavailable: `replica-failed` or `replica-slow`.
        """
        starts = [asyncio.create_task(self._spawn(index)) for index in range(self._plan.replicas)]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for task in starts:
                task.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await self.stop()
            raise
        self._keepers = [asyncio.create_task(self._keep(index)) for index in range(self._plan.replicas)]

    async def announce(self) -> None:
        """Write the endpoint file, now and with every change."""
        self._announced = True
        await self._notify()

    def withdraw(self) -> None:
        """Leave the endpoint file to whoever writes it next."""
        self._announced = False

    async def stop(self) -> None:
        """Stop supervising, then drain and end every replica; the endpoint file is the host's matter."""
        self.withdraw()
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        live, self._live = list(self._live.values()), {}
        await asyncio.gather(*(replica.stop(self._settings.grace) for replica in live))

    async def _spawn(self, index: int) -> None:
        file = self._home / "logs" / f"model-{self.name}-{index}.log"
        options = ["--path", str(self._plan.path), *self._plan.options]
        self._live[index] = await ReplicaProcess.start(options, file, self._settings.ready_timeout)

    async def _keep(self, index: int) -> None:
        """Start one replica again whenever it ends."""
        loop = asyncio.get_running_loop()
        wait = self._settings.backoff
        while True:
            since = loop.time()
            status = await self._live[index].wait()
            del self._live[index]
            await self._notify()
            log.warning("replica %s/%d ended with status %d", self.name, index, status)
            if loop.time() - since >= self._settings.steady:
                wait = self._settings.backoff
            while index not in self._live:
                await asyncio.sleep(wait)
                wait = min(wait * 2, self._settings.backoff_max)
                try:
                    await self._spawn(index)
                except Unavailable as error:
                    log.error("replica %s/%d cannot be started again: %s", self.name, index, error)
            self.restarts += 1
            await self._notify()

    async def _notify(self) -> None:
        if self._announced:
            try:
                put_endpoint(self._home, self.name, self._entry())
            except (OSError, ConfigInvalid) as error:
                # A full disk or a damaged file must not end the supervision.
                log.error("the endpoint of model %s cannot be written: %s", self.name, error)
        async with self._changed:
            self._changed.notify_all()

    def _entry(self) -> EndpointEntry:
        manifest = self._plan.manifest
        return EndpointEntry(
            urls=self.urls,
            version=self.version,
            inputs=manifest.inputs,
            outputs=manifest.outputs,
            trusted=self._plan.trust,
            owner=os.getpid(),
        )


class LocalHost:
    """Serves models from subprocesses of this process; they end with it.

    Args:
        home: State folder; the endpoint file and the replicas' logs are written there.
        settings: How replicas are supervised.
    """

    def __init__(self, home: str | Path, settings: LocalSettings | None = None) -> None:
        self._home = Path(home)
        self._settings = settings or LocalSettings()
        self._endpoints: dict[str, Endpoint] = {}
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        prune_endpoints(self._home)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """What is deployed, by name."""
        return dict(self._endpoints)

    async def deploy(
        self,
        name: str,
        path: str | Path,
        *,
        replicas: int = 1,
        version: str = "1",
        trust: bool = False,
        threads: int | None = None,
        max_batch: int = 64,
        max_queue: int = 1024,
    ) -> Endpoint:
        """Serve a packaged model; one of the same name is drained once the new replicas are ready.

        Args:
            name: The name it is called by.
            path: Folder of the packaged model.
            replicas: Processes, at least one.
            version: Part of the versioned paths and of every answer.
            trust: Allow an artefact that runs code when it is loaded. Logged, and kept in the endpoint
                file.
            threads: For numeric libraries in each replica; default: the CPU quota divided by `replicas`.
            max_batch: Rows of one model call.
            max_queue: Rows that may wait in one replica.

        Raises:
            NotFound: `model-not-packaged`.
            Forbidden: `model-not-trusted`.
            Unavailable: `replica-failed` or `replica-slow`; what ran before goes on.
        """
        folder, manifest = _packaged(path)
        _check_trust(name, manifest, trust)
        options = {
            "--name": check_name(name),
            "--version": version,
            "--threads": str(threads or default_threads(replicas)),
            "--max-batch": str(max_batch),
            "--max-queue": str(max_queue),
            "--grace": str(max(1, int(self._settings.grace))),
        }
        words = (*(word for option in options.items() for word in option), *(["--trust"] if trust else []))
        plan = _Plan(
            name=name, path=folder, manifest=manifest, replicas=max(1, replicas), version=version,
            options=words, trust=trust,
        )  # fmt: skip
        async with self._lock:
            endpoint = Endpoint(plan, self._home, self._settings)
            await endpoint.start()
            previous = self._endpoints.get(name)
            self._endpoints[name] = endpoint
            if previous is not None:
                # One of its replicas may end just now, and must not write the former addresses again.
                previous.withdraw()
            await endpoint.announce()
            if previous is not None:
                await previous.stop()
        return endpoint

    async def remove(self, name: str) -> None:
        """Stop serving a model.

        Raises:
            NotFound: `model-not-found`, listing what is deployed.
        """
        async with self._lock:
            endpoint = self._endpoints.pop(name, None)
            if endpoint is None:
                raise NotFound(
                    f"model {name!r} is not deployed here; deployed: {sorted(self._endpoints)}",
                    code="model-not-found",
                )
            self._forget(name)
            await endpoint.stop()

    async def stop(self) -> None:
        """Stop everything."""
        async with self._lock:
            endpoints, self._endpoints = self._endpoints, {}
            for name in endpoints:
                self._forget(name)
            await asyncio.gather(*(endpoint.stop() for endpoint in endpoints.values()))

    def _forget(self, name: str) -> None:
        try:
            remove_endpoint(self._home, name)
        except (OSError, ConfigInvalid) as error:  # the replicas must be stopped nevertheless
            log.error("the endpoint of model %s cannot be removed: %s", name, error)


class BlockingLocalHost:
    """`LocalHost` for code without an event loop: a notebook, a script.

    with BlockingLocalHost(home) as host:
        urls = host.deploy("digits", "models/digits", replicas=2)

    Args:
        home: State folder.
        settings: How replicas are supervised.
    """

    def __init__(self, home: str | Path, settings: LocalSettings | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="local-host", daemon=True)
        self._home = Path(home)
        self._settings = settings

    def __enter__(self) -> Self:
        self._thread.start()
        self._host = self._call(self._make())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._call(self._host.stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def deploy(self, name: str, path: str | Path, **options: Any) -> list[str]:
        """The addresses of a newly deployed model; the options of `LocalHost.deploy`."""
        return self._call(self._host.deploy(name, path, **options)).urls

    def remove(self, name: str) -> None:
        """Stop serving a model."""
        self._call(self._host.remove(name))

    async def _make(self) -> LocalHost:
        return await LocalHost(self._home, self._settings).__aenter__()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


def _packaged(path: str | Path) -> tuple[Path, Manifest]:
    folder = Path(path).absolute()
    return folder, read_manifest(folder)


def _check_trust(name: str, manifest: Manifest, trust: bool) -> None:
    if not manifest.needs_trust:
        return
    if not trust:
        raise Forbidden(
            f"loading model {name!r} ({manifest.format}) runs code",
            code="model-not-trusted",
            cure="deploy it with trust=True if you know where it comes from",
        )
    log.warning("model %r is deployed with trust; packaged by %r", name, manifest.trust and manifest.trust.by)


__all__ = ["BlockingLocalHost", "Endpoint", "LocalHost", "LocalSettings"]
