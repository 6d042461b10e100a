"""The journal of one run on one worker: every node's result is committed before anything may use it."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from algorail.engine.kind import Effect
from algorail.engine.kit.clock import Clock
from algorail.engine.plan.document import Node, Plan
from algorail.engine.run.calls import Call
from algorail.engine.run.compile import CompiledPlan
from algorail.engine.run.context import NodeContext, RunContext
from algorail.engine.service import checkpoints
from algorail.engine.service.checkpoints import BEGUN, VERSION, Checkpoints, ChildRun, Entry
from algorail.engine.store.group_commit import GroupCommit
from algorail.engine.store.queue_groups import Result, checkpoint_all


class JournalBroken(BaseException):
    """A result could not be committed; `__cause__` says why.

    No `Exception`: neither a fallback nor `first_of` may take it for a failure of the block.
    """


class Journal:
    """Commits results of a run under the epoch that this worker holds.

    Args:
        known: What earlier workers committed.
    """

    def __init__(self, run_id: str, epoch: int, commits: GroupCommit, known: Checkpoints) -> None:
        self.known = known
        self._run_id = run_id
        self._epoch = epoch
        self._commits = commits

    async def put(self, key: str, data: bytes) -> None:
        """Return when it is on disk.

        Raises:
            JournalBroken: If another worker took over, the run is over, or the database does not answer.
        """
        try:
            await self._commits.write(checkpoint_all, Result(self._run_id, self._epoch, key, data))
        except Exception as error:
            raise JournalBroken(str(error)) from error


class DurableContext(RunContext, eq=False, kw_only=True):
    """A run's context that knows where its nodes stand in the journal.

    Attributes:
        journal: Where results are committed.
        path: What keys of this run's nodes begin with; empty but for sub-algorithms.
    """

    journal: Journal
    path: str = ""

    def child(self, node: str, position: int | None = None) -> DurableContext:
        """The context of a sub-algorithm's run, in the same journal."""
        plain = super().child(node, position)
        path = f"{self.path}{plain.given_id.rpartition(':')[2]}/"
        return DurableContext(
            plain.given_id,
            record=plain.record,
            clock=plain.clock,
            emit=plain.emit,
            traceparent=plain.traceparent,
            overrides=self.journal.known.pins(path),
            deadline=plain.deadline,
            depth=plain.depth,
            journal=self.journal,
            path=path,
        )


class DurablePlan(CompiledPlan):
    """A compiled plan whose nodes are committed one by one.

    As a sub-algorithm it keeps the version that it first ran with, wherever its alias points meanwhile.

    Attributes:
        version_of: Finds the durable plan of another version.
    """

    version_of: Callable[[str, int], DurablePlan]

    @classmethod
    def of(
        cls, compiled: CompiledPlan, clock: Clock, version_of: Callable[[str, int], DurablePlan]
    ) -> DurablePlan:
        """The durable form of a compiled plan."""
        nodes = {node.id: node for node in compiled.plan.nodes}
        calls = {name: _journaled(nodes[name], call) for name, call in compiled.calls.items()}
        plan = cls(compiled.plan, calls, compiled.identity, clock)
        plan.version_of = version_of
        return plan

    def run(self, inputs: Mapping[str, Any], ctx: RunContext | None = None) -> Any:
        """Run it once, in a `DurableContext`."""
        if not isinstance(ctx, DurableContext):
            raise TypeError("a durable plan runs in a DurableContext")
        if not ctx.path:
            return super().run(inputs, ctx)
        began = ctx.journal.known.children.get(ctx.path)
        if began is None:
            return self._begin(inputs, ctx)
        pinned = self
        if (began.algorithm, began.version) != (self.plan.name, self.identity.version):
            pinned = self.version_of(began.algorithm, began.version)
        return super(DurablePlan, pinned).run(inputs, ctx)

    def _begin(self, inputs: Mapping[str, Any], ctx: DurableContext) -> Any:
        """A sub-algorithm's first run: its version is committed before its first node."""
        running = super().run(inputs, ctx)
        began = ChildRun(
            self.plan.name, self.identity.version, self.identity.plan_hash, dict(inputs), ctx.clock.now_ns()
        )

        async def run() -> Any:
            try:
                await ctx.journal.put(ctx.path + VERSION, checkpoints.write(began))
            except BaseException:
                running.close()
                raise
            return await running

        return run()


def _journaled(node: Node, call: Call) -> Call:
    """The call and the commit of its result; a write that must not be repeated is announced first."""
    announced = call.effect is Effect.WRITE and not call.idempotent and not runs_algorithm(node)

    async def journaled(ctx: DurableContext, /, **inputs: Any) -> Any:
        key = ctx.path + node.id
        if announced:
            await ctx.journal.put(BEGUN + key, b"")
        started, clock = ctx.clock.now_ns(), time.perf_counter_ns()
        value = _start(node.id, call, ctx, inputs)
        if inspect.isawaitable(value):
            value = await value
        entry = Entry(value, started, time.perf_counter_ns() - clock)
        await ctx.journal.put(key, checkpoints.write(entry))
        return value

    return replace(call, function=journaled, is_async=True, wants="engine", item=None)


def _start(node: str, call: Call, ctx: RunContext, inputs: Mapping[str, Any]) -> Any:
    if call.wants == "engine":
        return call.function(ctx, **inputs)
    if call.wants == "context":
        return call.function(NodeContext(ctx, node), **inputs)
    return call.function(**inputs)


def runs_algorithm(node: Node) -> bool:
    """Whether a node runs a sub-algorithm, whose own nodes are committed."""
    over = node.config.get("kind") if node.kind == "each@1" else node.kind
    return over == "sub_algorithm@1"


def has_algorithms(plan: Plan) -> bool:
    """Whether a plan calls others."""
    return any(map(runs_algorithm, plan.nodes))


__all__ = ["DurableContext", "DurablePlan", "Journal", "JournalBroken", "has_algorithms", "runs_algorithm"]
