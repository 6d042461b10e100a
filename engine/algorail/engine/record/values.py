"""Values as bytes: msgpack, with extensions for marks and arrays. Never fails on what a block may return."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec
import numpy as np

from algorail.engine.record.marks import HEAD_ITEMS, Mark, array_details

ArrayMode = Literal["summary", "full"]

MARK, ARRAY, BIG_INTEGER = 1, 2, 3
"""Extension codes; they are written into records for ever."""

MAX_DEPTH = 200
_REFUSALS = (OverflowError, UnicodeEncodeError, TypeError, ValueError, RecursionError)
_ARRAY_KINDS = frozenset("biuf")


class ValueEncoder:
    """Encodes values.

    Args:
        arrays: `summary` keeps dtype, shape, digest and the first items of a large array; `full` everything.
        array_bytes: Arrays up to this size are never summarised.
        head: Items of an array that a summary shows.
    """

    def __init__(self, arrays: ArrayMode = "summary", array_bytes: int = 0, head: int = HEAD_ITEMS) -> None:
        self._full = arrays == "full"
        self._array_bytes = array_bytes
        self._head = head
        self._encode = msgspec.msgpack.Encoder(enc_hook=self._extension).encode

    def encode(self, value: Any) -> bytes:
        """The bytes of a value; what cannot be written becomes a mark that says so."""
        try:
            return self._encode(value)
        except _REFUSALS:
            return self._encode(self._writable(value, 0))

    def encode_plain(self, value: Any) -> bytes | None:
        """The bytes of a value, None if anything in it cannot be written as it is."""
        try:
            return self._encode(value)
        except _REFUSALS:
            return None

    def _extension(self, value: Any) -> Any:
        if isinstance(value, Mark):
            return msgspec.msgpack.Ext(MARK, self._encode((value.kind, value.details)))
        if isinstance(value, np.ndarray) and value.dtype.kind in _ARRAY_KINDS:
            return self._array(value)
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, int):
            return msgspec.msgpack.Ext(BIG_INTEGER, str(value).encode())
        return Mark("absent", why=f"a {type(value).__name__} is not plain data")

    def _array(self, value: np.ndarray[Any, Any]) -> msgspec.msgpack.Ext:
        data = np.ascontiguousarray(value)
        if self._full or data.nbytes <= self._array_bytes:
            content = (data.dtype.str, list(data.shape), data.tobytes())
            return msgspec.msgpack.Ext(ARRAY, self._encode(content))
        details = array_details(data, self._head)
        details["digest"] = digest_of(data.tobytes())
        return msgspec.msgpack.Ext(MARK, self._encode(("array", details)))

    def _writable(self, value: Any, depth: int) -> Any:
        """A copy with whatever msgpack refuses replaced; only values that failed come here."""
        if depth > MAX_DEPTH:
            return Mark("absent", why=f"nested deeper than {MAX_DEPTH}")
        if isinstance(value, dict):
            return {_key(key): self._writable(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._writable(item, depth + 1) for item in value]
        return self._scalar(value)

    def _scalar(self, value: Any) -> Any:
        if isinstance(value, str):
            return _key(value)
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            return self._extension(value)
        try:
            self._encode(value)
        except _REFUSALS:
            return Mark("absent", why=f"a {type(value).__name__} is not plain data")
        return value


def digest_of(raw: bytes) -> str:
    """Content address of bytes: 128 bits of BLAKE2b."""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def _key(key: Any) -> Any:
    return str(key).encode("utf-8", "backslashreplace").decode()


def _restored(code: int, data: memoryview) -> Any:
    if code == MARK:
        kind, details = _decoder.decode(data)
        return Mark(kind, **details)
    if code == ARRAY:
        dtype, shape, raw = _decoder.decode(data)
        return np.frombuffer(raw, dtype=dtype).reshape(shape)
    if code == BIG_INTEGER:
        return int(bytes(data))
    return Mark("absent", why=f"written by a newer release (extension {code})")


_decoder = msgspec.msgpack.Decoder(ext_hook=_restored)

decode_value = _decoder.decode
"""The value that bytes of a `ValueEncoder` stand for."""

__all__ = ["ArrayMode", "ValueEncoder", "decode_value", "digest_of"]
