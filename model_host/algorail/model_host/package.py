"""Packaging: a fitted estimator or a class becomes a folder that a replica can serve anywhere.

    save_sklearn(model, "models/digits", name="digits", inputs={"pixels": "float32[64]"})

The folder holds `model.json` (the manifest, with the hash of every file) and the artefact. It is
written beside its place and moved there whole: a replica never sees half a model.
"""

from __future__ import annotations

import getpass
import hashlib
import inspect
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Literal

import msgspec

from algorail.engine.kit.errors import ConfigInvalid, Conflict, Forbidden
from algorail.model_host.class_schema import class_schema
from algorail.model_host.serve.runtimes.sklearn import SklearnRuntime
from algorail.model_host.serve.tensors import NAMES, Columns, zeros
from algorail.model_host.spec import MANIFEST, Manifest, Tensor, Trust, check_name, tensors


def save_sklearn(
    model: Any,
    path: str | Path,
    *,
    name: str,
    inputs: Mapping[str, str | Tensor] | None = None,
    outputs: Mapping[str, str] | None = None,
    trust: bool = False,
    format: Literal["skops", "pickle"] = "skops",
) -> Manifest:
    """Package a fitted scikit-learn estimator or pipeline.

    The types of the outputs are not asked for but measured, by running the model on one row of zeros.

    Args:
        model: The fitted estimator.
        path: The folder to write; a packaged model that is there is replaced.
        name: The model's name.
        inputs: Input name → type of one row (`float32[64]`, `int64`, `string`). Several inputs stand
            side by side in
            the order given. Default: `features`, `float64[n]`.
        outputs: Output name → method (`predict`, `predict_proba`, `decision_function`, `transform`).
            Default: `label` and
            `probabilities` for classifiers, `value` for regressors, `vector` for transformers.
        trust: Package types that skops does not know, or a pickle. It is written into the manifest who
            did so and when,
            and whoever deploys the model has to trust it as well.
        format: `pickle` only where skops cannot, and only with `trust`.

    Raises:
        ConfigInvalid: If a name, a type or a method is wrong, or the model does not answer.
        Forbidden: `model-not-trusted`, listing the types that skops does not know.
        Conflict: If the folder holds something that is no packaged model.
    """
    check_name(name)
    takes = tensors(inputs if inputs is not None else _default_inputs(model))
    methods = dict(outputs if outputs is not None else _default_outputs(model))
    gives = _measure(model, takes, methods)
    if format == "pickle":
        if not trust:
            raise _untrusted(name, "a pickle runs code when it is loaded")
        unknown: tuple[str, ...] = ()
        data = pickle.dumps(model)
    else:
        data, unknown = _skops(model)
        if unknown and not trust:
            raise _untrusted(name, f"it holds types that skops does not know: {', '.join(unknown)}")

    def write(folder: Path) -> Manifest:
        (folder / f"model.{format}").write_bytes(data)
        return Manifest(
            name=name,
            kind="sklearn",
            format=format,
            inputs=takes,
            outputs=gives,
            methods=methods,
            files=_hashes(folder),
            trust=_trust(unknown) if unknown or format == "pickle" else None,
            requirements=_versions("scikit-learn", "skops", "numpy"),
        )

    return _write(Path(path), write)


def save_class(
    cls: type,
    path: str | Path,
    *,
    name: str,
    artifacts: Mapping[str, str | Path] | None = None,
    modules: Sequence[str | Path] = (),
) -> Manifest:
    """Package a class with `predict` or `predict_batch`; its annotations are the schema (see
    `class_schema`).

    The file that defines the class is packed. Deploying it needs `trust`, as it is code.

    Args:
        cls: The class; called without arguments, then `load(artifacts: Path)` if it has that method.
        path: The folder to write; a packaged model that is there is replaced.
        name: The model's name.
        artifacts: Name → file or folder, copied to where `load` finds it.
        modules: Further Python files that the class imports by their plain names.

    Raises:
        ConfigInvalid: If the class has no usable schema or no source file.
        Conflict: If the folder holds something that is no packaged model.
    """
    check_name(name)
    schema = class_schema(cls)
    source = _source(cls)

    def write(folder: Path) -> Manifest:
        (folder / "code").mkdir()
        (folder / "artifacts").mkdir()
        for module in (source, *map(Path, modules)):
            shutil.copyfile(module, folder / "code" / module.name)
        for target, origin in (artifacts or {}).items():
            _copy(Path(origin), folder / "artifacts", target)
        return Manifest(
            name=name,
            kind="class",
            format="code",
            inputs=dict(schema.inputs),
            outputs=dict(schema.outputs),
            entry=f"{source.stem}:{cls.__qualname__}",
            files=_hashes(folder),
            trust=_trust(()),
            requirements=_versions("numpy"),
        )

    return _write(Path(path), write)


