"""Checks of single values that `plan.checkers` calls where a line of code is not enough.

Each returns the value in its plain form or raises `Rejected`.
"""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from algorail.engine.plan.types import VectorType

Checker: TypeAlias = Callable[[Any], Any]

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
MAX_ANY_DEPTH = 64
_INFINITY = float("inf")
_LARGEST = sys.float_info.max
_WHOLE = frozenset((int,))
_NUMBERS = frozenset((int, float))
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

    make = _whole_array if dtype.kind in "iu" else _float_array

    def check_list(value: Any) -> Any:
        if type(value) is np.ndarray:
            return check(value)
        if type(value) is not list or (size is not None and len(value) != size):
            raise Rejected
        return make(value, dtype)

    return check_list if coerce else check


def _float_array(value: list[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Decimal text means the nearest float of the dtype, as everywhere in JSON."""
    if not _NUMBERS.issuperset(map(type, value)):
        raise Rejected
    try:
        exact = np.array(value, np.float64)
    except OverflowError:
        raise Rejected from None
    largest = float(np.finfo(dtype).max)
    # One product clears all but the strangest vectors: no item is larger than the length.
    if not float(np.vdot(exact, exact)) <= min(largest * largest, _LARGEST):
        with np.errstate(over="ignore"):
            if not np.isfinite(exact.astype(dtype)).all():
                raise Rejected
    return exact.astype(dtype)


def _whole_array(value: list[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Booleans, fractions and what is out of the range of the dtype are refused."""
    if not _WHOLE.issuperset(map(type, value)):
        raise Rejected
    try:
        exact = np.array(value, np.int64)
    except OverflowError:
        raise Rejected from None
    limits = np.iinfo(dtype)
    if exact.size and not (limits.min <= exact.min() and exact.max() <= limits.max):
        raise Rejected
    return exact.astype(dtype)


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
