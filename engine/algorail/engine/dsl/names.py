"""Names: the variable that a call is assigned to, and node ids made of it.

The name is read from the caller's bytecode, so it needs no source text: it works in notebooks, in `exec`
and from zipped packages. Knows nothing of plans.
"""

from __future__ import annotations

import dis
import re
import sys
from collections.abc import Container
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType

_HERE = str(Path(__file__).parent)
_STORES = frozenset({"STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF"})
_PAIRS = frozenset({"STORE_FAST_STORE_FAST", "STORE_FAST_LOAD_FAST"})
"""Instructions of Python 3.13 that do two things at once; the first is the store."""
MAX_ID = 64
NODE_ID = re.compile(r"[a-z_][a-z0-9_]{0,63}\Z")


def assigned_name() -> str:
    """The variable that the user's current call is assigned to, empty if it is not assigned."""
    frame = user_frame()
    return "" if frame is None else _stores(frame.f_code).get(frame.f_lasti, "")


def user_frame() -> FrameType | None:
    """The innermost frame that is not of this package."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the only way to the caller
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return frame


@lru_cache(maxsize=256)
def _stores(code: CodeType) -> dict[int, str]:
    """By the offset of each call: the variable that gets its result.

    A frame may stand at the call or at one of its inline caches, so all of these offsets count.
    """
    instructions = list(dis.get_instructions(code))
    found: dict[int, str] = {}
    for position, instruction in enumerate(instructions):
        if not instruction.opname.startswith("CALL"):
            continue
        follow = position + 1
        while follow < len(instructions) and instructions[follow].opname in {"COPY", "CACHE", "NOP"}:
            follow += 1
        if follow < len(instructions):
            name = _stored(instructions[follow])
            if name:
                end = instructions[position + 1].offset
                found.update(dict.fromkeys(range(instruction.offset, end, 2), name))
    return found


def _stored(instruction: dis.Instruction) -> str:
    if instruction.opname in _STORES:
        return str(instruction.argval)
    if instruction.opname in _PAIRS:
        return str(instruction.argval[0])
    return ""


def node_id(wanted: str, taken: Container[str]) -> str:
    """An id like `wanted` that is not taken yet: `hits`, `hits_2`, `hits_3` …

    >>> node_id("Hits", {"hits"})
    'hits_2'
    """
    base = re.sub(r"[^a-z0-9_]", "_", wanted.lower())[:MAX_ID].rstrip("_") or "node"
    base = f"_{base}"[:MAX_ID] if base[0].isdigit() else base
    found, number = base, 1
    while found in taken:
        number += 1
        suffix = f"_{number}"
        found = base[: MAX_ID - len(suffix)] + suffix
    return found
