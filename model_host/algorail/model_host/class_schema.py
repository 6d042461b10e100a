"""The schema of a model class, read from the annotations of its `predict` or `predict_batch`.

    class Router:
        def load(self, artifacts: Path) -> None: ...
        def predict(self, text: str, scores: Annotated[np.ndarray, "float32[8]"]) -> Route: ...

`bool`, `int`, `float` and `str` are single values, `list[float]` a list of any length, `Annotated[...,
"float32[8]"]` an array of that type. A TypedDict or dataclass as the result has one output for each
field; anything else is `output`. `predict_batch(self, rows: list[Row]) -> list[Result]` takes and
returns a list, `Row` being a TypedDict.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints, is_typeddict

from algorail.engine.kit.errors import ConfigInvalid
from algorail.model_host.spec import Tensor, tensors

OUTPUT = "output"
"""The name of a result that is not an object."""

_SCALARS: Mapping[Any, str] = {bool: "bool", int: "int64", float: "float64", str: "string"}


@dataclasses.dataclass(frozen=True, slots=True)
class ClassSchema:
    """What a class takes and gives.

    Attributes:
        batch: Whether it has `predict_batch`.
        lists: Inputs that are annotated as lists, and want them.
    """

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    batch: bool
    lists: frozenset[str]


def class_schema(cls: type) -> ClassSchema:
    """The schema of a class.

    Raises:
        ConfigInvalid: `model-class-invalid`, saying which annotation is missing or unknown.
    """
    if callable(getattr(cls, "predict_batch", None)):
        return _batch_schema(cls)
    if not callable(getattr(cls, "predict", None)):
        raise _invalid(cls, "has neither predict nor predict_batch")
    hints = _hints(cls, cls.predict)  # type: ignore[attr-defined]
    names = list(inspect.signature(cls.predict).parameters)[1:]  # type: ignore[attr-defined]
    missing = [name for name in [*names, "return"] if name not in hints]
    if missing:
        raise _invalid(cls, f"predict has no annotation for {', '.join(map(repr, missing))}")
    return _schema(cls, {name: hints[name] for name in names}, hints["return"], batch=False)


def _batch_schema(cls: type) -> ClassSchema:
    hints = _hints(cls, cls.predict_batch)  # type: ignore[attr-defined]
    returned = hints.pop("return", None)
    rows = list(hints.values())
    if len(rows) != 1 or get_origin(rows[0]) is not list or get_origin(returned) is not list:
        raise _invalid(cls, "predict_batch must be annotated (self, rows: list[Row]) -> list[Result]")
    [row] = get_args(rows[0])
    if not is_typeddict(row):
        raise _invalid(cls, f"the rows of predict_batch must be a TypedDict, not {row!r}")
    return _schema(cls, get_type_hints(row, include_extras=True), get_args(returned)[0], batch=True)


def _schema(cls: type, inputs: Mapping[str, Any], returned: Any, *, batch: bool) -> ClassSchema:
    if is_typeddict(returned) or dataclasses.is_dataclass(returned):
        outputs = get_type_hints(returned, include_extras=True)
    else:
        outputs = {OUTPUT: returned}
    return ClassSchema(
        tensors({name: _tensor(cls, name, hint) for name, hint in inputs.items()}),
        tensors({name: _tensor(cls, name, hint) for name, hint in outputs.items()}),
        batch,
        frozenset(name for name, hint in inputs.items() if get_origin(hint) is list),
    )


def _tensor(cls: type, name: str, hint: Any) -> Tensor:
    if get_origin(hint) is Annotated:
        texts = [extra for extra in get_args(hint)[1:] if isinstance(extra, str)]
        if texts:
            return Tensor.parse(texts[0])
        hint = get_args(hint)[0]
    depth = 0
    while get_origin(hint) is list:
        [hint] = get_args(hint)
        depth += 1
    if hint not in _SCALARS:
        raise _invalid(
            cls,
            f"{name!r} is annotated {hint!r}; write bool, int, float, str, list[...] of them, or "
            "Annotated[numpy.ndarray, 'float32[64]']",
        )
    return Tensor(_SCALARS[hint], (-1,) * depth)


def _hints(cls: type, method: Any) -> dict[str, Any]:
    try:
        return get_type_hints(method, include_extras=True)
    except NameError as error:
        raise _invalid(cls, f"an annotation cannot be resolved: {error}") from error


def _invalid(cls: type, what: str) -> ConfigInvalid:
    return ConfigInvalid(f"class {cls.__name__!r}: {what}", code="model-class-invalid")
