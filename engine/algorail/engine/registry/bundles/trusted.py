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

from algorail.engine.block.kind import BlockKind, Kinds
from algorail.engine.kit.errors import Unavailable
from algorail.engine.registry.bundles.archive import Manifest

_importing = threading.Lock()


class TrustedKinds:
    """The blocks of one bundle, imported here, then the installed ones."""

    def __init__(self, manifest: Manifest, folder: Path, installed: Kinds) -> None:
        self._installed = installed
        self._kinds = {kind.key: kind for kind in _load(manifest, folder)}

    def get(self, key: str) -> BlockKind:
        """The kind of that key (see `Kinds.get`)."""
        return self._kinds.get(key) or self._installed.get(key)


def _load(manifest: Manifest, folder: Path) -> list[BlockKind]:
    local = {_top(path) for path in manifest.files}
    with _importing:
        hidden = {
            name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in local
        }
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        try:
            found = [
                getattr(importlib.import_module(entry.module), entry.name)
                for entry in manifest.blocks.values()
            ]
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
    return [getattr(block, "kind", block) for block in found]


def _top(path: str) -> str:
    return path.partition("/")[0].removesuffix(".py")
