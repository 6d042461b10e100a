"""Code bundles on the server: taken in, kept by content hash, run by `registry.bundles`."""

from __future__ import annotations

from typing import Protocol

import msgspec

from algorail.engine.kind import Kinds
from algorail.engine.kit.errors import NotFound
from algorail.engine.registry.bundles.archive import from_zip
from algorail.engine.service.principal import Principal
from algorail.engine.store import audit, bundles
from algorail.engine.store.bundles import StoredBundle
from algorail.engine.store.database import Database


class BundleKindsSource(Protocol):
    """What the engine needs of whoever runs bundles."""

    def kinds(self, digest: str, installed: Kinds) -> Kinds:
        """The kinds that a plan with this bundle may name. Blocking. Raises `NotFound`."""
        ...

    async def warm(self, digest: str) -> None:
        """Make a bundle ready to be called. Raises `Unavailable` if it cannot."""
        ...

    async def aclose(self) -> None:
        """End every process."""
        ...


class Bundles:
    """The bundles of one server. Blocking.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, by: Principal, archive: bytes) -> StoredBundle:
        """Check and keep a bundle; nothing of it is run. The same content again is the same bundle.

        Raises:
            InvalidInput: If it is not a well-formed bundle.
            LimitExceeded: If it unpacks to too much.
        """
        bundle = from_zip(archive)
        canonical = bundle.to_zip()
        with self._database.write() as tx:
            stored = bundles.put(
                tx,
                hash=bundle.digest,
                manifest=msgspec.json.encode(bundle.manifest),
                archive=canonical,
                author=by.key_id,
            )
            audit.append(
                tx,
                actor=by.key_id,
                action="bundle.put",
                subject=bundle.digest,
                details={"size": len(canonical), "requirements": list(bundle.manifest.requirements)},
            )
        return stored

    def get(self, digest: str) -> StoredBundle:
        """What is known of a bundle. Raises `NotFound`."""
        if len(digest) != 64:
            raise NotFound(f"there is no code bundle {digest[:80]!r}", code="bundle-not-found")
        with self._database.read() as tx:
            return bundles.get(tx, digest)

    def archive(self, digest: str) -> bytes:
        """The bytes of a bundle. Raises `NotFound`."""
        with self._database.read() as tx:
            return bundles.archive(tx, digest)


__all__ = ["BundleKindsSource", "Bundles"]
