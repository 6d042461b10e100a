"""Between plain data and the models in the signature of a user's block.

Plain annotations cost nothing: no converter is made for them. Vectors inside models stay arrays.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
import numpy as np
import pydantic
from typing_extensions import ReadOnly, is_typeddict

from algorail.engine.plan.types import FieldType, VectorType

Convert: TypeAlias = Callable[[Any], Any]
_PLAIN = frozenset({Any, object, None, type(None), bool, int, float, str, bytes, list, dict})
_LISTS = frozenset({list, Sequence, MutableSequence})
_DICTS = frozenset({dict, Mapping, MutableMapping})


def converter(annotation: Any) -> Convert | None:  # noqa: PLR0911 - one line for each form
    """Makes what the annotation says of plain data; None if plain data is that already."""
    if isinstance(annotation, type | types.NoneType) and annotation in _PLAIN:
        return None
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        noted = any(isinstance(note, VectorType | FieldType) for note in args[1:])
        return None if noted else converter(args[0])
    if origin in {Required, NotRequired, ReadOnly}:
        return converter(args[0])
    if annotation is Any or origin in {Literal, np.ndarray}:
        return None
    if origin in _LISTS | _DICTS:
        return _container(origin, args)
    if origin in {Union, types.UnionType}:
        return _union(annotation, args)
    return _class(annotation)


def _container(origin: Any, args: tuple[Any, ...]) -> Convert | None:
    inner = converter(args[-1])
    if inner is None:
        return None
    if origin in _DICTS:
        return lambda value: {key: inner(item) for key, item in value.items()}
    return lambda value: [inner(item) for item in value]


def _union(annotation: Any, args: tuple[Any, ...]) -> Convert | None:
    members = [arg for arg in args if arg is not type(None)]
    if len(members) == 1:
        inner = converter(members[0])
        return inner and (lambda value: None if value is None else inner(value))
    if all(converter(member) is None for member in members):
        return None
    return pydantic.TypeAdapter(annotation).validate_python


def _class(annotation: Any) -> Convert | None:
    plain = get_origin(annotation) or annotation
    if is_typeddict(plain):
        return _typed_dict(plain)
    if isinstance(plain, type):
        if issubclass(plain, pydantic.BaseModel):
            model: type[pydantic.BaseModel] = annotation
            return model.model_validate
        if issubclass(plain, msgspec.Struct):
            return lambda value: msgspec.convert(value, annotation)
        if issubclass(plain, enum.Enum):
            return plain
        if dataclasses.is_dataclass(plain):
            return _dataclass(plain)
    return pydantic.TypeAdapter(annotation).validate_python


def _typed_dict(source: type) -> Convert | None:
    hints = get_type_hints(source, include_extras=True)
    members = {name: made for name, hint in hints.items() if (made := converter(hint)) is not None}
    if not members:
        return None
    return lambda value: {key: members[key](item) if key in members else item for key, item in value.items()}


def _dataclass(source: type) -> Convert:
    hints = get_type_hints(source, include_extras=True)
    members = {name: made for name, hint in hints.items() if (made := converter(hint)) is not None}

    def convert(value: Any) -> Any:
        if isinstance(value, source):
            return value
        return source(**{key: members[key](item) if key in members else item for key, item in value.items()})

    return convert


def is_plain(annotation: Any) -> bool:
    """Whether results of that annotation can leave a block as they are."""
    return annotation is not Any and annotation is not object and converter(annotation) is None
