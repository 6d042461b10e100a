"""Port types as CEL types and back, and port values as CEL values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from cel_expr_python import cel

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan.types import (
    AnyType,
    DictType,
    FieldType,
    ListType,
    LiteralType,
    ObjectType,
    ScalarType,
    Type,
    UnionType,
    VectorType,
)

MAX_DEPTH = 64
"""How deep a value may nest; far deeper ones overflow the stack of the library."""

Convert: TypeAlias = Callable[[Any], Any]

_SCALARS = {
    "null": cel.Type.NULL,
    "boolean": cel.Type.BOOL,
    "integer": cel.Type.INT,
    "number": cel.Type.DOUBLE,
    "string": cel.Type.STRING,
    "bytes": cel.Type.BYTES,
}
_BACK: Mapping[str, Type] = {
    "NULL": ScalarType("null"),
    "BOOL": ScalarType("boolean"),
    "INT": ScalarType("integer"),
    "UINT": ScalarType("integer"),
    "DOUBLE": ScalarType("number"),
    "STRING": ScalarType("string"),
    "BYTES": ScalarType("bytes"),
    "DYN": AnyType(),
}


def cel_type(port: Type) -> cel.Type:
    """The CEL type of a variable; what CEL cannot say exactly is `dyn`, checked when it runs."""
    result = cel.Type.DYN
    match port:
        case ScalarType(name=name):
            result = _SCALARS[name]
        case LiteralType(values=values):
            result = _literal_type(values)
        case ListType(item=item):
            result = cel.Type.List(cel_type(item))
        case DictType(value=value):
            result = cel.Type.Map(cel.Type.STRING, cel_type(value))
        case ObjectType():
            result = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
        case VectorType(dtype=dtype):
            result = cel.Type.List(cel.Type.DOUBLE if dtype.startswith("float") else cel.Type.INT)
        case FieldType(name="image"):
            result = cel.Type.STRING
        case FieldType(name="table"):
            result = cel.Type.List(cel.Type.Map(cel.Type.STRING, cel.Type.DYN))
    return result


def _literal_type(values: tuple[Any, ...]) -> cel.Type:
    kinds = {type(value) for value in values}
    if len(kinds) != 1:
        return cel.Type.DYN
    return {str: cel.Type.STRING, bool: cel.Type.BOOL, int: cel.Type.INT}.get(kinds.pop(), cel.Type.DYN)


def port_type(name: str) -> Type | None:
    """The port type for the name of a CEL type such as `MAP<STRING, DYN>`; None if no port carries it."""
    if name in _BACK:
        return _BACK[name]
    if name.startswith("LIST<"):
        item = port_type(name[5:-1])
        return ListType(item) if item else None
    if name.startswith("MAP<STRING, "):
        value = port_type(name[12:-1])
        return DictType(value) if value else None
    return DictType(AnyType()) if name == "MAP<DYN, DYN>" else None


def converter(port: Type) -> Convert:
    """A function that turns a valid value of the type into one that CEL takes for it.

    Integers become floats where the type is a number, because CEL never mixes the two.
    """
    convert: Convert = _any
    match port:
        case ScalarType(name=name):
            convert = _SCALAR_CONVERTS.get(name, _same)
        case ListType(item=item):
            convert = _list(converter(item))
        case DictType(value=value):
            convert = _dict(converter(value))
        case ObjectType(fields=fields):
            convert = _object({name: converter(field.type) for name, field in fields.items()})
        case UnionType(options=options):
            rest = [option for option in options if not _is_null(option)]
            convert = _optional(converter(rest[0])) if len(rest) == 1 else _any
    return convert


def _is_null(port: Type) -> bool:
    return isinstance(port, ScalarType) and port.name == "null"


def _same(value: Any) -> Any:
    return value


def _string(value: Any) -> Any:
    if isinstance(value, str) and "\0" in value:
        # The library ends strings there, so that "admin\0x" == "admin".
        raise InvalidInput(
            "a string in an expression may not contain the character U+0000",
            code="cel-value",
            cure="remove it before",
        )
    return value


_SCALAR_CONVERTS: Mapping[str, Convert] = {"number": float, "string": _string, "bytes": bytearray}


def _optional(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _list(convert: Convert) -> Convert:
    if convert is _same:
        return list
    return lambda value: [convert(item) for item in value]


def _dict(convert: Convert) -> Convert:
    return lambda value: {_string(key): convert(item) for key, item in value.items()}


def _object(converts: Mapping[str, Convert]) -> Convert:
    def convert(value: Any) -> Any:
        return {_string(key): converts.get(key, _any)(item) for key, item in value.items()}

    return convert


def _any(value: Any, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise InvalidInput(f"a value in an expression may nest {MAX_DEPTH} deep at most", code="cel-value")
    if isinstance(value, str):
        return _string(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_any(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_string(key): _any(item, depth + 1) for key, item in value.items()}
    return _array(value)


def _array(value: Any) -> Any:
    if isinstance(value, bytes):
        return bytearray(value)
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 1):
        return value.tolist()
    raise InvalidInput(
        f"an expression cannot work with a {type(value).__name__}",
        code="cel-value",
        cure="pass plain data: null, bool, int, float, string, list, dict or a one-dimensional array",
    )


def plain(value: Any) -> Any:
    """A result of CEL as the plain data that ports carry.

    Raises:
        InvalidInput: If something in it is no plain data, such as a timestamp.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytearray():
            return bytes(value)
        case list():
            return [plain(item) for item in value]
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise InvalidInput(
                    "the keys of a map must be strings", code="cel-value", cure="use string(key)"
                )
            return {key: plain(item) for key, item in value.items()}
        case _:
            raise InvalidInput(
                f"the expression gave a {type(value).__name__}, which is no plain data",
                code="cel-value",
                cure="convert it with string(…) or int(…)",
            )
