"""Short ways to write plans and to run them on a fake clock."""

from __future__ import annotations

from typing import Any

from algorail.engine.kind import BlockKind
from algorail.engine.plan.document import Binding, Input, Node, Plan, Ref
from algorail.engine.plan.types import AnyType
from algorail.engine.run.compile import CompiledPlan, compile_plan
from algorail.engine.run.context import RunContext
from algorail.engine.run.outcome import RunRecord
from algorail.engine.testing.fake_loop import FakeClock, run_fake
from algorail.engine.testing.fakes import FakeKinds, FakeServices


def node(name: str, kind: str, policies: dict[str, Any] | None = None, /, **inputs: Any) -> Node:
    """A node; a string input is a reference, everything else a binding."""
    bindings: dict[str, Binding] = {
        port: Ref(one) if isinstance(one, str) else one for port, one in inputs.items()
    }
    return Node(id=name, kind=f"{kind}@1", inputs=bindings, **(policies or {}))


def plan(
    *nodes: Node, result: str | Binding = "", name: str = "test", inputs: str = "q", **rest: Any
) -> Plan:
    return Plan(
        name=name,
        inputs={one: Input(type=AnyType()) for one in inputs.split()},
        output=AnyType(),
        nodes=nodes,
        result=Ref(result or nodes[-1].id) if isinstance(result, str) else result,
        **rest,
    )


class Bench:
    """A clock, services and kinds to run plans with."""

    def __init__(self, *kinds: BlockKind) -> None:
        self.clock = FakeClock()
        self.services = FakeServices(clock=self.clock)
        self.kinds = FakeKinds(*kinds)
        self.algorithms: dict[str, CompiledPlan] = {}

    def find(self, name: str, version: str) -> CompiledPlan:
        return self.algorithms[name]

    def compile(self, made: Plan) -> CompiledPlan:
        return compile_plan(made, kinds=self.kinds, services=self.services, algorithms=self.find)

    def record(self, made: Plan | CompiledPlan, q: Any = 0, **context: Any) -> tuple[Any, RunRecord]:
        """Output or exception, and the record."""
        compiled = self.compile(made) if isinstance(made, Plan) else made
        ctx = RunContext("run_test", clock=self.clock, **context)

        async def run() -> Any:
            return await compiled.run({"q": q}, ctx)

        try:
            result = run_fake(run(), self.clock)
        except Exception as error:
            result = error
        assert ctx.trace is not None
        return result, ctx.trace.to_record()


class Script:
    """A block that does one thing after the other: raise what is an exception, return what is not."""

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.calls = 0

    def step(self) -> Any:
        self.calls += 1
        outcome = self.steps[min(self.calls, len(self.steps)) - 1]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome
