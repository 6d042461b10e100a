"""A Python class with `predict` or `predict_batch`: its typed signature is the model's schema."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from algorail.engine.kit.errors import ConfigInvalid
from algorail.model_host.class_schema import ClassSchema, class_schema
from algorail.model_host.serve.tensors import Columns
from algorail.model_host.spec import DATATYPES, Manifest, Tensor


class ClassRuntime:
    """An instance of the class. Single values come as Python scalars, others as numpy arrays or lists.

    Args:
        instance: With `load` already called.
        manifest: Names and types.
        schema: What the class's own annotations say.
    """

    def __init__(self, instance: Any, manifest: Manifest, schema: ClassSchema) -> None:
        self._outputs = manifest.outputs
        self._lists = schema.lists
        self._predict = _by_row(instance.predict) if not schema.batch else instance.predict_batch

    def predict(self, inputs: Columns) -> Columns:
        """Outputs of these rows, in one call of `predict_batch` or one call of `predict` for each."""
        columns = [
            column.tolist() if column.ndim == 1 or name in self._lists else list(column)
            for name, column in inputs.items()
        ]
        rows = [dict(zip(inputs, values, strict=True)) for values in zip(*columns, strict=True)]
        results: Sequence[Any] = self._predict(rows)
        if len(results) != len(rows):
            raise ValueError(f"predict_batch got {len(rows)} rows and returned {len(results)}")
        return {name: _column(name, tensor, results) for name, tensor in self._outputs.items()}


def _by_row(predict: Callable[..., Any]) -> Callable[[list[dict[str, Any]]], list[Any]]:
    return lambda rows: [predict(**row) for row in rows]


def _column(name: str, tensor: Tensor, results: Sequence[Any]) -> Any:
    values = [_field(result, name) for result in results]
    if tensor.dtype == "string":
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    return np.asarray(values, dtype=tensor.dtype if tensor.dtype in DATATYPES else None)


def _field(result: Any, name: str) -> Any:
    if isinstance(result, dict):
        return result[name]
    if dataclasses.is_dataclass(result):
        return getattr(result, name)
    return result


def load(folder: Path, manifest: Manifest) -> ClassRuntime:
    """Import the class from the folder's `code/` and call its `load` with the folder's `artifacts/`."""
    module_name, _, class_name = manifest.entry.partition(":")
    code = folder / "code"
    try:
        cls = getattr(_module(code, module_name), class_name)
        instance = cls()
        if hasattr(instance, "load"):
            instance.load(folder / "artifacts")
        schema = class_schema(cls)
    except Exception as error:
        raise ConfigInvalid(
            f"model {manifest.name!r} cannot be loaded: {type(error).__name__}: {error}",
            code="model-load-failed",
        ) from error
    return ClassRuntime(instance, manifest, schema)


def _module(code: Path, name: str) -> ModuleType:
    """The packaged module itself, even if another of that name is installed; its siblings can be
    imported.
    """
    sys.path.insert(0, str(code))
    found = importlib.util.spec_from_file_location(name, code / f"{name}.py")
    if found is None or found.loader is None:
        raise ImportError(f"no module {name!r} in {str(code)!r}")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    return module
