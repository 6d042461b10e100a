"""How much memory a run takes before it is encoded, guessed from earlier runs of the same plan.

Measuring a run would cost more than encoding it. The guess follows the largest runs at once and forgets them
slowly.
"""

from __future__ import annotations

OBJECTS = 4
"""Small Python objects take about this many times the bytes of their msgpack."""
UNKNOWN = 65_536
"""The guess for a plan that was not encoded yet."""
_FADE = 16
_PLANS = 1_024


class Sizes:
    """Estimates by plan; one thread learns, others ask."""

    def __init__(self) -> None:
        self._bytes: dict[str, int] = {}

    def estimate(self, plan_hash: str) -> int:
        """Bytes that a run of the plan takes in memory."""
        return self._bytes.get(plan_hash, UNKNOWN)

    def learn(self, plan_hash: str, unpacked: int) -> None:
        """Note the encoded size of a run."""
        before = self._bytes.get(plan_hash, 0)
        if not before and len(self._bytes) >= _PLANS:
            self._bytes.pop(next(iter(self._bytes)))
        self._bytes[plan_hash] = max(unpacked * OBJECTS, before - before // _FADE)


__all__ = ["OBJECTS", "UNKNOWN", "Sizes"]
