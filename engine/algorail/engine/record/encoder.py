"""Encodes a finished run: masks, summaries, large values apart, one compressed body (see `body`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import zstandard

from algorail.engine.record.body import CHILD_HEAD, LEVEL, POSITIONS, VERSION
from algorail.engine.record.marks import Mark
from algorail.engine.record.masks import Masker
from algorail.engine.record.shape import PLAIN, RecordShape
from algorail.engine.record.store import EncodedRun, RunHead
from algorail.engine.record.values import ArrayMode, ValueEncoder, digest_of
from algorail.engine.run.outcome import BlockRecord, ErrorInfo, RunRecord

NOT_RECORDED = Mark("absent", why="the plan records no value here")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOptions:
    """The operator's choices.

    Attributes:
        large: Encoded bytes above which a value stands apart; a trace with images stays quick to read.
        arrays: `summary` or `full`; full arrays make replays from the middle possible, and cost disk.
        head: Items shown of a summarised array.
        salt: Key of the digests in masks; empty keeps no digest.
    """

    large: int = 4_096
    arrays: ArrayMode = "summary"
    head: int = 8
    salt: bytes = b""


class RecordEncoder:
    """Encodes runs; one per thread at a time.

    Args:
        options: The operator's choices; None means the defaults.
    """

    def __init__(self, options: RecordOptions | None = None) -> None:
        options = options or RecordOptions()
        self._options = options
        self._values = ValueEncoder(options.arrays, options.head)
        self._compress = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False).compress

    def encode(self, record: RunRecord, shape: RecordShape) -> EncodedRun:
        """A run ready to be written, with nothing sensitive in row, body or messages."""
        pass_ = _Pass(self._options, self._values, self._compress)
        document = pass_.run(record, shape)
        body = bytes((VERSION,)) + self._compress(msgspec.msgpack.encode(document))
        return EncodedRun(pass_.head(record, shape), body, tuple(pass_.apart.items()))


class _Pass:
    """The encoding of one run and its children."""

    __slots__ = ("_compress", "_encode", "_large", "_masker", "_salted", "apart")

    def __init__(
        self, options: RecordOptions, values: ValueEncoder, compress: Callable[[bytes], bytes]
    ) -> None:
        self._large = options.large
        self._encode = values.encode
        self._compress = compress
        self._salted = bool(options.salt)
        self._masker = Masker(options.salt)
        self.apart: dict[str, bytes] = {}

    def run(self, record: RunRecord, shape: RecordShape | None, *, child: bool = False) -> list[Any]:
        """The document of a run; without a shape only names, times and statuses are kept."""
        inputs = self._inputs(record, shape)
        blocks = self._blocks(record.blocks, shape)
        position = _position(record) if shape is not None and shape.output is None else -1
        output = None if position >= 0 else self._output(record.output, shape)
        document = [
            inputs,
            output,
            position,
            self._error(record.error),
            self._labels(record.labels, shape),
            blocks,
        ]
        if child:
            document.append([getattr(record, name) for name in CHILD_HEAD])
        return document

    def head(self, record: RunRecord, shape: RecordShape) -> RunHead:
        """The searchable row; the unit of a sensitive input stands in it as a digest."""
        unit = record.unit
        if unit and (shape.plan.unit in shape.inputs or self._masker.strike(unit) != unit):
            unit = f"masked:{self._masker.digest(unit)}" if self._salted else "masked"
        return RunHead(
            run_id=record.run_id,
            algorithm=record.algorithm,
            version=record.version,
            plan_hash=record.plan_hash,
            status=record.status.value,
            started_ns=record.started_ns,
            duration_ns=record.duration_ns,
            alias=record.alias,
            variant=record.variant,
            reason=record.reason,
            unit=_text(unit),
            error_code=record.error.code if record.error else "",
            trace_id=_text(record.trace_id),
            source_run=record.source_run,
        )

    def _inputs(self, record: RunRecord, shape: RecordShape | None) -> msgspec.Raw | dict[str, msgspec.Raw]:
        if shape is None:
            return {name: self._value(NOT_RECORDED) for name in record.inputs}
        given = record.inputs
        if shape.inputs:
            masks, masker = shape.inputs, self._masker
            given = {k: masks[k](v, masker) if k in masks else v for k, v in given.items()}
        raw = self._encode(given)
        if len(raw) <= self._large:
            return msgspec.Raw(raw)
        return {name: self._value(value) for name, value in given.items()}

    def _blocks(self, blocks: list[BlockRecord], shape: RecordShape | None) -> list[tuple[Any, ...]]:
        """The rows of blocks; plain ones that simply worked, nearly all of them, are written right here."""
        nodes = {} if shape is None else shape.nodes
        encode, large, raw_of = self._encode, self._large, msgspec.Raw
        rows = []
        for block in blocks:
            plain = nodes.get(block.node) is PLAIN
            if plain and block.error is None and not block.children and len(block.attempts) <= 1:
                raw = encode(block.output)
                value = raw_of(raw) if len(raw) <= large else self._apart(raw)
                status = POSITIONS[block.status]
                rows.append((block.node, block.kind, status, block.start_ns, block.duration_ns, value))
            else:
                rows.append(self._block(block, shape))
        return rows

    def _block(self, block: BlockRecord, shape: RecordShape | None) -> tuple[Any, ...]:
        known = None if shape is None else shape.nodes.get(block.node)
        output = block.output
        if known is None or known.mode == "off":
            output = None if output is None else NOT_RECORDED
            raw = self._value(output)
        else:
            if known.mask is not None:
                output = known.mask(output, self._masker)
            raw = self._value(output) if known.mode == "full" else self._digest(output)
        row = (block.node, block.kind, POSITIONS[block.status], block.start_ns, block.duration_ns, raw)
        if block.error is None and len(block.attempts) <= 1 and not block.children:
            return row
        attempts = [(one.start_ns, one.duration_ns, self._error(one.error)) for one in block.attempts]
        kept = shape if known is not None and known.mode == "full" else None
        children = [
            self.run(run, kept.child(run.plan_hash) if kept else None, child=True) for run in block.children
        ]
        return (*row, self._error(block.error), attempts, children)

    def _output(self, output: Any, shape: RecordShape | None) -> msgspec.Raw:
        if shape is None:
            return self._value(None if output is None else NOT_RECORDED)
        return self._value(output if shape.output is None else shape.output(output, self._masker))

    def _value(self, value: Any) -> msgspec.Raw:
        raw = self._encode(value)
        return msgspec.Raw(raw) if len(raw) <= self._large else self._apart(raw)

    def _apart(self, raw: bytes) -> msgspec.Raw:
        digest = digest_of(raw)
        if digest not in self.apart:
            self.apart[digest] = self._compress(raw)
        return msgspec.Raw(self._encode(Mark("apart", digest=digest, size=len(raw))))

    def _digest(self, value: Any) -> msgspec.Raw:
        if value is None or isinstance(value, Mark):
            return msgspec.Raw(self._encode(value))
        raw = self._encode(value)
        return msgspec.Raw(self._encode(Mark("digest", digest=digest_of(raw), size=len(raw))))

    def _error(self, error: ErrorInfo | None) -> tuple[str, str, str] | None:
        if error is None:
            return None
        return error.code, _text(self._masker.strike(error.message)), error.node

    def _labels(self, labels: dict[str, str], shape: RecordShape | None) -> dict[str, str]:
        if not labels or shape is None:
            return {}
        return {_text(key): _text(self._masker.strike(value)) for key, value in labels.items()}


def _position(record: RunRecord) -> int:
    """The block whose output *is* the answer, so that it need not be written twice; -1 if there is none."""
    output = record.output
    if output is not None:
        for position in range(len(record.blocks) - 1, -1, -1):
            if record.blocks[position].output is output:
                return position
    return -1


def _text(text: str) -> str:
    """A text that every store can hold: no lone surrogates, no NUL."""
    if text.isprintable():
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


__all__ = ["NOT_RECORDED", "RecordEncoder", "RecordOptions"]
