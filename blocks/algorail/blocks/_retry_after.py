"""What a server says in `Retry-After`."""

from __future__ import annotations

MAX_SECONDS = 3_600.0
"""More is as good as never, and a number of a thousand digits is infinite."""


def seconds_of(header: str | None) -> float | None:
    """The seconds to wait, at most an hour; None for a date or nonsense.

    >>> seconds_of("2"), seconds_of("Fri, 31 Dec 1999 23:59:59 GMT"), seconds_of("9" * 400)
    (2.0, None, 3600.0)
    """
    if header is None or not (header.isascii() and header.isdecimal()):
        return None
    return min(float(header), MAX_SECONDS)
