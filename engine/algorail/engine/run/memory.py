"""A node's memory of outputs: least recently used, with a time to live and single flight."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from algorail.engine.kit.clock import Clock
from algorail.engine.plan.document import Cache
from algorail.engine.run.bindings import fresh


def _hook(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [value.dtype.str, list(value.shape), value.tobytes()]
    if isinstance(value, np.generic):
        return [value.dtype.str, value.item()]
    raise TypeError(f"cannot be hashed: {type(value).__name__}")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_hook, order="sorted")


def hash_of(inputs: Mapping[str, Any]) -> bytes:
    """A hash of plain data and arrays; equal values of unequal type (1, 1.0, True) have unequal hashes.

    Raises:
        TypeError: If something else is in there.
    """
    return hashlib.blake2b(_ENCODER.encode(inputs), digest_size=16).digest()


class Memory:
    """Outputs by the hash of the inputs. Used from one event loop only."""

    def __init__(self, policy: Cache, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._kept: OrderedDict[bytes, tuple[float, Any]] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Future[Any]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, inputs: Mapping[str, Any], make: Callable[[], Awaitable[Any]]) -> tuple[Any, bool]:
        """The output for these inputs and whether it was known.

        Whoever comes first makes it, the others wait; a failure is not kept, and if the first is
        cancelled the next one makes it.
        """
        key = hash_of(inputs)
        while True:
            entry = self._kept.get(key)
            if entry is not None:
                if entry[0] > self._clock.monotonic():
                    self._kept.move_to_end(key)
                    return fresh(entry[1]), True
                del self._kept[key]
            leader = self._under_way.get(key)
            if leader is None:
                return await self._make(key, make), False
            await asyncio.wait([leader])
            if not leader.cancelled():
                return fresh(leader.result()), True

    async def _make(self, key: bytes, make: Callable[[], Awaitable[Any]]) -> Any:
        future = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            value = await make()
        except Exception as error:
            future.set_exception(error)
            future.exception()
            raise
        except BaseException:
            future.cancel()
            raise
        finally:
            del self._under_way[key]
        kept = fresh(value)
        self._kept[key] = (self._clock.monotonic() + self._policy.ttl, kept)
        if len(self._kept) > self._policy.size:
            self._kept.popitem(last=False)
        future.set_result(kept)
        return value
