"""What comes in and what goes out of an invocation: values without behaviour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from algorail.engine.kit.errors import AlgorailError
from algorail.engine.service.oversight import Gone
from algorail.engine.service.principal import Principal

DEFAULT_VERSION = "@prod"


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of an algorithm. Nobody changes it; it is not frozen, because that costs at every call.

    Attributes:
        algorithm: Its name.
        body: The inputs, as a JSON object.
        principal: Who calls.
        version: A number, or an alias as `@prod`.
        unit: Unit key of a traffic split; the plan's `unit` field is used when empty.
        seconds: Time the caller gives, None for the default.
        idempotency_key: Same key and same body: same run.
        traceparent: W3C trace context of the caller.
        emit: Receives (node id, part of the answer) as parts come.
        gone: Returns when the caller has gone away.
    """

    algorithm: str
    body: bytes
    principal: Principal
    version: str = DEFAULT_VERSION
    unit: str = ""
    seconds: float | None = None
    idempotency_key: str = ""
    traceparent: str = ""
    emit: Callable[[str, Any], None] | None = None
    gone: Gone | None = None


@dataclass(slots=True)
class Answer:
    """How a run ended. Nobody changes it.

    Attributes:
        body: The output as JSON, empty if the run failed.
        error: Why it failed.
        repeated: Whether this is the remembered answer of an earlier call with the same idempotency key.
    """

    run_id: str
    version: int
    variant: str
    body: bytes = b""
    error: AlgorailError | None = None
    repeated: bool = False


__all__ = ["DEFAULT_VERSION", "Answer", "Call"]
