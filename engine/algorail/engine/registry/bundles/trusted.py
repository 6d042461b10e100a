"""Bundles in the server's own process, only where the operator's policy says `trusted`: fast, and no fence.

Two bundles may hold different code under one module name. So the modules of a bundle are imported with its
folder in front and then taken out of `sys.modules` again: they keep working, and the next bundle gets its
own. An import inside a function, run later, finds the server's modules only.
"""

from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path

from algorail.engine.kind import BlockKind, Runner, Services
from algorail.engine.kit.errors import Unavailable
from algorail.engine.registry.bundles.archive import Manifest

_importing = threading.Lock()


class TrustedCode:
    """The code of one bundle, imported when a plan with it is first built to run."""

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self._manifest = manifest
        self._folder = folder
        self._kinds: dict[str, BlockKind] | None = None

    def build(self, key: str, services: Services) -> Runner:
        """A block of the bundle, ready to be called in this process.

        Raises:
            Unavailable: `bundle-broken`, if the bundle does not import.
        """
        with _importing:
            if self._kinds is None:
                self._kinds = _load(self._manifest, self._folder)
        kind = self._kinds[key]
        return kind.build(kind.config(), services)


def _load(manifest: Manifest, folder: Path) -> dict[str, BlockKind]:
    local = {_top(path) for path in manifest.files}
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in local}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        found = {
            key: getattr(importlib.import_module(entry.module), entry.name)
            for key, entry in manifest.blocks.items()
        }
    except Exception as error:
        raise Unavailable(
            f"the code bundle does not import: {type(error).__name__}: {error}",
            code="bundle-broken",
            retryable=False,
        ) from error
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] in local]:
            del sys.modules[name]
        sys.modules.update(hidden)
    return {key: getattr(block, "kind", block) for key, block in found.items()}


def _top(path: str) -> str:
    return path.partition("/")[0].removesuffix(".py")