def _default_inputs(model: Any) -> dict[str, str]:
    features = getattr(model, "n_features_in_", None)
    if features is None:
        raise ConfigInvalid(
            f"{type(model).__name__} does not say what it takes",
            code="model-tensor-invalid",
            cure="name the inputs, such as inputs={'text': 'string'}; the model must be fitted",
        )
    return {"features": f"float64[{features}]"}


def _default_outputs(model: Any) -> dict[str, str]:
    if hasattr(model, "predict_proba"):
        return {"label": "predict", "probabilities": "predict_proba"}
    if hasattr(model, "predict"):
        return {"label" if hasattr(model, "classes_") else "value": "predict"}
    return {"vector": "transform"}


def _measure(model: Any, takes: Mapping[str, Tensor], methods: Mapping[str, str]) -> dict[str, Tensor]:
    missing = sorted({method for method in methods.values() if not hasattr(model, method)})
    if missing:
        raise ConfigInvalid(
            f"{type(model).__name__} has no method {', '.join(map(repr, missing))}",
            code="model-output-invalid",
        )
    try:
        found = SklearnRuntime(model, methods).predict(zeros(takes))
    except Exception as error:
        declared = {name: str(tensor) for name, tensor in takes.items()}
        raise ConfigInvalid(
            f"the model fails on one row of {declared}: {type(error).__name__}: {error}",
            code="model-probe-failed",
            cure="make inputs say what the model was fitted on",
        ) from error
    return tensors({name: _measured(name, found) for name in methods})


def _measured(name: str, found: Columns) -> Tensor:
    column = found[name]
    dtype = NAMES.get(column.dtype.name, "string" if column.dtype.kind in "OU" else "")
    if not dtype:
        raise ConfigInvalid(f"output {name!r} has type {column.dtype}, which no protocol carries",
                            code="model-output-invalid")  # fmt: skip
    return Tensor(dtype, tuple(column.shape[1:]))


def _skops(model: Any) -> tuple[bytes, tuple[str, ...]]:
    import skops.io  # noqa: PLC0415  # seconds, and only where estimators are saved

    data: bytes = skops.io.dumps(model)
    return data, tuple(skops.io.get_untrusted_types(data=data))


def _source(cls: type) -> Path:
    try:
        source = inspect.getsourcefile(cls)
    except TypeError:
        source = None
    if source is None or not Path(source).is_file() or "." in cls.__qualname__:
        raise ConfigInvalid(
            f"class {cls.__qualname__!r} is not at the top of a Python file",
            code="model-class-invalid",
            cure="write it to a module (%%writefile in a notebook) and import it from there",
        )
    return Path(source)


def _copy(origin: Path, folder: Path, target: str) -> None:
    if Path(target).name != target:
        raise ConfigInvalid(
            f"artifact name == {target!r}, must be a plain file name", code="model-artifact-invalid"
        )
    if origin.is_dir():
        shutil.copytree(origin, folder / target)
    else:
        shutil.copyfile(origin, folder / target)


def _write(path: Path, write: Callable[[Path], Manifest]) -> Manifest:
    """Fill a folder beside `path`, then move it there."""
    path = path.absolute()
    if path.exists() and not (path / MANIFEST).is_file() and (path.is_file() or any(path.iterdir())):
        raise Conflict(f"{str(path)!r} holds something that is no packaged model", code="model-path-taken")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
        fresh = Path(scratch) / "new"
        fresh.mkdir()
        manifest = write(fresh)
        (fresh / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        if path.exists():
            path.rename(Path(scratch) / "old")
        fresh.rename(path)
    return manifest


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }


def _trust(types: tuple[str, ...]) -> Trust:
    return Trust(by=_user(), at=datetime.now(UTC).isoformat(timespec="seconds"), types=types)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def _versions(*packages: str) -> dict[str, str]:
    return {"python": ".".join(map(str, sys.version_info[:3]))} | {
        package: installed_version(package) for package in packages
    }


def _untrusted(name: str, why: str) -> Forbidden:
    return Forbidden(
        f"model {name!r} cannot be packaged safely: {why}",
        code="model-not-trusted",
        cure="pass trust=True if you know these types; it is written into the manifest",
    )


__all__ = ["save_class", "save_sklearn"]
