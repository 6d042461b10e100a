"""scikit-learn estimators and pipelines, saved by skops (or, when trusted, by pickle)."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algorail.engine.kit.errors import ConfigInvalid
from algorail.model_host.serve.tensors import Columns
from algorail.model_host.spec import Manifest


class SklearnRuntime:
    """An estimator whose methods are the model's outputs.

    Args:
        estimator: Fitted.
        methods: Output name → method of the estimator.
    """

    def __init__(self, estimator: Any, methods: Mapping[str, str]) -> None:
        self._methods = [(output, getattr(estimator, method)) for output, method in methods.items()]

    def predict(self, inputs: Columns) -> Columns:
        """Every output for these rows."""
        features = table(inputs)
        return {output: _dense(method(features)) for output, method in self._methods}


def table(inputs: Columns) -> Any:
    """The estimator's X: the one input as it is, or all inputs side by side in their order.

    A single text input is a one-dimensional array, as text vectorizers want it.
    """
    if len(inputs) == 1:
        [only] = inputs.values()
        return only.reshape(-1, 1) if only.ndim == 1 and only.dtype != object else only
    columns = [column.reshape(len(column), -1) for column in inputs.values()]
    if any(column.dtype == object for column in columns):
        columns = [column.astype(object) for column in columns]
    return np.concatenate(columns, axis=1)


def _dense(result: Any) -> Any:
    return np.asarray(result.toarray() if hasattr(result, "toarray") else result)


def load(folder: Path, manifest: Manifest) -> SklearnRuntime:
    """The estimator of a folder whose trust and hashes were checked."""
    try:
        estimator = _read(folder, manifest)
    except Exception as error:
        raise ConfigInvalid(
            f"model {manifest.name!r} cannot be loaded: {type(error).__name__}: {error}",
            code="model-load-failed",
            cure=f"it was saved with {manifest.requirements}; install these versions, or save it again",
        ) from error
    return SklearnRuntime(estimator, manifest.methods)


def _read(folder: Path, manifest: Manifest) -> Any:
    if manifest.format == "pickle":
        return pickle.loads((folder / "model.pickle").read_bytes())  # noqa: S301  # trusted, see runtimes.load
    import skops.io  # noqa: PLC0415  # seconds, and only here

    trusted = list(manifest.trust.types) if manifest.trust else []
    return skops.io.load(folder / "model.skops", trusted=trusted)
