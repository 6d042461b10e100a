"""Masks: functions, compiled from types once, that replace what is sensitive before it is encoded.

A mask fails closed: a value that does not fit its sensitive type is masked as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from algorail.engine.plan.types import (
    DictType,
    FieldType,
    ListType,
    ObjectType,
    ScalarType,
    Type,
    UnionType,
)
from algorail.engine.record.marks import Mark

REDACTED = "[masked]"
_REDACTED_AT_LEAST = 3
"""Sensitive texts shorter than this are not looked for in messages: they are everywhere."""


class Masker:
    """Masks values and remembers the sensitive texts of one run, to strike them out of messages.

    Args:
        salt: With one, equal values have equal digests within an installation; without, no digest is kept.
    """

    def __init__(self, salt: bytes = b"") -> None:
        self._salt = salt[:64]
        self._seen: set[str] = set()

    def hide(self, value: Any, sensitivity: str) -> Any:
        """The mark for a sensitive value; None stays None."""
        if value is None or isinstance(value, Mark):
            return value
        self._seen.update(text for text in _texts(value) if len(text) >= _REDACTED_AT_LEAST)
        details = {"sensitivity": sensitivity}
        if self._salt:
            details["digest"] = self.digest(value)
        return Mark("masked", **details)

    def digest(self, value: Any) -> str:
        """A salted digest of a value, the same in every process that has the salt."""
        raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else _stable(value)
        return hashlib.blake2b(raw, key=self._salt, digest_size=8).hexdigest()

    def unit(self, unit: str) -> str:
        """What stands in a run's row for a sensitive unit; with a salt, runs can still be found by it."""
        return f"masked:{self.digest(unit)}" if self._salt else "masked"

    def strike(self, text: str) -> str:
        """A text without the sensitive values seen so far."""
        for secret in sorted(self._seen, key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return text


Mask = Callable[[Any, Masker], Any]


def mask_of(source: Type) -> Mask | None:
    """The mask of a type, None if nothing in it is sensitive."""
    if source.sensitivity or (isinstance(source, FieldType) and source.name == "secret"):
        return _whole(source.sensitivity or "secret")
    match source:
        case ListType(item=item):
            return _container(list, mask_of(item), enumerate)
        case DictType(value=member):
            return _container(dict, mask_of(member), dict.items)
        case ObjectType(fields=fields):
            return _object({name: mask_of(field.type) for name, field in fields.items()})
        case UnionType(options=options):
            return _union(options)
        case _:
            return None


def _whole(sensitivity: str) -> Mask:
    return lambda value, masker: masker.hide(value, sensitivity)


def _container(
    shape: type, inner: Mask | None, items: Callable[[Any], Iterable[tuple[Any, Any]]]
) -> Mask | None:
    if inner is None:
        return None

    def mask(value: Any, masker: Masker) -> Any:
        if not isinstance(value, shape):
            return masker.hide(value, "secret")
        masked = ((key, inner(item, masker)) for key, item in items(value))
        return dict(masked) if shape is dict else [item for _, item in masked]

    return mask


def _object(masks: dict[str, Mask | None]) -> Mask | None:
    sensitive = {name: mask for name, mask in masks.items() if mask is not None}
    if not sensitive:
        return None

    def mask(value: Any, masker: Masker) -> Any:
        if not isinstance(value, dict):
            return masker.hide(value, "secret")
        hidden = {name: inner(value[name], masker) for name, inner in sensitive.items() if name in value}
        return {**value, **hidden}

    return mask


def _union(options: tuple[Type, ...]) -> Mask | None:
    """`Optional[X]` is masked as X; where several options could be meant, everything is."""
    real = [option for option in options if not (isinstance(option, ScalarType) and option.name == "null")]
    masks = [mask_of(option) for option in real]
    if not any(masks):
        return None
    only = masks[0] if len(real) == 1 else None
    if only is None:
        return _whole("secret")
    return lambda value, masker: None if value is None else only(value, masker)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _stable(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(
            value, enc_hook=lambda other: getattr(other, "tolist", other.__repr__)()
        )
    except (OverflowError, UnicodeEncodeError, TypeError, RecursionError):
        return repr(value).encode("utf-8", "surrogatepass")


__all__ = ["REDACTED", "Mask", "Masker", "mask_of"]
