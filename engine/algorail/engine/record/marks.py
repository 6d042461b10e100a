"""Marks: what stands in a record where a value is not, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

MarkKind = Literal["masked", "array", "digest", "apart", "absent"]

HEAD_ITEMS = 8
"""Items of an array that are shown where the array is not."""


class Mark:
    """A value that the record does not hold in full.

    Not a dataclass: encoders would take one for a plain object and lose what it is.

    Attributes:
        kind: `masked` (sensitive), `array` (a summary), `digest` (the node records no more),
            `apart` (a large value, stored under its digest), `absent` (not recorded, `why` says it).
        details: What is known instead: `sensitivity`, `digest`, `size`, `dtype`, `shape`, `head`, `why`.
    """

    __slots__ = ("details", "kind")

    def __init__(self, kind: MarkKind, **details: Any) -> None:
        self.kind = kind
        self.details: Mapping[str, Any] = details

    def as_json(self) -> dict[str, Any]:
        """The mark in an API answer; `$record` cannot be a field of a typed value."""
        return {"$record": self.kind, **self.details}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mark) and (self.kind, self.details) == (other.kind, other.details)

    def __hash__(self) -> int:
        return hash((self.kind, repr(sorted(self.details.items()))))

    def __repr__(self) -> str:
        return f"Mark({self.kind!r}, {', '.join(f'{key}={value!r}' for key, value in self.details.items())})"


def is_complete(value: Any) -> bool:
    """Whether a value read from a record holds no mark, so that a replay may use it."""
    if isinstance(value, Mark):
        return False
    if isinstance(value, dict):
        return all(map(is_complete, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_complete, value))
    return True


def plain(value: Any, *, full: bool = True) -> Any:
    """A recorded value for JSON: marks as objects, arrays as lists.

    Args:
        full: False shows an array of more than a few items by its type, shape and first items.
    """
    if isinstance(value, dict):
        return {key: plain(item, full=full) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, full=full) for item in value]
    if isinstance(value, Mark):
        return value.as_json()
    if isinstance(value, np.ndarray):
        if full or value.size <= HEAD_ITEMS:
            return value.tolist()
        return {"$record": "array", **array_details(value), "complete": True}
    return value


def array_details(array: np.ndarray[Any, Any], head: int = HEAD_ITEMS) -> dict[str, Any]:
    """What people want to see of an array: its dtype, its shape, its first items."""
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "head": array.reshape(-1)[:head].tolist(),
    }


__all__ = ["HEAD_ITEMS", "Mark", "MarkKind", "array_details", "is_complete", "plain"]
