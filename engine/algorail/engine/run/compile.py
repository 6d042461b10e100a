"""Compiles a plan into one coroutine.

    compiled = compile_plan(plan, kinds=kinds, services=services, algorithms=find)
    context = RunContext()
    answer = await compiled.run({"question": "…"}, context)
    record = context.trace.to_record()

Knows nothing of stores, HTTP or releases: `algorithms` is how it reaches other algorithms.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from algorail.engine.kind import Kinds, Services
from algorail.engine.kit.clock import Clock
from algorail.engine.kit.errors import DeadlineExceeded
from algorail.engine.plan.document import Plan
from algorail.engine.plan.ops import HELPERS
from algorail.engine.run import failure
from algorail.engine.run.bindings import fresh
from algorail.engine.run.calls import Call
from algorail.engine.run.context import NodeContext, RunContext
from algorail.engine.run.control import Algorithms
from algorail.engine.run.generate import Generator
from algorail.engine.run.prepare import prepare_calls
from algorail.engine.run.scope import Scope, Shared
from algorail.engine.run.source import text_of
from algorail.engine.run.trace import Identity, Source

KEPT_FORMS = 32
"""Forms with other sets of pinned nodes that are kept compiled."""


Run = Callable[[Mapping[str, Any], RunContext], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Form:
    """A plan's code for one way to run it: recorded or not, with these nodes pinned."""

    run: Run
    source: str
    needed: frozenset[str]
    """Nodes that some course of events may need."""


class CompiledPlan:
    """A plan, ready to run any number of times at once.

    Attributes:
        plan: What it was made from.
        identity: Version and plan hash that its records bear.
        calls: How each node is called.
    """

    def __init__(self, plan: Plan, calls: Mapping[str, Call], identity: Identity, clock: Clock) -> None:
        self.plan = plan
        self.calls = calls
        self.identity = identity
        self._clock = clock
        self._timeout = plan.timeout
        self._forms: OrderedDict[tuple[bool, frozenset[str]], Form] = OrderedDict()
        self._recorded = self.form(record=True)
        self._plain: Form | None = None
        self._anonymous: Run | None = None
        self._nobody = RunContext(record=False, clock=clock)

    @property
    def source(self) -> str:
        """The generated code of a recorded run."""
        return self._recorded.source

    def run(self, inputs: Mapping[str, Any], ctx: RunContext | None = None) -> Coroutine[Any, Any, Any]:
        """Run the algorithm once; await the result.

        Args:
            inputs: Values that are valid for the plan's inputs.
            ctx: The run's own data; without one nothing is recorded.

        Raises:
            BlockFailed: If a block failed and nothing stood in for it.
            DeadlineExceeded: If the time ran out.
            asyncio.CancelledError: If the caller cancelled it.
        """
        if ctx is None:
            if self._anonymous is not None:
                return self._anonymous(inputs, self._nobody)
            ctx = RunContext(record=False, clock=self._clock)
        form = self._form_for(ctx)
        if ctx.timeout is None and ctx.deadline is None and self._timeout is None:
            return form.run(inputs, ctx)
        return self._timed(form, inputs, ctx)

    def overseen(self, inputs: Mapping[str, Any], ctx: RunContext) -> Coroutine[Any, Any, Any]:
        """As `run`, but without a timer: the caller looks after `ctx.deadline`.

        It must not be later than the plan's own timeout allows. Who cancels the run for it says so to
        `ctx.ended`.
        """
        return self._form_for(ctx).run(inputs, ctx)

    def with_calls(self, calls: Mapping[str, Call]) -> CompiledPlan:
        """The same plan with other calls for some nodes, such as answers from a record."""
        return CompiledPlan(self.plan, {**self.calls, **calls}, self.identity, self._clock) if calls else self

    def _form_for(self, ctx: RunContext) -> Form:
        if ctx.overrides:
            return self.form(ctx.record, frozenset(ctx.overrides))
        return self._recorded if ctx.record else self._plain or self._unrecorded()

    def _unrecorded(self) -> Form:
        """Compiled only for those who run without a record."""
        self._plain = self.form(record=False)
        # Blocks that do not ask for the context cannot tell one run without a record from another.
        if self._timeout is None and all(call.wants == "plain" for call in self.calls.values()):
            self._anonymous = self._plain.run
        return self._plain

    async def _timed(self, form: Form, inputs: Mapping[str, Any], ctx: RunContext) -> Any:
        """One timer for the whole run. A sub-algorithm's run is under its caller's."""
        ctx.limit(ctx.timeout)
        outer = ctx.deadline
        ctx.limit(self._timeout)
        if ctx.depth and ctx.deadline == outer:
            return await form.run(inputs, ctx)
        left = ctx.remaining()
        try:
            async with asyncio.timeout(left):
                return await form.run(inputs, ctx)
        except TimeoutError:
            error = DeadlineExceeded(f"algorithm {self.plan.name!r} did not end in time ({left:.3f} s)")
            ctx.ended(error)
            raise error from None

    def form(self, record: bool, pinned: frozenset[str] = frozenset()) -> Form:
        """The code for one way to run the plan; compiled when first asked for."""
        key = record, pinned
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = self._compile(record, pinned)
            if len(self._forms) > KEPT_FORMS:
                self._forms.popitem(last=False)
        return form

    def _compile(self, record: bool, pinned: frozenset[str]) -> Form:
        filename = (
            f"<algorail {self.plan.name} {id(self):x}{'' if record else ' unrecorded'} {hash(pinned):x}>"
        )
        namespace: dict[str, Any] = {
            **HELPERS,
            "__name__": "algorail.generated",
            "NodeContext": NodeContext,
            "Scope": Scope,
            "Shared": Shared,
            "fresh": fresh,
            "no_case": failure.no_case,
            "no_option": failure.no_option,
            "now": self._clock.monotonic,
            "same": same,
            "timeout": asyncio.timeout,
        }
        written = Generator(self.plan, self.calls, namespace, pinned=pinned, record=record).write()
        source = text_of(written.lines)
        traced = Source(self.plan, self.identity, written.layout, self._clock)
        failures = failure.Failures(traced, filename, [line.origin for line in written.lines])
        namespace |= {
            "source": traced,
            "fail": failures.fail,
            "rescue": failures.rescue,
            "passed": failures.passed,
        }
        # Built from validated names and numbers only, see `regions.check_names`.
        exec(compile(source, filename, "exec"), namespace)  # noqa: S102
        return Form(namespace["run"], source, written.needed)


def compile_plan(
    plan: Plan,
    *,
    kinds: Kinds,
    services: Services,
    algorithms: Algorithms | None = None,
    identity: Identity = Identity(),  # noqa: B008  # frozen
) -> CompiledPlan:
    """Compile a plan that has been checked.

    Args:
        plan: The plan.
        kinds: Where block kinds are found.
        services: What blocks get from the process.
        algorithms: Finds the compiled plan of a name and a version ("3" or "@alias"); a fixed version is
            looked up now, an alias at each run.
        identity: Version and plan hash for the records.

    Raises:
        PlanInvalid: If names, links or policies do not hold.
        NotFound: If a kind or an algorithm is not there.
        LimitExceeded: If branches or sub-algorithms nest too deep.
    """
    return CompiledPlan(plan, prepare_calls(plan, kinds, services, algorithms), identity, services.clock)


def same(value: Any, literal: Any) -> bool:
    """Whether a value is a `switch` case: as `==`, but True is not 1."""
    return isinstance(value, bool) == isinstance(literal, bool) and bool(value == literal)
