"""Runs to bytes and back: the two calls that the rest of the engine needs."""

from __future__ import annotations

from algorail.engine.record.decoder import RecordDamaged, decode
from algorail.engine.record.encoder import RecordEncoder, RecordOptions
from algorail.engine.record.shape import RecordShape
from algorail.engine.record.store import EncodedRun
from algorail.engine.run.outcome import RunRecord


def encode(record: RunRecord, shape: RecordShape, options: RecordOptions | None = None) -> EncodedRun:
    """A run ready to be written; who encodes many keeps a `RecordEncoder`."""
    return RecordEncoder(options).encode(record, shape)


__all__ = ["RecordDamaged", "RecordEncoder", "RecordOptions", "RecordShape", "decode", "encode"]
