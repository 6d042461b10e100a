"""What may be told and recorded about an error: its code and a line without secrets."""

from __future__ import annotations

import asyncio
import re

from algorail.engine.kit.errors import AlgorailError, BlockFailed
from algorail.engine.run.outcome import ErrorInfo

MAX_MESSAGE = 500
"""Characters of a foreign exception's text that are kept."""

_SECRETS = (
    (re.compile(r"(?<=://)[^/\s@]+@"), "***@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), r"\1 ***"),
    (
        re.compile(
            r"(?i)((?:api[-_]?key|token|password|passwd|secret|authorization)['\"]?\s*[=:]\s*)['\"]?[^\s,;&'\"}]+"
        ),
        r"\1***",
    ),
)


def redacted(text: str) -> str:
    """A text without what looks like a credential, cut to a bearable length."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"


def reason(error: BaseException) -> str:
    """What happened, in one line, safe to record and show."""
    if isinstance(error, AlgorailError):
        return redacted(error.message)
    text = str(error)
    return redacted(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def code_of(error: BaseException) -> str:
    """The stable code of an error."""
    if isinstance(error, AlgorailError):
        return error.code
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return "timeout" if isinstance(error, TimeoutError) else BlockFailed.code


def info(error: BaseException, node: str = "") -> ErrorInfo:
    """An error as it is recorded."""
    if isinstance(error, BlockFailed) and not node:
        node = error.node
    return ErrorInfo(code_of(error), reason(error), node)
