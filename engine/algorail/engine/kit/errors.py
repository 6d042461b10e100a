"""The exception tree of Algorail. Nothing here knows HTTP: the API maps codes to statuses.

AlgorailError
├── InvalidInput          the caller's data is wrong; carries every `Problem` found
│   ├── PlanInvalid       a plan does not hold together
│   └── ConfigInvalid     a block's configuration or a setting is wrong
├── NotFound              no such algorithm, version, run, index, connection …
├── Conflict              somebody else changed it first, or it is in use
├── Forbidden             the caller may not do this
├── LimitExceeded         a size, depth or time limit of the operator
├── Overloaded            try again later (`retry_after` seconds)
├── Unavailable           something that is needed does not answer
├── DeadlineExceeded      the caller's time is used up
├── Cancelled             the run was cancelled
└── BlockFailed           a block raised; `__cause__` holds what
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, where it is, and how to mend it.

    Attributes:
        code: Stable, kebab-case, documented in `docs/reference/errors.md`.
        message: One sentence for a person.
        node: Id of the node it concerns, empty if none.
        port: Name of the port or field it concerns, empty if none.
        expected: What would have been right.
        got: What came (a `repr` for values).
        cure: What to do about it.
    """

    code: str
    message: str
    node: str = ""
    port: str = ""
    expected: str = ""
    got: str = ""
    cure: str = ""

    def as_dict(self) -> dict[str, str]:
        """The non-empty fields, as they stand in a problem document."""
        return {key: value for key, value in asdict(self).items() if value}

    def __str__(self) -> str:
        where = ".".join(part for part in (self.node, self.port) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} ({self.cure})" if self.cure else text


class AlgorailError(Exception):
    """Root of every error that Algorail raises on purpose.

    Args:
        message: What was expected, what came, the choices.
        code: Stable identifier; the class has a default.
        cure: What to do about it.
        problems: Every single problem, when several were found at once.
        retryable: Whether the same call may succeed later.
        non_retryable: Ends retry policies at once, whatever they say.
    """

    code: ClassVar[str] = "internal"
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        cure: str = "",
        problems: Iterable[Problem] = (),
        retryable: bool | None = None,
        retry_after: float | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        self.problems: Sequence[Problem] = tuple(problems)
        self.retry_after = retry_after
        self.details = details or {}
        if code is not None:
            self.code = code  # type: ignore[misc]  # an instance may be more exact than its class
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        lines = [f"{self.message} ({self.cure})" if self.cure else self.message]
        lines += [f"  - {problem}" for problem in self.problems]
        return "\n".join(lines)


class InvalidInput(AlgorailError):
    """The caller's data is wrong."""

    code = "invalid-input"


class PlanInvalid(InvalidInput):
    """A plan does not hold together; `problems` has all of it."""

    code = "plan-invalid"


class ConfigInvalid(InvalidInput):
    """A block's configuration or a setting is wrong."""

    code = "config-invalid"


class NotFound(AlgorailError):
    """There is no such thing."""

    code = "not-found"


class Conflict(AlgorailError):
    """Somebody else changed it first, or it is in use."""

    code = "conflict"


class Forbidden(AlgorailError):
    """The caller may not do this."""

    code = "forbidden"


class LimitExceeded(AlgorailError):
    """A size, depth or time limit set by the operator."""

    code = "limit-exceeded"


class Overloaded(AlgorailError):
    """Too much at once; `retry_after` says when to come back, in seconds."""

    code = "overloaded"
    retryable = True


class Unavailable(AlgorailError):
    """Something that is needed does not answer."""

    code = "unavailable"
    retryable = True


class DeadlineExceeded(AlgorailError):
    """The caller's time is used up."""

    code = "deadline-exceeded"


class Cancelled(AlgorailError):
    """The run was cancelled."""

    code = "cancelled"


class BlockFailed(AlgorailError):
    """A block raised; `node` says which, `__cause__` what."""

    code = "block-failed"

    def __init__(self, message: str, *, node: str, **rest: Any) -> None:
        super().__init__(message, **rest)
        self.node = node
