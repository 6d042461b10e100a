"""A finished run as bytes and back.

Kept are the run's inputs and every block's output: what a block received follows from the plan and is
restored on reading. One msgpack document a run, one zstd frame around it, children nested inside. Values
above a limit stand apart under their content hash and are shared.

Body, version 1 (the first byte; old versions stay readable for ever, see tests/engine/record/bodies):

    0x01, zstd(msgpack run)
    run      [inputs, output, position of the block whose output it is (or -1), error, labels, blocks, head?]
    head     children only: [run_id, algorithm, version, plan_hash, status, started_ns, duration_ns, alias,
             variant, reason, unit, source_run, trace_id]
    block    [node, kind, status, start_ns, duration_ns, output] + [error, attempts, children] if any
    error    [code, message, node]
    attempt  [start_ns, duration_ns, error]
"""

from __future__ import annotations

from algorail.engine.run.outcome import NodeStatus

VERSION = 1
LEVEL = -1
"""zstd's fast levels: measured on block outputs, a quarter less CPU than level 1 at the same size."""
CHILD_HEAD = (
    "run_id", "algorithm", "version", "plan_hash", "status", "started_ns", "duration_ns",
    "alias", "variant", "reason", "unit", "source_run", "trace_id",
)  # fmt: skip
STATUSES = (
    NodeStatus.OK,
    NodeStatus.FAILED,
    NodeStatus.FALLBACK,
    NodeStatus.CACHED,
    NodeStatus.PINNED,
    NodeStatus.CANCELLED,
)
"""Positions are written into records: only ever append."""
POSITIONS = {status: position for position, status in enumerate(STATUSES)}
