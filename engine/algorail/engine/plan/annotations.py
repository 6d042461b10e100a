"""Python annotations as port types.

`Vector` and the field types are plain `Annotated` aliases, so type checkers see what a block receives:

    Embedding: TypeAlias = Annotated[Vector, dim(384)]

    def nearest(vector: Embedding, customer: Pii[str], token: Secret) -> list[Hit]: ...

A constraint that only a model knows (`Field(ge=0)`, validators) stays with the model, which checks it
in the block.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Callable, Hashable, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NewType, TypeAlias, TypeVar, get_args, get_origin

import msgspec
import numpy as np
import numpy.typing as npt
import pydantic
import typing_extensions
from pydantic_core import PydanticUndefined

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan.types import (
    ABSENT,
    ANY,
    BOOLEAN,
    BYTES,
    DTYPES,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    DictType,
    Dtype,
    Field,
    FieldType,
    ListType,
    LiteralType,
    ObjectType,
    Sensitivity,
    Type,
    VectorType,
    marked,
    union_of,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mark:
    """An annotation that makes a type sensitive."""

    sensitivity: Sensitivity


@dataclass(frozen=True, slots=True)
class Dim:
    """An annotation that gives a vector its size and dtype."""

    size: int
    dtype: Dtype | None = None


def dim(size: int, dtype: Dtype | None = None) -> Dim:
    """Says the size of a vector and, if it is not float32, its dtype.

    >>> dim(384, "float64")
    Dim(size=384, dtype='float64')

    Raises:
        InvalidInput: If the size is below 1 or the dtype is unknown.
    """
    if size < 1:
        raise InvalidInput(f"size == {size!r}, must be >= 1")
    if dtype is not None and dtype not in DTYPES:
        raise InvalidInput(f"dtype == {dtype!r}, must be one of {', '.join(DTYPES)}")
    return Dim(size, dtype)


Vector: TypeAlias = Annotated[npt.NDArray[Any], VectorType()]
"""A one-dimensional numpy array of float32 of any size; `Annotated[Vector, dim(384)]` says more."""

Sensitive: TypeAlias = Annotated[T, Mark("secret")]
"""`Sensitive[str]`: masked in every record, and flows only to ports that are marked alike."""

Pii: TypeAlias = Annotated[T, Mark("pii")]
"""`Pii[str]`: personal data, masked in records."""

Secret: TypeAlias = Annotated[str, FieldType("secret")]
"""A reference to a secret, resolved at run time; the secret itself is in no plan and no record."""

Image: TypeAlias = Annotated[str, FieldType("image")]
"""An image file as base64."""

Table: TypeAlias = Annotated[list[dict[str, Any]], FieldType("table")]
"""A list of rows."""

_SIMPLE: Mapping[Any, Type] = {
    Any: ANY,
    object: ANY,
    inspect.Parameter.empty: ANY,
    None: NULL,
    type(None): NULL,
    bool: BOOLEAN,
    int: INTEGER,
    float: NUMBER,
    str: STRING,
    bytes: BYTES,
    list: ListType(ANY),
    dict: DictType(ANY),
    **dict.fromkeys(
        (dt.datetime, dt.date, dt.time, dt.timedelta, uuid.UUID, decimal.Decimal),
        STRING,
    ),
}
"""Times, UUIDs and decimals travel as strings (ISO 8601, canonical text), since JSON has no better word."""

_LISTS = frozenset({list, Sequence, MutableSequence, Iterable})
_DICTS = frozenset({dict, Mapping, MutableMapping})
_CURES: Mapping[Any, str] = {
    set: "use list[…]; JSON has no sets",
    frozenset: "use list[…]; JSON has no sets",
    tuple: "use tuple[X, ...] or list[X]; a tuple of fixed length is better a dataclass with named fields",
    complex: "use two floats",
    np.ndarray: "use algorail.engine.Vector, as in Annotated[Vector, dim(384)]",
}


def type_of(annotation: Any) -> Type:
    """The port type of a Python annotation.

    >>> from algorail.engine.plan.types import describe
    >>> describe(type_of(dict[str, list[int | None]]))
    'dict of list of (integer or null)'

    Raises:
        InvalidInput: If values of that annotation cannot travel between blocks; the message names the cure.
    """
    return _read(annotation, ())


def _read(annotation: Any, above: tuple[Any, ...]) -> Type:
    annotation = _unwrapped(annotation)
    if _hashable(annotation) and annotation in _SIMPLE:
        return _SIMPLE[annotation]
    origin = get_origin(annotation)
    if origin is Annotated:
        return _annotated(annotation, above)
    if origin is not None and not _is_model(origin):
        return _generic(annotation, origin, above)
    if inspect.isclass(annotation) or _is_model(origin):
        return _class(annotation, above)
    raise _refused(annotation)


def _unwrapped(annotation: Any) -> Any:
    """What stands behind `NewType`, `type X = …` and the qualifiers of TypedDict fields."""
    while True:
        if isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif (
            isinstance(annotation, typing_extensions.TypeAliasType)
            or type(annotation).__name__ == "TypeAliasType"
        ):
            annotation = annotation.__value__
        elif get_origin(annotation) in _QUALIFIERS:
            annotation = get_args(annotation)[0]
        else:
            return annotation


_QUALIFIERS = frozenset(
    {
        typing.Required,
        typing.NotRequired,
        typing.Final,
        typing.ClassVar,
        typing_extensions.Required,
        typing_extensions.NotRequired,
        typing_extensions.ReadOnly,
    }
)


def _hashable(annotation: Any) -> bool:
    return get_origin(annotation) is None and isinstance(annotation, Hashable)


def _annotated(annotation: Any, above: tuple[Any, ...]) -> Type:
    base, *notes = get_args(annotation)
    declared = [note for note in notes if isinstance(note, VectorType | FieldType)]
    found: Type = declared[-1] if declared else _read(base, above)
    for note in notes:
        if isinstance(note, Dim):
            found = _sized(found, note, annotation)
        elif isinstance(note, Mark):
            found = marked(found, note.sensitivity)
        elif isinstance(note, str):
            found = replace(found, doc=note)
    return found


def _sized(found: Type, note: Dim, annotation: Any) -> Type:
    if not isinstance(found, VectorType):
        raise InvalidInput(f"dim({note.size}) belongs to a Vector, not to {annotation!r}")
    return replace(found, size=note.size, dtype=note.dtype or found.dtype)


def _generic(annotation: Any, origin: Any, above: tuple[Any, ...]) -> Type:
    args = get_args(annotation)
    if origin is Literal:
        return LiteralType(tuple(value.value if isinstance(value, enum.Enum) else value for value in args))
    if origin in {typing.Union, types.UnionType}:
        return union_of(_read(arg, above) for arg in args)
    if origin in _LISTS:
        return ListType(_read(args[0], above))
    if origin in _DICTS and _unwrapped(args[0]) is str:
        return DictType(_read(args[1], above))
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return ListType(_read(args[0], above))
    raise _refused(annotation)


def _refused(annotation: Any) -> InvalidInput:
    origin = get_origin(annotation) or annotation
    if origin in _DICTS:
        cure = "use dict[str, …]; JSON has only string keys"
    elif isinstance(annotation, TypeVar):
        cure = "use a concrete type; ports are not generic"
    elif isinstance(annotation, str):
        cure = "the name could not be resolved; import it at the top of the module"
    else:
        cure = _CURES.get(origin, "use builtins, a pydantic model, a dataclass, a TypedDict or Vector")
    name = getattr(annotation, "__name__", None) if inspect.isclass(annotation) else None
    return InvalidInput(
        f"{name or annotation!r} cannot be the type of a port", code="unknown-annotation", cure=cure
    )


def _is_model(candidate: Any) -> bool:
    return inspect.isclass(candidate) and (
        issubclass(candidate, pydantic.BaseModel)
        or dataclasses.is_dataclass(candidate)
        or issubclass(candidate, msgspec.Struct)
    )


def _class(annotation: Any, above: tuple[Any, ...]) -> Type:
    plain = get_origin(annotation) or annotation
    if annotation in above:
        raise InvalidInput(
            f"{plain.__name__} contains itself",
            code="recursive-type",
            cure="use dict[str, Any] at the inner place",
        )
    above = (*above, annotation)
    if issubclass(plain, enum.Enum):
        return LiteralType(tuple(member.value for member in plain))
    if issubclass(plain, pydantic.BaseModel):
        return _pydantic(plain, above)
    if typing_extensions.is_typeddict(plain):
        return _typed_dict(plain, above)
    if _is_model(plain):
        return _dataclass(plain, above)
    for known in (str, bytes, int, float):
        if issubclass(plain, known):
            return _SIMPLE[known]
    raise _refused(annotation)


def _pydantic(model: type[pydantic.BaseModel], above: tuple[Any, ...]) -> Type:
    """Fields by the name that stands in JSON (an alias, if there is one).

    A model is closed unless it says `extra="allow"` or, in so many words, `extra="ignore"`.
    """
    fields: dict[str, Field] = {}
    for name, info in model.model_fields.items():
        annotation = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        found = _read(annotation, above)
        found = replace(found, doc=info.description) if info.description else found
        required = info.is_required()
        default = ABSENT if required or info.default is PydanticUndefined else _plain(info.default)
        fields[info.alias or name] = Field(found, required, default)
    extra = model.model_config.get("extra")
    return ObjectType(fields, closed=extra not in {"allow", "ignore"}, title=model.__name__, doc=_doc(model))


def _typed_dict(source: type, above: tuple[Any, ...]) -> Type:
    hints = typing_extensions.get_type_hints(source, include_extras=True)
    fields = {
        name: Field(_read(hint, above), _is_required(source, name, hint)) for name, hint in hints.items()
    }
    return ObjectType(fields, title=source.__name__, doc=_doc(source))


def _is_required(source: type, name: str, hint: Any) -> bool:
    """Whether a TypedDict must have a field; `__required_keys__` misses postponed qualifiers."""
    qualifier = get_origin(hint)
    if qualifier in {typing.Required, typing_extensions.Required}:
        return True
    if qualifier in {typing.NotRequired, typing_extensions.NotRequired}:
        return False
    return name in source.__required_keys__  # type: ignore[attr-defined]


def _dataclass(source: type, above: tuple[Any, ...]) -> Type:
    hints = typing_extensions.get_type_hints(source, include_extras=True)
    if issubclass(source, msgspec.Struct):
        told = [(item.name, item.default, item.required) for item in msgspec.structs.fields(source)]
    else:
        told = [
            (item.name, item.default, item.default is item.default_factory is dataclasses.MISSING)
            for item in dataclasses.fields(source)  # type: ignore[arg-type]
            if item.init
        ]
    missing = {dataclasses.MISSING, msgspec.NODEFAULT}
    fields = {
        name: Field(
            _read(hints[name], above),
            required,
            ABSENT if required or (_hashable(default) and default in missing) else _plain(default),
        )
        for name, default, required in told
    }
    return ObjectType(fields, title=source.__name__, doc=_doc(source))


def _doc(source: type) -> str:
    """The class's own first paragraph; the ones that libraries make up are no help to a reader."""
    text = source.__dict__.get("__doc__") or ""
    generated = dataclasses.is_dataclass(source) and text.startswith(f"{source.__name__}(")
    return "" if generated else inspect.cleandoc(text).split("\n\n")[0].replace("\n", " ")


_PLAIN: Mapping[type, Callable[[Any], Any]] = {
    dict: lambda value: {key: _plain(item) for key, item in value.items()},
    list: lambda value: [_plain(item) for item in value],
    tuple: lambda value: [_plain(item) for item in value],
}


def _plain(value: Any) -> Any:
    """A default as plain data; one that has no plain form is left to the model."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, bool | int | float | str | None):
        return value
    convert = _PLAIN.get(type(value))
    return convert(value) if convert else ABSENT
