"""W3C trace context: reading the caller's and making our own."""

from __future__ import annotations

import random
import re
from typing import Final

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?\Z"
)


def child_of(traceparent: str) -> str:
    """The traceparent of a run: the caller's trace and flags with a span of our own.

    Identifiers of traces need chance, not secrecy: no system call is made for them.
    A malformed one starts a new trace, as the specification asks (W3C Trace Context, 4.3).

    Example:
        >>> parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        >>> child_of(parent).split("-")[1], child_of(parent) == parent
        ('4bf92f3577b34da6a3ce929d0e0e4736', False)
    """
    span = f"{random.getrandbits(64) or 1:016x}"
    found = _TRACEPARENT.match(traceparent) if traceparent else None
    if found is None:
        return f"00-{random.getrandbits(128) or 1:032x}-{span}-00"
    return f"00-{found[1]}-{span}-{found[2]}"


def trace_id(traceparent: str) -> str:
    """The trace's identifier inside a well-formed traceparent."""
    return traceparent[3:35]


__all__ = ["child_of", "trace_id"]
