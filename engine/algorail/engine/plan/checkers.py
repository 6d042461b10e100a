"""Checks of values against types, as closures: the fast path of `plan.values`.

A checker returns the value in its plain form or raises `Rejected`, which says nothing: what was wrong is
found out by `plan.mistakes`, and only then. Both must agree; a property test says so.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from algorail.engine.plan.types import (
    ABSENT,
    ANY,
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

Checker: TypeAlias = Callable[[Any], Any]

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
MAX_ANY_DEPTH = 64
_INFINITY = float("inf")


class Rejected(Exception):
    """The value does not have the type."""


def checker(source: Type, *, coerce: bool) -> Checker:
    """The checker of a type. See `plan.values.compile_validator`."""
    return _build(source, coerce)[0]


def _build(source: Type, coerce: bool) -> tuple[Checker, bool]:  # noqa: C901, PLR0911 - one line a kind
    """The checker, and whether what it returns may be another object than what it got."""
    match source:
        case ScalarType(name="bytes"):
            return (_base64 if coerce else _bytes), coerce
        case ScalarType(name=name):
            return _SCALARS[name], False
        case LiteralType(values=values):
            return _literal(values), False
        case ListType(item=item):
            return _list(item, coerce)
        case DictType(value=value):
            return _dict(value, coerce)
        case ObjectType():
            return _object(source, coerce)
        case UnionType(options=options):
            return _union(options, coerce)
        case VectorType():
            return (_array_of_list(source) if coerce else _array(source)), coerce
        case FieldType(name="table"):
            return _list(DictType(ANY), coerce)
        case FieldType():
            return _SCALARS["string"], False
        case AnyType():
            return _any, False


def _null(value: Any) -> Any:
    if value is not None:
        raise Rejected
    return value


def _boolean(value: Any) -> Any:
    if value is not True and value is not False:
        raise Rejected
    return value


def _integer(value: Any) -> Any:
    if type(value) is not int or not INT_MIN <= value <= INT_MAX:
        raise Rejected
    return value


def _number(value: Any) -> Any:
    if type(value) is float:
        if -_INFINITY < value < _INFINITY:
            return value
    elif type(value) is int and INT_MIN <= value <= INT_MAX:
        return value
    raise Rejected


def _string(value: Any) -> Any:
    if type(value) is not str:
        raise Rejected
    if not value.isascii():
        _unicode(value)
    return value


def _unicode(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Rejected from None


def _bytes(value: Any) -> Any:
    if type(value) is not bytes:
        raise Rejected
    return value


def _base64(value: Any) -> Any:
    if type(value) is bytes:
        return value
    if type(value) is not str:
        raise Rejected
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Rejected from None


_SCALARS: Mapping[str, Checker] = {
    "null": _null,
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "string": _string,
}


def _any(value: Any, depth: int = 0) -> Any:
    """Plain data of any shape."""
    kind = type(value)
    if kind is str:
        _string(value)
    elif kind is int or kind is float:
        _number(value)
    elif kind is dict or kind is list:
        if depth >= MAX_ANY_DEPTH:
            raise Rejected
        if kind is dict:
            for key in value:
                _string(key)
        for item in value.values() if kind is dict else value:
            _any(item, depth + 1)
    elif value is not None and kind not in {bool, bytes, np.ndarray}:
        raise Rejected
    return value


def _literal(values: tuple[Any, ...]) -> Checker:
    allowed = frozenset((type(value), value) for value in values)

    def check(value: Any) -> Any:
        kind = type(value)
        if kind in {str, int, bool, type(None)} and (kind, value) in allowed:
            return value
        raise Rejected

    return check


def _list(item: Type, coerce: bool) -> tuple[Checker, bool]:
    each, changes = _build(item, coerce)

    def check(value: Any) -> Any:
        if type(value) is not list:
            raise Rejected
        for member in value:
            each(member)
        return value

    def rebuild(value: Any) -> Any:
        if type(value) is not list:
            raise Rejected
        return [each(member) for member in value]

    return (rebuild if changes else check), changes


def _dict(value_type: Type, coerce: bool) -> tuple[Checker, bool]:
    each, changes = _build(value_type, coerce)

    def check(value: Any) -> Any:
        if type(value) is not dict:
            raise Rejected
        for key, member in value.items():
            _string(key)
            each(member)
        return value

    def rebuild(value: Any) -> Any:
        if type(value) is not dict:
            raise Rejected
        return {_string(key): each(member) for key, member in value.items()}

    return (rebuild if changes else check), changes


def _object(source: ObjectType, coerce: bool) -> tuple[Checker, bool]:
    built = {name: _build(member.type, coerce) for name, member in source.fields.items()}
    checks = {name: check for name, (check, _) in built.items()}
    changes = any(map(_has_default, source.fields.values())) or any(changed for _, changed in built.values())
    if source.closed and not changes and all(member.required for member in source.fields.values()):
        return _exact_object(checks), False
    return _general_object(source, checks, coerce, changes)


def _general_object(
    source: ObjectType, checks: Mapping[str, Checker], coerce: bool, changes: bool
) -> tuple[Checker, bool]:
    defaults = {name: member.default for name, member in source.fields.items() if _has_default(member)}
    required = frozenset(name for name, member in source.fields.items() if member.required)
    extra = _refuse_extra if source.closed else _allow_extra
    member_of = checks.get
    extra = _refuse_extra if source.closed else _allow_extra

    def check(value: Any) -> Any:
        if type(value) is not dict or not required <= value.keys():
            raise Rejected
        for key, member in value.items():
            found = member_of(key)
            extra(key, member) if found is None else found(member)
        return value

    filled = {
        name: _build_default(source.fields[name].type, default, coerce) for name, default in defaults.items()
    }

    def rebuild(value: Any) -> Any:
        if type(value) is not dict or not required <= value.keys():
            raise Rejected
        result = {}
        for key, member in value.items():
            found = member_of(key)
            result[key] = extra(key, member) if found is None else found(member)
        if len(result) < len(checks):
            for name, make in filled.items():
                if name not in result:
                    result[name] = make()
        return result

    return (rebuild if changes else check), changes


def _exact_object(checks: Mapping[str, Checker]) -> Checker:
    """The commonest object, at a lower price: closed, every field required, nothing to convert."""
    pairs, count = tuple(checks.items()), len(checks)

    def check(value: Any) -> Any:
        if type(value) is not dict or len(value) != count:
            raise Rejected
        try:
            for key, each in pairs:
                each(value[key])
        except KeyError:
            raise Rejected from None
        return value

    return check


def _has_default(member: Any) -> bool:
    return not member.required and member.default is not ABSENT


def _refuse_extra(_key: Any, _value: Any) -> Any:
    raise Rejected


def _allow_extra(key: Any, value: Any) -> Any:
    _string(key)
    return _any(value)


def _build_default(source: Type, default: Any, coerce: bool) -> Callable[[], Any]:
    """Makes the default anew for every value, so that nobody shares a list; null stands for "not given"."""
    if default is None or isinstance(default, str | bool | int | float):
        return lambda: default
    check = _build(source, coerce)[0]
    return lambda: check(_copy(default))


def _copy(value: Any) -> Any:
    if type(value) is dict:
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if type(value) is list else value


def _union(options: tuple[Type, ...], coerce: bool) -> tuple[Checker, bool]:
    built = [_build(option, coerce) for option in options]
    checks = tuple(check for check, _ in built)

    def check(value: Any) -> Any:
        for each in checks:
            try:
                return each(value)
            except Rejected:
                continue
        raise Rejected

    def nullable(value: Any) -> Any:
        return None if value is None else rest(value)

    if len(checks) == 2 and checks[1] is _null:
        rest = checks[0]
        return nullable, built[0][1]
    return check, any(changed for _, changed in built)


def _array(source: VectorType) -> Checker:
    dtype, size = np.dtype(source.dtype), source.size

    def check(value: Any) -> Any:
        if type(value) is not np.ndarray or value.dtype != dtype or value.ndim != 1:
            raise Rejected
        if (size is not None and value.shape[0] != size) or not np.isfinite(value).all():
            raise Rejected
        return value

    return check


def _array_of_list(source: VectorType) -> Checker:
    check_array = _array(source)

    def check(value: Any) -> Any:
        return check_array(value if type(value) is np.ndarray else array_of(value, source))

    return check


def array_of(value: Any, source: VectorType) -> npt.NDArray[Any]:
    """The array of a list of numbers.

    Decimal text means the nearest float of the vector's dtype, as everywhere in JSON; what is out of the
    range of the dtype, booleans and fractions for whole numbers are refused.

    Raises:
        Rejected: If the list does not fit.
    """
    if type(value) is not list or (source.size is not None and len(value) != source.size):
        raise Rejected
    kinds = set(map(type, value))
    whole = not source.dtype.startswith("float")
    if not kinds <= ({int} if whole else {int, float}):
        raise Rejected
    try:
        if not whole:
            with np.errstate(over="ignore"):
                return np.array(value, dtype=source.dtype)
        exact = np.array(value, dtype=np.int64)
    except OverflowError:
        raise Rejected from None
    limits = np.iinfo(source.dtype)
    if exact.size and not (limits.min <= exact.min() and exact.max() <= limits.max):
        raise Rejected
    return exact.astype(source.dtype)
