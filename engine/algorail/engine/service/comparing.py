"""Two runs compared block by block."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from algorail.engine.record.marks import is_complete, plain
from algorail.engine.run.outcome import BlockRecord, NodeStatus, RunRecord

TOLERANCE = 1e-6
"""Relative difference of numbers that counts as `close`: float32 models differ by that between machines."""


def compare_runs(before: RunRecord, after: RunRecord, pinned: Collection[str] = ()) -> list[dict[str, Any]]:
    """One entry a block, in the order of the newer run, those that only the older one ran last.

    A verdict is `equal`, `close`, `changed`, `error` (it failed now), `new`, `gone`, or `unknown` where the
    record does not hold the value.

    Args:
        pinned: Nodes that the newer run took from the older one; it leaves out those that nothing asked for.
    """
    old = {block.node: block for block in before.blocks}
    new = {block.node: block for block in after.blocks}
    for node in old.keys() & set(pinned) - new.keys():
        new[node] = replace(old[node], status=NodeStatus.PINNED)
    return [_entry(node, old.get(node), new.get(node)) for node in dict.fromkeys([*new, *old])]


def verdict(before: Any, after: Any) -> str:
    """How two recorded values compare: `equal`, `close`, `changed` or `unknown`."""
    if not is_complete(before) or not is_complete(after):
        return "equal" if plain(before) == plain(after) else "unknown"
    before, after = plain(before), plain(after)
    if before == after:
        return "equal"
    return "close" if _close(before, after) else "changed"


def _entry(node: str, before: BlockRecord | None, after: BlockRecord | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"node": node, "kind": (after or before).kind}  # type: ignore[union-attr]  # one is there
    if before is not None:
        entry |= {"before": plain(before.output, full=False), "before_ns": before.duration_ns}
    if after is not None:
        entry |= {
            "after": plain(after.output, full=False),
            "after_ns": after.duration_ns,
            "status": after.status.value,
        }
    entry["verdict"] = _verdict(before, after)
    return entry


def _verdict(before: BlockRecord | None, after: BlockRecord | None) -> str:
    if after is None:
        return "gone"
    if after.error is not None:
        return "error"
    return "new" if before is None else verdict(before.output, after.output)


def _close(before: Any, after: Any) -> bool:
    if isinstance(before, bool) or isinstance(after, bool):
        return before is after
    if isinstance(before, int | float) and isinstance(after, int | float):
        return math.isclose(before, after, rel_tol=TOLERANCE, abs_tol=1e-12)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_close, before, after))
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(_close(before[key], after[key]) for key in before)
    return bool(before == after)


__all__ = ["compare_runs", "verdict"]
