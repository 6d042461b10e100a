"""Identifiers that sort by time and can be made anywhere without asking."""

from __future__ import annotations

import os
import re
import time

NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*\Z")
"""Names of algorithms, models, indexes, connections, aliases: lower case, digits, `-` and `_`."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TO_PYTHON = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_TO_DIGITS = (_ALPHABET * 8).encode()
"""A digit for every byte: five of its bits count, so that chance stays even."""
_FOREIGN = str.maketrans("", "", _ALPHABET)
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]

_STOCK = 256
"""Identifiers whose chance is asked for at once: the system call costs more than all the rest."""

_chances: list[str] = []
_span = (-1, "")
"""The last 1,024 ms in which an identifier was made, and the eight digits that say so."""

os.register_at_fork(after_in_child=_chances.clear)


def new_id(prefix: str, *, now_ns: int | None = None) -> str:
    """A new identifier such as `run_01jd3v…`: 48 bits of milliseconds, 80 of chance, Crockford base 32.

    Source: the ULID specification, in lower case.
    """
    millis = (time.time_ns() if now_ns is None else now_ns) // 1_000_000
    span = _span
    if span[0] != millis >> 10:
        span = _remember(millis >> 10)
    try:
        chance = _chances.pop()
    except IndexError:
        chance = _stock()
    return f"{prefix}_{span[1]}{_PAIRS[millis & 1023]}{chance}"


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


def _remember(number: int) -> tuple[int, str]:
    global _span  # one tuple, replaced as a whole: threads see the old one or the new one
    _span = number, "".join(_PAIRS[(number >> shift) & 1023] for shift in (30, 20, 10, 0))
    return _span


def _stock() -> str:
    """Sixteen digits of chance, and more of them for those who ask next."""
    digits = os.urandom(16 * _STOCK).translate(_TO_DIGITS).decode()
    chances = [digits[start : start + 16] for start in range(0, len(digits), 16)]
    chance = chances.pop()
    _chances.extend(chances)
    return chance
