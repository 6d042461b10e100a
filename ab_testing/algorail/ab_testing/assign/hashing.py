"""From a unit to a segment: one salted SHA-256, integers only."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final

SEGMENTS: Final = 10_000
"""Resolution of every hash: a weight is a whole number of ten-thousandths."""

SEPARATOR: Final = "\x1f"
"""Between salt and unit, so that `a` + `bc` and `ab` + `c` differ. A salt may not contain it."""

_MAX_INTEGER_BITS = 1024


def segment_of(salt: str, unit: str) -> int:
    """The segment, 0 to 9,999, that a unit falls into under a salt.

    `(h * 10_000) >> 64` for the first eight bytes `h` of the hash: no float, no modulo bias, and the same in
    any language and in SQL (`docs/traffic-split.md` has the query).

    Example:
        >>> segment_of("variant:checkout", "customer-17")
        2450
    """
    digest = hashlib.sha256(f"{salt}{SEPARATOR}{unit}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") * SEGMENTS) >> 64


def unit_key(unit: object) -> str | None:
    """The text that is hashed for a unit, or None for what cannot be a unit.

    A whole number and its decimal text are the same unit (a JSON client sends `17`, a header `"17"`), and
    text is brought to Unicode NFC. None, `""`, booleans, floats and everything else are no unit: hashing
    `None` or `True` would put every caller without a key into one arm.

    Example:
        >>> unit_key(17), unit_key("17"), unit_key(""), unit_key(None), unit_key(True)
        ('17', '17', None, None, None)
    """
    if isinstance(unit, bool):
        return None
    if isinstance(unit, int):
        return str(unit) if unit.bit_length() <= _MAX_INTEGER_BITS else None
    if not isinstance(unit, str) or not unit:
        return None
    if unit.isascii():
        return unit
    key = unicodedata.normalize("NFC", unit)
    return None if any("\ud800" <= char <= "\udfff" for char in key) else key
