"""Replay: a recorded run once more, through the same plan or another, and what differs block by block.

Blocks that write are not called again: the record answers for them. Where it has no answer the block fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from algorail.engine.kind import Effect
from algorail.engine.kit.errors import AlgorailError, BlockFailed
from algorail.engine.run.bindings import fresh
from algorail.engine.run.calls import Call
from algorail.engine.run.compare import Difference, Tolerance, differences
from algorail.engine.run.compile import CompiledPlan
from algorail.engine.run.context import RunContext
from algorail.engine.run.outcome import BlockRecord, ErrorInfo, NodeStatus, RunRecord
from algorail.engine.run.partial import KNOWN, onwards, outputs
from algorail.engine.run.trace import Identity


class Change(StrEnum):
    """How a block's outcome compares with the recorded one."""

    EQUAL = "equal"
    WITHIN = "within_tolerance"
    CHANGED = "changed"
    ERROR = "error"
    """It failed now."""
    RECOVERED = "recovered"
    """It failed then and does not now."""
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class BlockDiff:
    """One block, then and now.

    Attributes:
        before_ns, after_ns: Durations; None where it did not run or was answered from the record.
    """

    node: str
    kind: str
    change: Change
    differences: tuple[Difference, ...] = ()
    error: ErrorInfo | None = None
    before_ns: int | None = None
    after_ns: int | None = None
    from_record: bool = False


@dataclass(frozen=True, slots=True)
class ReplayDiff:
    """A run, then and now; blocks in the order in which they ran now, then those that did not."""

    source_run: str
    record: RunRecord
    output: Change
    output_differences: tuple[Difference, ...]
    blocks: tuple[BlockDiff, ...]
    before_ns: int
    after_ns: int

    @property
    def same(self) -> bool:
        """Whether nothing changed beyond the tolerance."""
        fine = {Change.EQUAL, Change.WITHIN}
        return self.output in fine and all(block.change in fine for block in self.blocks)


async def replay(
    source: RunRecord,
    compiled: CompiledPlan,
    *,
    from_node: str = "",
    overrides: Mapping[str, Any] | None = None,
    tolerance: Tolerance = Tolerance(),  # noqa: B008  # frozen
    ctx: RunContext | None = None,
) -> ReplayDiff:
    """Run it again and compare.

    Args:
        source: The recorded run.
        compiled: The plan to run it through.
        from_node: Keep recorded outputs of everything that does not follow from this node.
        overrides: Outputs to pin besides.
        ctx: Context of the new run; its overrides are replaced.

    Raises:
        NotFound: If there is no such node.
    """
    plan = compiled.plan
    pinned = {**(onwards(plan, from_node, source).overrides if from_node else {}), **(overrides or {})}
    answered = answers(compiled, source)
    context = ctx or RunContext()
    context.overrides = pinned
    context.record = True
    # A failure is part of the record, and so of the difference.
    with suppress(AlgorailError):
        await compiled.with_calls(answered).run(source.inputs, context)
    trace = context.trace
    if trace is None:
        raise RuntimeError("a recorded run has a trace")
    identity = Identity(
        version=compiled.identity.version,
        plan_hash=compiled.identity.plan_hash,
        reason="replay",
        source_run=source.run_id,
    )
    record = trace.to_record(identity)
    for block in record.blocks:
        if block.node in answered and block.status is NodeStatus.OK:
            block.status = NodeStatus.PINNED
    return compare_runs(source, record, tolerance)


def answers(compiled: CompiledPlan, source: RunRecord) -> dict[str, Call]:
    """Stand-ins for all that writes (sub-algorithms that do so too): the recorded output, or a refusal."""
    known = outputs(compiled.plan, source)
    return {
        node: Call(_answer(known[node]) if node in known else _refuse(node), is_async=False)
        for node, call in compiled.calls.items()
        if call.effect is Effect.WRITE
    }


def _answer(output: Any) -> Callable[..., Any]:
    return lambda **_inputs: fresh(output)


def _refuse(node: str) -> Callable[..., Any]:
    def refuse(**_inputs: Any) -> Any:
        raise BlockFailed(
            "a replay must not write, and the record has no answer",
            node=node,
            code="replay-would-write",
            cure="pin the output of this node with an override",
        )

    return refuse


def compare_runs(before: RunRecord, after: RunRecord, tolerance: Tolerance = Tolerance()) -> ReplayDiff:  # noqa: B008
    """What differs between two records, block by block."""
    old = {block.node: block for block in before.blocks}
    new = {block.node: block for block in after.blocks}
    blocks = [_block_diff(old.get(node), block, tolerance) for node, block in new.items()]
    blocks += [
        BlockDiff(node, block.kind, Change.REMOVED, before_ns=block.duration_ns)
        for node, block in old.items()
        if node not in new
    ]
    found = tuple(differences(before.output, after.output, tolerance))
    if after.error is not None and before.error is None:
        output = Change.ERROR
    elif before.error is not None and after.error is None:
        output = Change.RECOVERED
    else:
        output = _change(found)
    return ReplayDiff(
        before.run_id, after, output, found, tuple(blocks), before.duration_ns, after.duration_ns
    )


def _block_diff(before: BlockRecord | None, after: BlockRecord, tolerance: Tolerance) -> BlockDiff:
    pinned = after.status is NodeStatus.PINNED
    after_ns = None if pinned else after.duration_ns
    if before is None:
        return BlockDiff(after.node, after.kind, Change.ADDED, (), after.error, None, after_ns, pinned)
    found: tuple[Difference, ...] = ()
    if after.status not in KNOWN:
        change = Change.ERROR if before.status in KNOWN else Change.EQUAL
    elif before.status not in KNOWN:
        change = Change.RECOVERED
    else:
        found = tuple(differences(before.output, after.output, tolerance))
        change = _change(found)
    return BlockDiff(after.node, after.kind, change, found, after.error, before.duration_ns, after_ns, pinned)


def _change(found: tuple[Difference, ...]) -> Change:
    if not found:
        return Change.EQUAL
    return Change.WITHIN if all(one.within for one in found) else Change.CHANGED
