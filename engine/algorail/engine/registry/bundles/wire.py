"""What parent and child say to each other: length-prefixed msgpack frames over a socket pair.

parent → child   ("call", id, block, inputs, context) · ("cancel", id)
child → parent   ("ready", blocks) · ("broken", fields)
                 ("begun", id, None) · ("emit", id, delta) · ("ok", id, value) · ("error", id, fields)
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import numpy as np

MAX_FRAME = 64_000_000
_VECTOR = 1


def _pack_extra(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        body = msgspec.msgpack.encode((value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes()))
        return msgspec.msgpack.Ext(_VECTOR, body)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a block must return plain data or a vector, got {type(value).__name__}")


def _unpack_extra(code: int, data: memoryview) -> Any:
    if code != _VECTOR:
        raise ValueError(f"unknown extension {code}")
    dtype, shape, body = msgspec.msgpack.decode(data)
    return np.frombuffer(body, dtype=np.dtype(dtype)).reshape(shape)


_encoder = msgspec.msgpack.Encoder(enc_hook=_pack_extra)
_decoder = msgspec.msgpack.Decoder(ext_hook=_unpack_extra)


def frame(message: tuple[Any, ...]) -> bytes:
    """A message as bytes.

    Raises:
        TypeError: If a value in it is not plain data.
        ValueError: If it is larger than `MAX_FRAME`.
    """
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise ValueError(f"a block's inputs or output must be under {MAX_FRAME:,} bytes, got {len(body):,}")
    return len(body).to_bytes(4, "big") + body


async def read(reader: asyncio.StreamReader) -> list[Any]:
    """The next message.

    Raises:
        asyncio.IncompleteReadError: If the other end is gone.
        ValueError: If the other end does not keep to the protocol.
    """
    size = int.from_bytes(await reader.readexactly(4), "big")
    if size > MAX_FRAME:
        raise ValueError(f"a frame of {size:,} bytes")
    message = _decoder.decode(await reader.readexactly(size))
    if not isinstance(message, list) or not message:
        raise ValueError(f"not a message: {message!r}")
    return message
