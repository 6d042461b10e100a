"""Identifiers that sort by time and can be made anywhere without asking."""

from __future__ import annotations

import os
import re
import time

NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*\Z")
"""Names of algorithms, models, indexes, connections, aliases: lower case, digits, `-` and `_`."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TO_PYTHON = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_FOREIGN = str.maketrans("", "", _ALPHABET)


def new_id(prefix: str, *, now_ns: int | None = None) -> str:
    """A new identifier such as `run_01jd3v…`: 48 bits of milliseconds, 80 of chance, Crockford base 32.

    Source: the ULID specification, in lower case.
    """
    millis = (time.time_ns() if now_ns is None else now_ns) // 1_000_000
    number = (millis << 80) | int.from_bytes(os.urandom(10), "big")
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{prefix}_{''.join(digits)}"


def id_time_ns(identifier: str) -> int:
    """The time inside an identifier of `new_id`, nanoseconds since the epoch, millisecond resolution.

    Raises:
        ValueError: If it is not such an identifier.
    """
    _, _, digits = identifier.rpartition("_")
    if len(digits) != 26:
        raise ValueError(f"not an Algorail id: {identifier!r}")
    # Ten digits hold the time and sixteen the chance. Python reads base 32 with the letters up to v.
    if digits.translate(_FOREIGN):
        raise ValueError(f"not an Algorail id: {identifier!r}")
    return int(digits[:10].translate(_TO_PYTHON), 32) * 1_000_000
