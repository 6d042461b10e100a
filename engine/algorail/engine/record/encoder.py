"""Encodes a finished run: masks, summaries, large values apart, one compressed body (see `body`).

Nearly every run is small, so it is first encoded in one piece, in one call. Only a run that turns out large,
or holds something that msgpack refuses, is encoded value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import zstandard

from algorail.engine.record.body import CHILD_HEAD, LEVEL, POSITIONS, VERSION
from algorail.engine.record.finished import FinishedRun, Recordable, Row
from algorail.engine.record.marks import HEAD_ITEMS, Mark
from algorail.engine.record.masks import Masker
from algorail.engine.record.shape import PLAIN, NodeShape, RecordShape
from algorail.engine.record.store import EncodedRun, RunHead
from algorail.engine.record.values import ArrayMode, ValueEncoder, digest_of
from algorail.engine.run.outcome import BlockRecord, ErrorInfo, RunRecord

NOT_RECORDED = Mark("absent", why="the plan records no value here")
_PREFIX = bytes((VERSION,))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOptions:
    """The operator's choices.

    Attributes:
        whole: Encoded bytes up to which a run is kept in one piece; that much is read in no time.
        large: In a run that is larger, encoded bytes above which a value stands apart. Inputs of a run that
            are larger always do.
        arrays: What blocks return in arrays above `array_bytes`: `summary` or `full`. A run's own inputs are
            always kept in full, so that it can be run again.
        array_bytes: Arrays up to this size are kept in full.
        head: Items shown of a summarised array.
        salt: Key of the digests in masks; empty keeps no digest.
    """

    whole: int = 32_768
    large: int = 4_096
    arrays: ArrayMode = "summary"
    array_bytes: int = 4_096
    head: int = HEAD_ITEMS
    salt: bytes = b""


class RecordEncoder:
    """Encodes runs; one per thread at a time.

    Args:
        options: The operator's choices; None means the defaults.
    """

    def __init__(self, options: RecordOptions | None = None) -> None:
        options = options or RecordOptions()
        self._options = options
        self._values = ValueEncoder(options.arrays, options.array_bytes, options.head)
        self._inputs = ValueEncoder("full")
        self._compress = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False).compress

    def encode(self, record: Recordable, shape: RecordShape) -> EncodedRun:
        """A run ready to be written, with nothing sensitive in row, body or messages."""
        if isinstance(record, FinishedRun):
            rows = record.rows()
            found = None if rows is None else self._encode_rows(record, rows, shape)
            return found or self.encode(record.record(), shape)
        pass_ = _Pass(self._options, self._values, self._compress)
        inputs = pass_.own_inputs(record, shape, self._inputs)
        document = pass_.run(record, shape, inputs)
        packed = self._values.encode_plain(document)
        if packed is None or len(packed) > self._options.whole:
            pass_.value = pass_.weighed
            packed = msgspec.msgpack.encode(pass_.run(record, shape, inputs))
        return self._encoded(pass_, pass_.head(record, shape), packed)

    def _encode_rows(self, run: FinishedRun, rows: Sequence[Row], shape: RecordShape) -> EncodedRun | None:
        """The same for a small run in which every block simply worked, which is nearly every one."""
        pass_ = _Pass(self._options, self._values, self._compress)
        inputs = pass_.own_inputs(run, shape, self._inputs)
        document = pass_.finished(run, rows, shape, inputs)
        packed = self._values.encode_plain(document)
        if packed is None or len(packed) > self._options.whole:
            return None
        return self._encoded(pass_, pass_.head(run, shape), packed)

    def _encoded(self, pass_: _Pass, head: RunHead, packed: bytes) -> EncodedRun:
        body = _PREFIX + self._compress(packed)
        return EncodedRun(head, body, tuple(pass_.apart.items()), len(packed) + pass_.apart_bytes)


class _Pass:
    """The encoding of one run and its children.

    Attributes:
        value: What stands in the document for a value: first itself, then its weighed bytes.
        apart: Compressed large values by digest.
        apart_bytes: Their size before.
    """

    __slots__ = ("_compress", "_large", "_masker", "_values", "apart", "apart_bytes", "value")

    def __init__(
        self, options: RecordOptions, values: ValueEncoder, compress: Callable[[bytes], bytes]
    ) -> None:
        self._large = options.large
        self._values = values
        self._compress = compress
        self._masker = Masker(options.salt)
        self.value: Callable[[Any], Any] = _itself
        self.apart: dict[str, bytes] = {}
        self.apart_bytes = 0

    def own_inputs(
        self, record: Recordable, shape: RecordShape, encoder: ValueEncoder
    ) -> msgspec.Raw | dict[str, msgspec.Raw]:
        """What the run was called with, in full but for what is sensitive."""
        given = self._masked_inputs(record, shape)
        raw = encoder.encode(given)
        if len(raw) <= self._large:
            return msgspec.Raw(raw)
        return {name: self._weigh(encoder.encode(value)) for name, value in given.items()}

    def run(self, record: RunRecord, shape: RecordShape | None, inputs: Any) -> list[Any]:
        """The document of a run; without a shape only names, times and statuses are kept."""
        blocks = self._blocks(record.blocks, shape)
        position = _position(record) if shape is not None and shape.output is None else -1
        output = None if position >= 0 else self._output(record.output, shape)
        error, labels = self._error(record.error), self._labels(record.labels, shape)
        return [inputs, output, position, error, labels, blocks]

    def finished(self, run: FinishedRun, rows: Sequence[Row], shape: RecordShape, inputs: Any) -> list[Any]:
        """The document of a run in which every block simply worked."""
        output, outputs = run.output, [row[5] for row in rows]
        position = _last(output, outputs) if shape.output is None else -1
        kept = rows if shape.is_plain else [self._row(row, shape) for row in rows]
        shown = None if position >= 0 else self._output(output, shape)
        return [inputs, shown, position, None, self._labels(run.labels, shape), kept]

    def head(self, record: Recordable, shape: RecordShape) -> RunHead:
        """The searchable row; the unit of a sensitive input stands in it as a digest."""
        unit = record.unit
        if unit and (shape.plan.unit in shape.inputs or self._masker.strike(unit) != unit):
            unit = self._masker.unit(unit)
        if isinstance(record, FinishedRun):
            return record.head(_text(unit), _text(record.trace_id))
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

    def weighed(self, value: Any) -> msgspec.Raw:
        """The bytes of a value, or of a mark if they are many."""
        return self._weigh(self._values.encode(value))

    def _weigh(self, raw: bytes) -> msgspec.Raw:
        if len(raw) <= self._large:
            return msgspec.Raw(raw)
        digest = digest_of(raw)
        if digest not in self.apart:
            self.apart[digest] = self._compress(raw)
            self.apart_bytes += len(raw)
        return msgspec.Raw(self._values.encode(Mark("apart", digest=digest, size=len(raw))))

    def _masked_inputs(self, record: Recordable, shape: RecordShape) -> Mapping[str, Any]:
        if not shape.inputs:
            return record.inputs
        masks, masker = shape.inputs, self._masker
        return {k: masks[k](v, masker) if k in masks else v for k, v in record.inputs.items()}

    def _child(self, record: RunRecord, shape: RecordShape | None) -> list[Any]:
        """The run of a sub-algorithm; its inputs are what blocks returned, and kept like that."""
        given: Mapping[str, Any] = dict.fromkeys(record.inputs, NOT_RECORDED)
        if shape is not None:
            given = self._masked_inputs(record, shape)
        document = self.run(record, shape, {name: self.value(value) for name, value in given.items()})
        document.append([getattr(record, name) for name in CHILD_HEAD])
        return document

    def _blocks(self, blocks: list[BlockRecord], shape: RecordShape | None) -> list[tuple[Any, ...]]:
        """The rows of blocks; plain ones that simply worked, nearly all of them, are written right here."""
        nodes = {} if shape is None else shape.nodes
        value = self.value
        rows = []
        for block in blocks:
            plain = nodes.get(block.node) is PLAIN
            if plain and block.error is None and not block.children and len(block.attempts) <= 1:
                status, output = POSITIONS[block.status], value(block.output)
                rows.append((block.node, block.kind, status, block.start_ns, block.duration_ns, output))
            else:
                rows.append(self._block(block, shape))
        return rows

    def _block(self, block: BlockRecord, shape: RecordShape | None) -> tuple[Any, ...]:
        known = None if shape is None else shape.nodes.get(block.node)
        kept = self.value(self._shown(block.output, known))
        row = (block.node, block.kind, POSITIONS[block.status], block.start_ns, block.duration_ns, kept)
        if block.error is None and len(block.attempts) <= 1 and not block.children:
            return row
        attempts = [(one.start_ns, one.duration_ns, self._error(one.error)) for one in block.attempts]
        inner = shape if known is not None and known.mode == "full" else None
        children = [self._child(run, inner.child(run.plan_hash) if inner else None) for run in block.children]
        return (*row, self._error(block.error), attempts, children)

    def _row(self, row: Row, shape: RecordShape) -> Row:
        known = shape.nodes.get(row[0])
        return row if known is PLAIN else (*row[:5], self._shown(row[5], known))

    def _shown(self, output: Any, known: NodeShape | None) -> Any:
        """What may be written of a node's output."""
        if known is None or known.mode == "off":
            return None if output is None else NOT_RECORDED
        if known.mask is not None:
            output = known.mask(output, self._masker)
        return self._digest(output) if known.mode == "digest" else output

    def _output(self, output: Any, shape: RecordShape | None) -> Any:
        if shape is None:
            return self.value(None if output is None else NOT_RECORDED)
        return self.value(output if shape.output is None else shape.output(output, self._masker))

    def _digest(self, value: Any) -> Any:
        if value is None or isinstance(value, Mark):
            return value
        raw = self._values.encode(value)
        return Mark("digest", digest=digest_of(raw), size=len(raw))

    def _error(self, error: ErrorInfo | None) -> tuple[str, str, str] | None:
        if error is None:
            return None
        return error.code, _text(self._masker.strike(error.message)), error.node

    def _labels(self, labels: Mapping[str, str], shape: RecordShape | None) -> dict[str, str]:
        if not labels or shape is None:
            return {}
        return {_text(key): _text(self._masker.strike(value)) for key, value in labels.items()}


def _itself(value: Any) -> Any:
    return value


def _position(record: RunRecord) -> int:
    """The block whose output *is* the answer, so that it need not be written twice; -1 if there is none."""
    return _last(record.output, [block.output for block in record.blocks])


def _last(value: Any, values: list[Any]) -> int:
    """Where among the values this very object stands last; -1 if it does not."""
    if value is not None:
        for position in range(len(values) - 1, -1, -1):
            if values[position] is value:
                return position
    return -1


def _text(text: str) -> str:
    """A text that every store can hold: no lone surrogates, no NUL."""
    if text.isprintable():
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


__all__ = ["NOT_RECORDED", "RecordEncoder", "RecordOptions"]
