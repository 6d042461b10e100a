"""Reads nested documents and notes every problem with its place, rather than stopping at the first one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from algorail.engine.kit.errors import Problem

T = TypeVar("T")

_KINDS: Mapping[type, str] = {
    dict: "object",
    list: "list",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


def kind_of(value: Any) -> str:
    """The JSON name of a value's type."""
    return _KINDS.get(type(value), type(value).__name__)


def short(value: Any, limit: int = 80) -> str:
    """A `repr` cut to a length that fits in a message."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A cure: the nearest choice if one is near, else what there is to choose from."""
    names = list(choices)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if not names:
        return "there are none to choose from"
    listed = ", ".join(sorted(names)[:12])
    return f"choose from {listed}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def at_key(place: str, key: str | int) -> str:
    """The place of a member: `nodes[2].id`."""
    if isinstance(key, int):
        return f"{place}[{key}]"
    return f"{place}.{key}" if place else key


@dataclass(slots=True)
class Reader:
    """Collects the problems of one document.

    Attributes:
        problems: What was wrong so far.
        node: Id of the node that is being read, noted on its problems.
    """

    problems: list[Problem] = field(default_factory=list)
    node: str = ""

    def problem(
        self, code: str, message: str, place: str, *, expected: str = "", got: str = "", cure: str = ""
    ) -> None:
        """Notes one problem."""
        self.problems.append(
            Problem(
                code=code, message=message, node=self.node, port=place, expected=expected, got=got, cure=cure
            )
        )

    def wrong_type(self, place: str, expected: str, value: Any) -> None:
        """Notes that a value has the wrong JSON type."""
        article = "an" if expected[0] in "aeiou" else "a"
        self.problem(
            "wrong-type",
            f"must be {article} {expected}, is {kind_of(value)} {short(value)}",
            place,
            expected=expected,
            got=short(value),
        )

    def mapping(self, value: Any, place: str) -> dict[str, Any]:
        """The object, empty if it is none. Keys must be strings."""
        if not isinstance(value, dict):
            self.wrong_type(place, "object", value)
            return {}
        for key in value:
            if not isinstance(key, str):
                self.problem(
                    "wrong-type",
                    f"the key {key!r} must be a string",
                    place,
                    expected="string",
                    got=short(key),
                )
        return {key: item for key, item in value.items() if isinstance(key, str)}

    def record(
        self, value: Any, place: str, allowed: Iterable[str], required: Iterable[str] = ()
    ) -> dict[str, Any]:
        """An object with a fixed set of fields: unknown and missing ones are problems."""
        found = self.mapping(value, place)
        names = list(allowed)
        for key in (key for key in found if key not in names):
            self.problem(
                "unknown-field",
                f"unknown field {key!r}",
                at_key(place, key),
                got=key,
                cure=did_you_mean(key, names),
            )
        if isinstance(value, dict):
            for key in required:
                if key not in found:
                    self.problem("missing-field", f"the field {key!r} is missing", place, expected=key)
        return {key: item for key, item in found.items() if key in names}

    def items(self, value: Any, place: str) -> Iterator[tuple[str, Any]]:
        """Place and value of each item of a list."""
        if not isinstance(value, list):
            self.wrong_type(place, "list", value)
            return
        for index, item in enumerate(value):
            yield at_key(place, index), item

    def text(self, value: Any, place: str, default: str = "") -> str:
        """The string."""
        if isinstance(value, str):
            return value
        self.wrong_type(place, "string", value)
        return default

    def integer(self, value: Any, place: str, default: int = 0) -> int:
        """The integer; a boolean is none."""
        if type(value) is int:
            return value
        self.wrong_type(place, "integer", value)
        return default

    def number(self, value: Any, place: str, default: float = 0.0) -> float:
        """The number as float; a boolean is none."""
        if type(value) in {int, float}:
            return float(value)
        self.wrong_type(place, "number", value)
        return default

    def boolean(self, value: Any, place: str, *, default: bool = False) -> bool:
        """The boolean."""
        if isinstance(value, bool):
            return value
        self.wrong_type(place, "boolean", value)
        return default

    def choice(self, value: Any, place: str, choices: Sequence[T], default: T) -> T:
        """One of the choices."""
        if isinstance(value, str) and value in choices:
            return choices[choices.index(value)]
        self.problem(
            "wrong-value",
            f"must be one of {', '.join(map(repr, choices))}, is {short(value)}",
            place,
            expected=", ".join(map(str, choices)),
            got=short(value),
        )
        return default

    def maybe(self, found: Mapping[str, Any], key: str, place: str, read: Callable[..., T], default: T) -> T:
        """Reads a field that may be missing."""
        return read(found[key], at_key(place, key)) if key in found else default
