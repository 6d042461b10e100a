"""Says what is wrong with a value: the slow path of `plan.values`, walked only when a checker rejected it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from algorail.engine.kit.errors import Problem
from algorail.engine.plan.checkers import checker
from algorail.engine.plan.leaves import (
    INT_MAX,
    INT_MIN,
    MAX_ANY_DEPTH,
    Checker,
    Rejected,
    check_any,
    is_unicode,
)
from algorail.engine.plan.shape import at_key, did_you_mean, kind_of, short
from algorail.engine.plan.types import (
    ANY,
    AnyType,
    DictType,
    FieldType,
    ListType,
    ObjectType,
    Type,
    UnionType,
    VectorType,
    deep_sensitivity,
    describe,
    marked,
)

MAX_PROBLEMS = 100
"""After so many the rest is left out; a body of a million wrong numbers needs no million lines."""


def mistakes(source: Type, value: Any, *, coerce: bool, place: str = "") -> list[Problem]:
    """Every problem of a value, at most `MAX_PROBLEMS`; none if it has the type."""
    found = _mistakes(source, value, place, coerce, 0)
    return [problem for problem, _ in zip(found, range(MAX_PROBLEMS), strict=False)]


def _mistakes(  # noqa: C901 - one line for each kind
    source: Type, value: Any, place: str, coerce: bool, depth: int
) -> Iterator[Problem]:
    if depth > MAX_ANY_DEPTH:
        yield Problem(code="too-deep", message=f"values may nest {MAX_ANY_DEPTH} deep", port=place)
        return
    match source:
        case AnyType():
            yield from _any(source, value, place, depth)
        case ListType(item=item) if type(value) is list:
            # What fits is told apart at once, so that one mistake among a million items is found fast.
            check = checker(item, coerce=coerce)
            for index, member in enumerate(value):
                if not _fits(check, member):
                    inner = marked(item, source.sensitivity)
                    yield from _mistakes(inner, member, at_key(place, index), coerce, depth + 1)
        case FieldType(name="table") if type(value) is list:
            inner = marked(ListType(DictType(ANY)), source.sensitivity)
            yield from _mistakes(inner, value, place, coerce, depth)
        case DictType(value=item) if type(value) is dict:
            check = checker(item, coerce=coerce)
            for key, member in value.items():
                yield from _key(key, place)
                if not _fits(check, member):
                    inner = marked(item, source.sensitivity)
                    yield from _mistakes(inner, member, at_key(place, str(key)), coerce, depth + 1)
        case ObjectType() if type(value) is dict:
            yield from _object(source, value, place, coerce, depth)
        case UnionType():
            yield from _union(source, value, place, coerce, depth)
        case _ if not _fits(checker(source, coerce=coerce), value):
            yield _wrong(source, value, place)


def _fits(check: Checker, value: Any) -> bool:
    try:
        check(value)
    except Rejected:
        return False
    return True


def _key(key: Any, place: str) -> Iterator[Problem]:
    if type(key) is not str:
        yield Problem(
            code="wrong-type", message=f"the key {short(key)} must be a string", port=place, expected="string"
        )
    elif not is_unicode(key):
        yield _surrogate(place)


def _surrogate(place: str) -> Problem:
    return Problem(code="lone-surrogate", message="the text holds half of a surrogate pair", port=place)


def _object(
    source: ObjectType, value: dict[Any, Any], place: str, coerce: bool, depth: int
) -> Iterator[Problem]:
    for name, member in source.fields.items():
        if name in value:
            inner = marked(member.type, source.sensitivity)
            yield from _mistakes(inner, value[name], at_key(place, name), coerce, depth + 1)
        elif member.required:
            yield Problem(
                code="missing-field",
                message="is missing",
                port=at_key(place, name),
                expected=describe(member.type),
            )
    for key, item in value.items():
        if key in source.fields:
            continue
        yield from _key(key, place)
        if source.closed:
            yield Problem(
                code="unknown-field",
                message="is not a known field",
                port=at_key(place, str(key)),
                cure=did_you_mean(str(key), source.fields),
            )
        else:
            yield from _any(marked(ANY, source.sensitivity), item, at_key(place, str(key)), depth + 1)


def _union(source: UnionType, value: Any, place: str, coerce: bool, depth: int) -> Iterator[Problem]:
    """The problems of the option that comes nearest: the one whose outer form fits, if there is one."""
    options = [marked(option, source.sensitivity) for option in source.options]
    attempts = [list(_mistakes(option, value, place, coerce, depth)) for option in options]
    if not all(attempts):
        return
    inside = [found for found in attempts if any(problem.port != place for problem in found)]
    if len(inside) == 1:
        yield from inside[0]
    else:
        yield _wrong(source, value, place)


def _any(source: Type, value: Any, place: str, depth: int) -> Iterator[Problem]:
    if depth >= MAX_ANY_DEPTH and type(value) in {dict, list}:
        yield Problem(code="too-deep", message=f"values may nest {MAX_ANY_DEPTH} deep", port=place)
    elif type(value) is dict:
        for key, item in value.items():
            yield from _key(key, place)
            yield from _any(source, item, at_key(place, str(key)), depth + 1)
    elif type(value) is list:
        for index, item in enumerate(value):
            yield from _any(source, item, at_key(place, index), depth + 1)
    elif not _fits(check_any, value):
        yield _wrong(source, value, place)


def _wrong(source: Type, value: Any, place: str) -> Problem:
    expected, got = describe(source), _got(source, value)
    if type(value) is str and not is_unicode(value):
        return _surrogate(place)
    if type(value) is float and not math.isfinite(value):
        code, cure = "not-finite", "send null or leave it out"
    elif type(value) is int and not INT_MIN <= value <= INT_MAX:
        code, cure = "integer-too-large", "integers have at most 64 bits; send a string"
    else:
        code, cure = "wrong-type", _cure(source, value)
    return Problem(
        code=code, message=f"must be {expected}, is {got}", port=place, expected=expected, got=got, cure=cure
    )


def _got(source: Type, value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array of {value.dtype}, shape {value.shape}"
    if isinstance(source, VectorType) and type(value) is list:
        kinds = sorted({kind_of(item) for item in value})
        return f"list of {len(value)} ({' and '.join(kinds) or 'empty'})"
    if deep_sensitivity(source):
        return kind_of(value)
    return f"{kind_of(value)} {short(value)}"


def _cure(source: Type, value: Any) -> str:
    if isinstance(source, VectorType) and isinstance(value, np.ndarray):
        return f"send a one-dimensional array; array.astype({source.dtype!r}) if the loss is wanted"
    if isinstance(source, VectorType):
        return "send a list of finite numbers of that length"
    if type(value) is bool:
        return "a boolean is not a number or a text here"
    return ""
