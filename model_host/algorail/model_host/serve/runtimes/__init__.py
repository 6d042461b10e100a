"""How a packaged model is loaded and called, one module per kind; all behind `Runtime`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from algorail.engine.kit.errors import ConfigInvalid, Forbidden
from algorail.model_host.spec import Kind, Manifest, read_manifest

if TYPE_CHECKING:
    from algorail.model_host.serve.tensors import Columns


class Runtime(Protocol):
    """A loaded model."""

    def predict(self, inputs: Columns) -> Columns:
        """Outputs for some rows: every array has the rows as its first dimension. Runs in the model's
        thread.
        """
        ...


_LOADERS: Mapping[Kind, str] = {
    "sklearn": "algorail.model_host.serve.runtimes.sklearn",
    "class": "algorail.model_host.serve.runtimes.python_class",
}


def load(folder: Path, *, trust: bool = False) -> tuple[Manifest, Runtime]:
    """Load a packaged model, after its files were compared with its manifest.

    Args:
        folder: Where `model.json` is.
        trust: Whether code inside the artefact may run.

    Raises:
        NotFound: `model-not-packaged`.
        ConfigInvalid: `model-manifest-invalid`, `model-artefact-changed` or `model-load-failed`.
        Forbidden: `model-not-trusted`, if loading would run code and nobody said that it may.
    """
    manifest = read_manifest(folder)
    if manifest.needs_trust and not trust:
        raise Forbidden(
            f"loading model {manifest.name!r} ({manifest.format}) runs code from {str(folder)!r}",
            code="model-not-trusted",
            cure="deploy it with trust=True (--trust) if you know where it comes from",
        )
    verify(folder, manifest)
    loader: Callable[[Path, Manifest], Runtime] = import_module(_LOADERS[manifest.kind]).load
    return manifest, loader(folder, manifest)


def verify(folder: Path, manifest: Manifest) -> None:
    """Compare every file with its recorded hash.

    Raises:
        ConfigInvalid: `model-artefact-changed`, naming every file that differs.
    """
    changed = [path for path, expected in manifest.files.items() if _sha256(folder / path) != expected]
    if changed:
        raise ConfigInvalid(
            f"files of model {manifest.name!r} differ from its manifest: {', '.join(map(repr, changed))}",
            code="model-artefact-changed",
            cure="copy the folder again, or package the model again",
        )


def _sha256(file: Path) -> str:
    if not file.is_file():
        return ""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
