"""Problem documents (RFC 9457): the one place where errors of the domain become HTTP."""

from __future__ import annotations

import math
from typing import Any

import orjson
from starlette.responses import Response

from algorail.engine.kit.errors import (
    AlgorailError,
    BlockFailed,
    Cancelled,
    Conflict,
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Overloaded,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"

_BY_CODE = {
    "unauthenticated": 401,
    "body-too-large": 413,
    "method-not-allowed": 405,
    "media-type-unsupported": 415,
    "etag-mismatch": 412,
    "draft-changed": 412,
    "etag-required": 428,
    "host-not-allowed": 421,
    "queue-full": 429,
    "archived": 410,
}

_BY_CLASS: tuple[tuple[type[AlgorailError], int], ...] = (
    (InvalidInput, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Forbidden, 403),
    (LimitExceeded, 422),
    (Overloaded, 503),
    (Unavailable, 503),
    (DeadlineExceeded, 504),
    (Cancelled, 499),
    (BlockFailed, 502),
)

_TITLES = {
    401: "Who are you?",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    412: "It was changed meanwhile",
    413: "The body is too large",
    415: "This media type is not understood",
    421: "Wrong host name",
    422: "The input is not valid",
    428: "A condition is required",
    429: "Too many requests",
    499: "Cancelled",
    500: "Internal error",
    502: "A block failed",
    503: "Try again later",
    504: "Out of time",
}


def status_of(error: AlgorailError) -> int:
    """The HTTP status for an error: by its code where that says more, else by its class."""
    status = _BY_CODE.get(error.code)
    if status is not None:
        return status
    return next((status for kind, status in _BY_CLASS if isinstance(error, kind)), 500)


def problem_document(error: AlgorailError, *, run_id: str = "") -> dict[str, Any]:
    """The document, without empty members."""
    status = status_of(error)
    document: dict[str, Any] = {
        "type": f"urn:algorail:error:{error.code}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "code": error.code,
        "detail": error.message,
        "problems": [problem.as_dict() for problem in error.problems],
        "retryable": error.retryable,
    }
    if error.cure:
        document["cure"] = error.cure
    if isinstance(error, BlockFailed):
        document["node"] = error.node
    if run_id:
        document["run_id"] = run_id
    if error.details:
        document["details"] = error.details
    return document


def problem_response(
    error: AlgorailError, *, run_id: str = "", headers: dict[str, str] | None = None
) -> Response:
    """The answer for an error, with `Retry-After` and `WWW-Authenticate` where they belong."""
    document = problem_document(error, run_id=run_id)
    extra = dict(headers or {})
    if error.retry_after is not None:
        extra["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if document["status"] == 401:
        extra["WWW-Authenticate"] = "Bearer"
    return Response(
        orjson.dumps(document, default=str),
        status_code=document["status"],
        headers=extra,
        media_type=MEDIA_TYPE,
    )


__all__ = ["MEDIA_TYPE", "problem_document", "problem_response", "status_of"]
