"""Errors of a run: whose they are, what may be told about them, what is recorded.

Generated code has no `try` per block: the line at which an exception left it tells the node, and so
success costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from algorail.engine.kit.errors import BlockFailed, DeadlineExceeded
from algorail.engine.plan.document import Node
from algorail.engine.run.bindings import describe
from algorail.engine.run.context import RunContext, current_task
from algorail.engine.run.messages import code_of, info, reason
from algorail.engine.run.source import Origin
from algorail.engine.run.trace import NodeFailure, Source


def no_case(node: str, value: Any) -> NoReturn:
    """A `switch` has neither a case for the value nor a default."""
    kind = type(value).__name__
    raise BlockFailed(
        f"no case for this {kind} and no default", node=node, code="no-case", cure="add a default"
    )


def no_option(node: str, last: BaseException | None) -> NoReturn:
    """Every option of a `first_of` failed."""
    told = reason(last) if last is not None else "it has none"
    raise BlockFailed(f"no option succeeded; the last: {told}", node=node, code="no-option") from last


class Failures:
    """Tells failures of one generated function apart; its methods are called by generated code.

    Args:
        source: What runs, and what it keeps of a run.
        filename: What the code was compiled as.
        origins: What each line is for, from line 1 on.
    """

    def __init__(self, source: Source, filename: str, origins: Sequence[Origin]) -> None:
        plan = source.plan
        self._source = source
        self._nodes = {node.id: node for node in plan.nodes}
        self._index = {node.id: index for index, node in enumerate(plan.nodes)}
        self._plan = plan
        self._filename = filename
        self._origins = origins

    def origin(self, error: BaseException) -> Origin:
        """The innermost generated line that the exception passed."""
        line = 0
        step = error.__traceback__
        while step is not None:
            if step.tb_frame.f_code.co_filename == self._filename:
                line = step.tb_lineno
            step = step.tb_next
        return self._origins[line - 1] if line else Origin()

    def fail(self, error: BaseException, ctx: RunContext, variables: Mapping[str, Any] | None = None) -> None:
        """End a run: raise what its caller should see, or return if that is the error itself.

        Args:
            variables: Those of the generated function, if the run is recorded.
        """
        if variables is not None:
            ctx.kept = self._source.kept(variables)
        if isinstance(error, asyncio.CancelledError) and current_task().cancelling():
            ctx.ended(error)
            return
        failure = self._noted(error, ctx)
        ctx.ended(failure)
        if failure is not error:
            raise failure from error

    def rescue(self, error: Exception, ctx: RunContext, index: int) -> None:
        """A node failed that has a fallback; no fallback helps against the run's own deadline."""
        if isinstance(error, DeadlineExceeded):
            raise error
        failure = self._noted(error, ctx)
        if ctx.record:
            ctx.noted().rescued[index] = info(failure)

    def passed(self, error: Exception, ctx: RunContext) -> BaseException:
        """An option of a `first_of` failed."""
        if isinstance(error, DeadlineExceeded):
            raise error
        return self._noted(error, ctx)

    def _noted(self, error: BaseException, ctx: RunContext) -> BaseException:
        failure = self._explained(error)
        if ctx.record and isinstance(failure, BlockFailed) and failure.node in self._index:
            seen = NodeFailure(ctx.clock.monotonic(), info(failure))
            ctx.noted().failures[self._index[failure.node]] = seen
        return failure

    def _explained(self, error: BaseException) -> BaseException:
        origin = self.origin(error)
        if isinstance(error, DeadlineExceeded) or not isinstance(error, Exception | asyncio.CancelledError):
            return error
        if origin.port and (binding := self._binding(origin)) is not None:
            text = (
                f"{origin.node or 'result'}.{origin.port}: cannot read {describe(binding)}: {_missing(error)}"
            )
            return BlockFailed(
                text.replace("result.result", "result"), node=origin.node, code="binding-failed"
            )
        if isinstance(error, BlockFailed) and error.node == origin.node:
            return error
        node = origin.node or getattr(error, "node", "")
        if not node:
            return error
        return BlockFailed(
            f"{node}: {reason(error)}",
            node=node,
            code=_outer_code(error),
            details={"cause": code_of(error)},
            retryable=getattr(error, "retryable", False),
            retry_after=getattr(error, "retry_after", None),
            cure=getattr(error, "cure", ""),
        )

    def _binding(self, origin: Origin) -> Any:
        node: Node | None = self._nodes.get(origin.node)
        if node is None:
            return self._plan.result
        return node.fallback if origin.port == "fallback" else node.inputs.get(origin.port)


def _outer_code(error: BaseException) -> str | None:
    """What the caller may act on keeps its code; a block's quarrel with its own input is not the caller's."""
    if isinstance(error, BlockFailed) or getattr(error, "retryable", False):
        return code_of(error)
    return None


def _missing(error: BaseException) -> str:
    match error:
        case KeyError():
            return f"there is no key {str(error)[:80]}"
        case IndexError():
            return "the list is too short"
        case _:
            return reason(error)
