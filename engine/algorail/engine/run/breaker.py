"""A circuit breaker: what keeps failing is left alone for a while, then tried with a single call."""

from __future__ import annotations

from algorail.engine.kit.clock import Clock
from algorail.engine.kit.errors import Unavailable
from algorail.engine.plan.document import Breaker


class CircuitBreaker:
    """Counts failures in a row. Used from one event loop only."""

    def __init__(self, policy: Breaker, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None
        self._probing = False

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        if self._opened is None:
            return "closed"
        return "half-open" if self._left() <= 0 else "open"

    def _left(self) -> float:
        return 0.0 if self._opened is None else self._opened + self._policy.reset - self._clock.monotonic()

    def enter(self, node: str) -> None:
        """Ask for leave to call.

        Raises:
            Unavailable: If the circuit is open, or half-open with its one probe under way.
        """
        if self._opened is None:
            return
        left = self._left()
        if left > 0 or self._probing:
            raise Unavailable(
                f"the circuit of {node} is open after {self._failures} failures in a row",
                code="circuit-open",
                retry_after=max(left, 0.0),
            )
        self._probing = True

    def succeeded(self) -> None:
        """The call went well."""
        self._failures, self._opened, self._probing = 0, None, False

    def failed(self) -> None:
        """The call failed in a way that tells of the callee."""
        self._failures += 1
        if self._probing or self._failures >= self._policy.failures:
            self._opened = self._clock.monotonic()
        self._probing = False

    def abandoned(self) -> None:
        """The call ended without telling anything: cancelled, or refused for its input."""
        self._probing = False
