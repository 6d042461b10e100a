"""Checks of values against types, as generated code: the fast path of `plan.values`.

A checker returns the value in its plain form or raises `Rejected`, which says nothing: what was wrong is
found out by `plan.mistakes`, and only then. Both must agree; a property test says so.

The code holds the shape of the type only. Names, literals and defaults come in as constants, so that no
text of a plan is ever compiled and types of one shape share their code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import count
from types import CodeType
from typing import Any

import numpy as np

from algorail.engine.plan.leaves import (
    INT_MAX,
    INT_MIN,
    Checker,
    Rejected,
    array_checker,
    check_any,
    check_decoded,
    decode_base64,
    first_fit,
    is_unicode,
)
from algorail.engine.plan.types import (
    ABSENT,
    ANY,
    AnyType,
    DictType,
    Field,
    FieldType,
    ListType,
    LiteralType,
    ObjectType,
    Scalar,
    ScalarType,
    Type,
    UnionType,
    VectorType,
)

_DEEPEST_INLINE = 10
"""Python nests twenty loops in a function at most; types that nest deeper call another function."""
_TABLE = ListType(DictType(ANY))
_STRING = "type({v}) is str and ({v}.isascii() or is_unicode({v}))"
_INTEGER = f"type({{v}}) is int and {INT_MIN} <= {{v}} <= {INT_MAX}"
_LARGEST = sys.float_info.max
_CONDITIONS: Mapping[Scalar, str] = {
    "null": "{v} is None",
    "boolean": "({v} is True or {v} is False)",
    "integer": _INTEGER,
    "number": f"(-{_LARGEST!r} <= {{v}} <= {_LARGEST!r} if type({{v}}) is float else {_INTEGER})",
    "string": _STRING,
    "bytes": "type({v}) is bytes",
}
_DECODED_CONDITIONS: Mapping[Scalar, str] = {
    **_CONDITIONS,
    "number": f"type({{v}}) is float or {_INTEGER}",
    "string": "type({v}) is str",
}
"""The decoder lets no lone surrogate and no infinite number through: they are not looked for again."""
_KINDS: dict[Scalar, frozenset[type]] = {
    "null": frozenset((type(None),)),
    "boolean": frozenset((bool,)),
    "integer": frozenset((int,)),
    "number": frozenset((float, int)),
    "string": frozenset((str,)),
    "bytes": frozenset((bytes,)),
}
_EVERY_KIND = frozenset((type(None), bool, int, float, str, bytes, list, dict, np.ndarray))


def checker(source: Type, *, coerce: bool, decoded: bool = False) -> Checker:
    """The checker of a type.

    Args:
        source: What the value must be.
        coerce: See `plan.values.compile_validator`.
        decoded: Whether the values come from `plan.values.decode`, which has refused some things already.
    """
    if isinstance(source, AnyType):
        return check_decoded if decoded else check_any
    if isinstance(source, ScalarType):
        return _scalar_checker(source.name, coerce)
    return _Function(coerce, decoded).of(source)


@cache
def _scalar_checker(name: Scalar, coerce: bool) -> Checker:
    return _Function(coerce, decoded=False).of(ScalarType(name))


@lru_cache(maxsize=1_024)
def _compiled(text: str) -> CodeType:
    return compile(text, "<checker>", "exec")


class _Function:
    """Writes one checker. Every method that takes `v`, the name of a variable, returns that of the result."""

    def __init__(self, coerce: bool, decoded: bool) -> None:
        self._coerce = coerce
        self._decoded = decoded
        self._conditions = _DECODED_CONDITIONS if decoded else _CONDITIONS
        self._lines: list[str] = []
        self._indent = 0
        self._numbers = count()
        self._names: dict[str, Any] = {
            "type": type,
            "str": str,
            "int": int,
            "float": float,
            "list": list,
            "dict": dict,
            "Rejected": Rejected,
            "is_unicode": is_unicode,
            "check_any": check_decoded if decoded else check_any,
            "decode_base64": decode_base64,
        }

    def of(self, source: Type) -> Checker:
        self._indent = 1
        with self._block("try:"):
            self._line(f"return {self._check(source, 'value')}")
        # Defaults make every name a local variable, which Python reads fastest.
        self._lines.insert(0, f"def check(value, {', '.join(f'{name}={name}' for name in self._names)}):")
        self._lines += ["    except KeyError:", "        raise Rejected from None"]
        exec(_compiled("\n".join(self._lines)), self._names)  # noqa: S102
        check: Checker = self._names["check"]
        return check

    def _line(self, text: str) -> None:
        self._lines.append(f"{'    ' * self._indent}{text}")

    @contextmanager
    def _block(self, head: str) -> Generator[None]:
        self._line(head)
        self._indent += 1
        yield
        self._indent -= 1

    def _require(self, condition: str) -> None:
        with self._block(f"if not ({condition}):"):
            self._line("raise Rejected")

    def _constant(self, value: Any) -> str:
        name = f"c{next(self._numbers)}"
        self._names[name] = value
        return name

    def _variable(self) -> str:
        return f"v{next(self._numbers)}"

    def _call(self, function: str, v: str) -> str:
        self._line(f"{(result := self._variable())} = {function}({v})")
        return result

    def _check(self, source: Type, v: str) -> str:
        """Lines that check a variable; returns the variable with the result."""
        condition = self._condition(source, v)
        if condition is not None:
            self._require(condition)
            return v
        if self._indent > _DEEPEST_INLINE:
            return self._call(self._constant(self._checker(source)), v)
        return self._check_inline(source, v)

    def _checker(self, source: Type) -> Checker:
        return checker(source, coerce=self._coerce, decoded=self._decoded)

    def _check_inline(self, source: Type, v: str) -> str:  # noqa: PLR0911 - one line a kind
        match source:
            case ListType(item=item):
                return self._list(item, v)
            case DictType(value=value):
                return self._dict(value, v)
            case ObjectType():
                return self._object(source, v)
            case UnionType(options=options):
                return self._union(options, v)
            case VectorType():
                return self._call(self._constant(array_checker(source, coerce=self._coerce)), v)
            case FieldType():
                return self._check_inline(_TABLE, v)
            case ScalarType():
                return self._call("decode_base64", v)
            case _:
                self._line(f"check_any({v})")
                return v

    def _condition(self, source: Type, v: str) -> str | None:
        """The whole check as an expression; None if it takes more than that."""
        match source:
            case ScalarType(name="bytes") if self._coerce:
                return None
            case ScalarType(name=name):
                return self._conditions[name].format(v=v)
            case LiteralType(values=values):
                kinds = self._constant(frozenset(map(type, values)))
                allowed = self._constant(frozenset((type(value), value) for value in values))
                return f"type({v}) in {kinds} and (type({v}), {v}) in {allowed}"
            case FieldType(name="image" | "secret"):
                return self._conditions["string"].format(v=v)
            case UnionType(options=options):
                parts = [self._condition(option, v) for option in options]
                return None if None in parts else " or ".join(f"({part})" for part in parts)
            case _:
                return None

    def _list(self, item: Type, v: str) -> str:
        self._require(f"type({v}) is list")
        result = self._variable() if _changes(item, self._coerce) else v
        if result != v:
            self._line(f"{result} = []")
        member = self._variable()
        with self._block(f"for {member} in {v}:"):
            checked = self._check(item, member)
            if result != v:
                self._line(f"{result}.append({checked})")
        return result

    def _dict(self, value: Type, v: str) -> str:
        self._require(f"type({v}) is dict")
        result = self._copy(v) if _changes(value, self._coerce) else v
        key, member = self._variable(), self._variable()
        with self._block(f"for {key}, {member} in {v}.items():"):
            if not self._decoded:
                self._require(_STRING.format(v=key))
            checked = self._check(value, member)
            if result != v:
                self._line(f"{result}[{key}] = {checked}")
        return result

    def _copy(self, v: str) -> str:
        """The results go into a copy: a checker never changes its argument, and keys keep their order."""
        self._line(f"{(result := self._variable())} = {v}.copy()")
        return result

    def _object(self, source: ObjectType, v: str) -> str:
        optional = {name: member for name, member in source.fields.items() if not member.required}
        self._require(f"type({v}) is dict")
        if source.closed and not optional:
            self._require(f"len({v}) == {len(source.fields)}")
        result = self._copy(v) if _changes(source, self._coerce) else v
        for name, member in source.fields.items():
            if member.required:
                self._member(self._constant(name), member, v, result)
        if not optional and source.closed:
            return result
        self._line(f"{(known := self._variable())} = {len(source.fields) - len(optional)}")
        for name, member in optional.items():
            self._optional_member(self._constant(name), member, v, result, known)
        with self._block(f"if len({v}) != {known}:"):
            extra = _refuse if source.closed else _extra_checker(frozenset(source.fields), self._checker(ANY))
            self._line(f"{self._constant(extra)}({v})")
        return result

    def _member(self, key: str, member: Field, v: str, result: str) -> None:
        self._line(f"{(item := self._variable())} = {v}[{key}]")
        checked = self._check(member.type, item)
        if checked != item:
            self._line(f"{result}[{key}] = {checked}")

    def _optional_member(self, key: str, member: Field, v: str, result: str, known: str) -> None:
        with self._block(f"if {key} in {v}:"):
            self._line(f"{known} += 1")
            self._member(key, member, v, result)
        if member.default is ABSENT:
            return
        with self._block("else:"):
            make = _default_maker(member, self._coerce)
            value = self._constant(member.default if make is None else make)
            self._line(f"{result}[{key}] = {value}{'' if make is None else '()'}")

    def _union(self, options: tuple[Type, ...], v: str) -> str:
        """Told apart by the kind of the value; where several options are left, one after the other."""
        groups: dict[tuple[int, ...], list[type]] = {}
        kinds = [_kinds(option, self._coerce) for option in options]
        for kind in sorted(frozenset().union(*kinds), key=lambda each: each.__name__):
            takers = tuple(place for place, taken in enumerate(kinds) if kind in taken)
            groups.setdefault(takers, []).append(kind)
        self._line(f"{(result := self._variable())} = {v}")
        word = "if"
        for takers, members in groups.items():
            test = " or ".join(f"type({v}) is {self._constant(member)}" for member in members)
            with self._block(f"{word} {test}:"):
                checked = self._one_of([options[place] for place in takers], v)
                self._line(f"{result} = {checked}")
            word = "elif"
        with self._block("else:"):
            self._line("raise Rejected")
        return result

    def _one_of(self, options: list[Type], v: str) -> str:
        if len(options) == 1:
            return self._check(options[0], v)
        checks = tuple(map(self._checker, options))
        return self._call(self._constant(first_fit(checks)), v)


def _changes(source: Type, coerce: bool) -> bool:
    """Whether a checker may return another object than it got."""
    match source:
        case ScalarType(name="bytes") | VectorType():
            return coerce
        case ListType(item=inner) | DictType(value=inner):
            return _changes(inner, coerce)
        case ObjectType(fields=fields):
            return any(
                _changes(member.type, coerce) or not (member.required or member.default is ABSENT)
                for member in fields.values()
            )
        case UnionType(options=options):
            return any(_changes(option, coerce) for option in options)
        case _:
            return False


def _kinds(source: Type, coerce: bool) -> frozenset[type]:  # noqa: PLR0911 - one line a kind
    """Python types that a value of this type can have."""
    match source:
        case ScalarType(name=name):
            return _KINDS[name] | (_KINDS["string"] if coerce and name == "bytes" else frozenset())
        case LiteralType(values=values):
            return frozenset(map(type, values))
        case ListType() | FieldType(name="table"):
            return frozenset((list,))
        case DictType() | ObjectType():
            return frozenset((dict,))
        case UnionType(options=options):
            return frozenset().union(*(_kinds(option, coerce) for option in options))
        case VectorType():
            return frozenset((np.ndarray, list) if coerce else (np.ndarray,))
        case FieldType():
            return _KINDS["string"]
        case AnyType():
            return _EVERY_KIND


def _refuse(_value: Any) -> None:
    raise Rejected


def _extra_checker(known: frozenset[str], check_members: Checker) -> Callable[[dict[Any, Any]], None]:
    def check(value: dict[Any, Any]) -> None:
        check_members({key: item for key, item in value.items() if key not in known})

    return check


def _default_maker(member: Field, coerce: bool) -> Callable[[], Any] | None:
    """Makes the default anew for every value, so that nobody shares a list; None for what cannot be changed.

    Null stands for "not given", whatever the type.
    """
    default = member.default
    if default is None or isinstance(default, str | bool | int | float):
        return None
    check = checker(member.type, coerce=coerce)
    return lambda: check(_copy(default))


def _copy(value: Any) -> Any:
    if type(value) is dict:
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if type(value) is list else value


__all__ = ["Rejected", "checker"]
