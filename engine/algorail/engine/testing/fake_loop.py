"""An event loop whose time jumps: waits cost nothing and last exactly as long as they say.

    >>> import asyncio
    >>> clock = FakeClock()
    >>> run_fake(asyncio.sleep(3_600), clock)
    >>> clock.monotonic()
    3600.0

When nothing is ready, the clock jumps to the next timer. Work in threads and on sockets still happens, but
in no time at all; a test that mixes it with timers must not depend on which comes first.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH_NS = 1_700_000_000_000_000_000
"""Where the wall clock starts: 2023-11-14T22:13:20Z."""


class FakeClock:
    """Time that only moves when it is told to (`kit.clock.Clock`)."""

    def __init__(self) -> None:
        self._nanoseconds = 0

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._nanoseconds / 1e9

    def now_ns(self) -> int:
        """Wall clock, nanoseconds since the epoch."""
        return EPOCH_NS + self._nanoseconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._nanoseconds += round(seconds * 1e9)


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type, unused-ignore]
    """Reports what is ready and, instead of waiting for a timer, moves the clock there."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self._clock.advance(timeout)
        return ready


class FakeLoop(asyncio.SelectorEventLoop):
    """An event loop on a `FakeClock`."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        super().__init__(_JumpingSelector(self.clock))

    def time(self) -> float:
        """The clock's seconds."""
        return self.clock.monotonic()


def run_fake(coroutine: Coroutine[Any, Any, T], clock: FakeClock | None = None) -> T:
    """As `asyncio.run`, on a loop with that clock."""
    with asyncio.Runner(loop_factory=lambda: FakeLoop(clock)) as runner:
        return runner.run(coroutine)
