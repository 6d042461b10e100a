"""Decodes a recorded run, and restores from the plan what every block received."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zstandard

from algorail.engine.kit.errors import AlgorailError, NotFound
from algorail.engine.plan.document import Plan, refs
from algorail.engine.record.body import CHILD_HEAD, STATUSES, VERSION
from algorail.engine.record.marks import Mark, is_complete
from algorail.engine.record.shape import RecordShape
from algorail.engine.record.store import EncodedRun, RunHead
from algorail.engine.record.values import decode_value
from algorail.engine.run.bindings import evaluate
from algorail.engine.run.outcome import Attempt, BlockRecord, ErrorInfo, RunRecord, RunStatus

MAX_BODY = 1 << 30
"""Bytes that a body may unpack to; a damaged size must not fill the memory."""

ReadValue = Callable[[str], bytes]


class RecordDamaged(AlgorailError):
    """A stored run cannot be read."""

    code = "record-damaged"


def decode(
    encoded: EncodedRun, shape: RecordShape | None = None, read_value: ReadValue | None = None
) -> RunRecord:
    """The run that was recorded; blocks in the order of their starts.

    Args:
        shape: Of the version that ran, to restore the inputs of blocks; None leaves them None.
        read_value: Reads values kept apart (`RecordStore.value`); None leaves their marks in place.

    Raises:
        RecordDamaged: If the body is not one that this or an older release has written.
    """
    if not encoded.body or encoded.body[0] != VERSION:
        raise RecordDamaged(
            f"the body of run {encoded.head.run_id!r} has a format that this release does not know",
            cure="read it with the release that wrote it, or a newer one",
        )
    try:
        document = decode_value(_unpack(encoded.body[1:]))
        return _Reader(read_value).run(document, encoded.head, shape)
    except (zstandard.ZstdError, ValueError, TypeError, IndexError) as error:
        raise RecordDamaged(f"the body of run {encoded.head.run_id!r} is damaged") from error


class _Reader:
    def __init__(self, read_value: ReadValue | None) -> None:
        self._read_value = read_value

    def run(self, document: list[Any], head: RunHead, shape: RecordShape | None) -> RunRecord:
        inputs, output, position, error, labels, rows = document[:6]
        blocks = [self._block(row, shape) for row in rows]
        record = RunRecord(
            run_id=head.run_id,
            algorithm=head.algorithm,
            version=head.version,
            plan_hash=head.plan_hash,
            status=RunStatus(head.status),
            started_ns=head.started_ns,
            duration_ns=head.duration_ns,
            inputs={name: self._value(value) for name, value in inputs.items()},
            output=blocks[position].output if position >= 0 else self._value(output),
            error=_error(error),
            blocks=sorted(blocks, key=lambda block: block.start_ns),
            alias=head.alias,
            variant=head.variant,
            reason=head.reason,
            unit=head.unit,
            source_run=head.source_run,
            trace_id=head.trace_id,
            labels=labels,
        )
        if shape is not None:
            restore_inputs(record, shape.plan)
        return record

    def _block(self, row: list[Any], shape: RecordShape | None) -> BlockRecord:
        node, kind, status, start_ns, duration_ns, output = row[:6]
        error, attempts, children = row[6:] if len(row) > 6 else (None, (), ())
        return BlockRecord(
            node=node,
            kind=kind,
            status=STATUSES[status],
            start_ns=start_ns,
            duration_ns=duration_ns,
            output=self._value(output),
            error=_error(error),
            attempts=[Attempt(start, duration, _error(failed)) for start, duration, failed in attempts],
            children=[self._child(document, shape) for document in children],
        )

    def _child(self, document: list[Any], shape: RecordShape | None) -> RunRecord:
        head = RunHead(**dict(zip(CHILD_HEAD, document[6], strict=True)))
        return self.run(document, head, shape.child(head.plan_hash) if shape is not None else None)

    def _value(self, value: Any) -> Any:
        """The value, fetched if it stands apart; it stays a mark if it is gone."""
        if not isinstance(value, Mark) or value.kind != "apart" or self._read_value is None:
            return value
        try:
            return decode_value(_unpack(self._read_value(value.details["digest"])))
        except NotFound:
            return value


def restore_inputs(record: RunRecord, plan: Plan) -> None:
    """Give every block what it received, from the plan, the run's inputs and the outputs of other blocks.

    A port has no entry where its source never ran (a branch not taken), and a mark where its source was
    not recorded in full.
    """
    known = {name: given.default for name, given in plan.inputs.items()}
    known.update(record.inputs)
    known.update((block.node, block.output) for block in record.blocks)
    nodes = {node.id: node for node in plan.nodes}
    for block in record.blocks:
        node = nodes.get(block.node)
        if node is None:
            continue
        block.inputs = {
            port: _received(binding, known)
            for port, binding in node.inputs.items()
            if all(ref.ref in known for ref in refs(binding))
        }


def _received(binding: Any, known: dict[str, Any]) -> Any:
    try:
        return evaluate(binding, known.__getitem__)
    except Exception as error:  # noqa: BLE001  # an expression fails in as many ways as its author finds
        if all(is_complete(known[ref.ref]) for ref in refs(binding)):
            return Mark("absent", why=f"its expression failed: {type(error).__name__}")
        return Mark("absent", why="what it was computed from is not on record")


def _unpack(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=MAX_BODY)


def _error(found: list[str] | None) -> ErrorInfo | None:
    return None if found is None else ErrorInfo(*found)


__all__ = ["RecordDamaged", "decode", "restore_inputs"]
