"""All bundles of one server: where they lie, which are warm, how they are run."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from algorail.engine.kind import Kinds
from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.errors import NotFound
from algorail.engine.registry.bundles import environment
from algorail.engine.registry.bundles.archive import MANIFEST, Bundle, Manifest, from_zip
from algorail.engine.registry.bundles.kinds import BundleKinds, isolated
from algorail.engine.registry.bundles.pool import Caller, Pool
from algorail.engine.registry.bundles.process import Launch
from algorail.engine.registry.bundles.trusted import TrustedCode

Policy: TypeAlias = Literal["isolated", "trusted"]
Fetch: TypeAlias = Callable[[str], bytes]
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePolicy:
    """How this operator runs users' code.

    Attributes:
        mode: `isolated` in worker processes; `trusted` in the server's own process.
        workers: Processes per bundle: two, so that a stuck one does not stop the other.
        memory: Address space of a process, bytes: numpy alone maps more than one GB.
        warm: Bundles kept running when idle; the least recently used beyond that are ended.
    """

    mode: Policy = "isolated"
    workers: int = 2
    memory: int = 4_000_000_000
    warm: int = 16


DEFAULT_POLICY = BundlePolicy()


class BundleRunner:
    """Unpacks bundles under `home/bundles/<hash>`, once, and runs their blocks.

    Args:
        home: ALGORAIL_HOME.
        fetch: The zip of a bundle by its hash, from wherever published bundles are kept. Blocking.
        policy: How code is run.
        clock: For pauses and idleness.
    """

    def __init__(
        self, home: Path, fetch: Fetch, policy: BundlePolicy = DEFAULT_POLICY, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._home = home
        self._fetch = fetch
        self._policy = policy
        self._clock = clock
        self._pools: dict[str, Pool] = {}
        self._trusted: dict[str, TrustedCode] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def manifest(self, digest: str) -> Manifest:
        """What a published bundle says of itself; unpacks it if need be, runs nothing.

        Raises:
            NotFound: `bundle-not-found`.
        """
        return msgspec.json.decode((self.folder(digest) / MANIFEST).read_bytes(), type=Manifest)

    def folder(self, digest: str) -> Path:
        """Where a bundle's sources lie."""
        if not _DIGEST.fullmatch(digest):
            raise NotFound(f"no bundle {digest!r}", code="bundle-not-found")
        target = self._home / "bundles" / digest
        if not target.is_dir():
            bundle = from_zip(self._fetch(digest))
            if bundle.digest != digest:
                raise NotFound(f"bundle {digest} is not what its name says", code="bundle-not-found")
            unpack(bundle, target)
        return target

    def kinds(self, digest: str, installed: Kinds) -> Kinds:
        """The kinds that a plan with this bundle may name."""
        manifest = self.manifest(digest)
        if self._policy.mode == "trusted":
            environment.parse(manifest.requirements, manifest.python)
            code = self._trusted.setdefault(digest, TrustedCode(manifest, self.folder(digest)))
            return BundleKinds(manifest, installed, code.build)
        return BundleKinds(manifest, installed, isolated(lambda: self._caller(digest, manifest)))

    async def warm(self, digest: str) -> None:
        """Start a worker of a bundle, so that its first caller need not wait.

        Raises:
            Unavailable: If it does not start (see `Pool.call`).
        """
        manifest = await asyncio.to_thread(self.manifest, digest)
        if self._policy.mode == "isolated":
            await self._pool(digest, manifest).warm()

    def restarts(self) -> dict[str, int]:
        """How many children were replaced, by bundle."""
        return {digest: pool.restarts for digest, pool in self._pools.items()}

    async def aclose(self) -> None:
        """End every child."""
        pools, self._pools = self._pools, {}
        await asyncio.gather(*(pool.aclose() for pool in pools.values()), *self._closing)

    def _caller(self, digest: str, manifest: Manifest) -> Caller:
        async def call(*args: object) -> object:
            return await self._pool(digest, manifest).call(*args)  # type: ignore[arg-type]

        return call

    def _pool(self, digest: str, manifest: Manifest) -> Pool:
        pool = self._pools.get(digest)
        if pool is None:
            pool = Pool(lambda: self._launch(digest, manifest), size=self._policy.workers, clock=self._clock)
            self._pools[digest] = pool
            self._cool(keep=pool)
        return pool

    def _launch(self, digest: str, manifest: Manifest) -> Launch:
        return Launch(
            python=environment.interpreter(manifest.requirements, manifest.python, self._home),
            folder=self.folder(digest),
            blocks=[f"{entry.module}:{entry.name}" for entry in manifest.blocks.values()],
            memory=self._policy.memory,
        )

    def _cool(self, keep: Pool) -> None:
        """End the children of the bundles that nobody has called for longest."""
        idle = [
            digest
            for digest, pool in sorted(self._pools.items(), key=lambda item: item[1].last_used)
            if not pool.busy and pool is not keep
        ]
        for digest in idle[: max(0, len(self._pools) - self._policy.warm)]:
            task = asyncio.ensure_future(self._pools.pop(digest).aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def unpack(bundle: Bundle, target: Path) -> None:
    """Write a bundle's files; the folder appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        for path, source in {**bundle.sources, MANIFEST: msgspec.json.encode(bundle.manifest)}.items():
            file = building / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(source)
        os.rename(building, target)  # noqa: PTH104  # atomic; an existing target is the same content
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
