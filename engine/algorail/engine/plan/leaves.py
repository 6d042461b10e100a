"""Checks of single values that `plan.checkers` calls where a line of code is not enough.

Each returns the value in its plain form or raises `Rejected`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from algorail.engine.plan.types import VectorType

Checker: TypeAlias = Callable[[Any], Any]

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
MAX_ANY_DEPTH = 64
_INFINITY = float("inf")
_OTHER_PLAIN = frozenset((bool, type(None), bytes, np.ndarray))


class Rejected(Exception):
    """The value does not have the type."""


def is_unicode(text: str) -> bool:
    """Whether the text has no lone surrogate; ask `isascii` first, which is free."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_any(value: Any, depth: int = 0) -> Any:
    """Plain data of any shape."""
    kind = type(value)
    if kind is str:
        if not (value.isascii() or is_unicode(value)):
            raise Rejected
    elif kind is int:
        if not INT_MIN <= value <= INT_MAX:
            raise Rejected
    elif kind is float:
        if not -_INFINITY < value < _INFINITY:
            raise Rejected
    elif kind is dict or kind is list:
        _check_members(value, depth)
    elif kind not in _OTHER_PLAIN:
        raise Rejected
    return value


def _check_members(value: Any, depth: int) -> None:
    if depth >= MAX_ANY_DEPTH:
        raise Rejected
    members = value
    if type(value) is dict:
        members = value.values()
        for key in value:
            if type(key) is not str or not (key.isascii() or is_unicode(key)):
                raise Rejected
    for member in members:
        check_any(member, depth + 1)


def check_decoded(value: Any, depth: int = 0) -> Any:
    """As `check_any`, for what the strict decoder made: only large integers and depth are left to refuse."""
    kind = type(value)
    if kind is int:
        if not INT_MIN <= value <= INT_MAX:
            raise Rejected
    elif kind is dict or kind is list:
        if depth >= MAX_ANY_DEPTH:
            raise Rejected
        for member in value.values() if kind is dict else value:
            check_decoded(member, depth + 1)
    return value


def decode_base64(value: Any) -> bytes:
    """Bytes, or the bytes that a base64 text stands for."""
    if type(value) is bytes:
        return value
    if type(value) is not str:
        raise Rejected
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Rejected from None


def array_checker(source: VectorType, *, coerce: bool) -> Checker:
    """Arrays of this type; with `coerce`, lists of numbers too."""
    dtype, size = np.dtype(source.dtype), source.size

    def check(value: Any) -> Any:
        if type(value) is not np.ndarray or value.dtype != dtype or value.ndim != 1:
            raise Rejected
        if (size is not None and value.shape[0] != size) or not np.isfinite(value).all():
            raise Rejected
        return value

    def check_list(value: Any) -> Any:
        return check(value if type(value) is np.ndarray else _array_of(value, source))

    return check_list if coerce else check


def _array_of(value: Any, source: VectorType) -> npt.NDArray[Any]:
    """The array of a list of numbers.

    Decimal text means the nearest float of the vector's dtype, as everywhere in JSON; what is out of the
    range of the dtype, booleans and fractions for whole numbers are refused.
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


def first_fit(checks: tuple[Checker, ...]) -> Checker:
    """The first of several checks that takes the value."""

    def check(value: Any) -> Any:
        for each in checks:
            try:
                return each(value)
            except Rejected:
                continue
        raise Rejected

    return check
