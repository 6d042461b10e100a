"""Replays and partial runs: recorded values in place of what ran before, writes never repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from algorail.engine.kind import Effect
from algorail.engine.kit.errors import AlgorailError, Conflict, InvalidInput, NotFound, PlanInvalid
from algorail.engine.plan import codec
from algorail.engine.plan.document import MAX_DEPTH, Plan, Ref, refs
from algorail.engine.plan.types import AnyType
from algorail.engine.plan.values import inputs_validator
from algorail.engine.record.codec import RecordEncoder, decode
from algorail.engine.record.marks import is_complete, plain
from algorail.engine.record.shape import RecordShape
from algorail.engine.run.compile import CompiledPlan
from algorail.engine.run.context import RunContext
from algorail.engine.run.outcome import RunRecord
from algorail.engine.run.partial import bindings_of, descendants, outputs
from algorail.engine.run.trace import Identity
from algorail.engine.service.access import Access
from algorail.engine.service.comparing import compare_runs
from algorail.engine.service.invoking import Recorder
from algorail.engine.service.library import sub_algorithms
from algorail.engine.service.loading import Loader
from algorail.engine.service.principal import Principal
from algorail.engine.service.publishing import Publishing
from algorail.engine.service.routing import Router
from algorail.engine.service.runs import Runs, as_document


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be run, and how its run is recorded."""

    plan: Plan
    compiled: CompiledPlan
    shape: RecordShape
    version: int
    plan_hash: str


@dataclass(slots=True)
class Pins:
    """Outputs that are not computed.

    Attributes:
        values: By node id.
        withheld: Nodes that write and have no recorded output: they are pinned to nothing, and a run that
            turns out to need one is refused afterwards.
    """

    values: dict[str, Any] = field(default_factory=dict)
    withheld: set[str] = field(default_factory=set)

    def all(self) -> dict[str, Any]:
        """What the run is given."""
        return {**dict.fromkeys(self.withheld), **self.values}


class Replaying:
    """Runs recorded runs again, and parts of algorithms.

    Args:
        runs: The record.
        loader: Versions ready to run.
        router: What aliases mean.
        publishing: Checks plans that are not published.
        access: Whose runs and algorithms they are.
        recorder: Takes the new runs.
        encoder: Makes what recorded runs were encoded with, so that both sides of a comparison are alike.
        seconds: Longest duration of such a run.
    """

    def __init__(
        self,
        runs: Runs,
        loader: Loader,
        router: Router,
        *,
        publishing: Publishing,
        access: Access,
        recorder: Recorder,
        encoder: Callable[[], RecordEncoder],
        seconds: float,
    ) -> None:
        self._runs = runs
        self._loader = loader
        self._router = router
        self._publishing = publishing
        self._access = access
        self._recorder = recorder
        self._encoder = encoder
        self._seconds = seconds

    async def replay(
        self, by: Principal, run_id: str, *, version: str | None = None, from_node: str | None = None
    ) -> dict[str, Any]:
        """Run a recorded run again and compare the two block by block.

        Args:
            version: Through another version, or what an alias means now; by default the same one.
            from_node: Run this node and what follows; what comes before is taken from the record.

        Raises:
            Conflict: `not-on-record`, if the record does not hold a value that is needed;
                `replay-needs-write`, if a block that writes would have to run.
        """
        await asyncio.to_thread(self._access.run, by, run_id)
        before = await asyncio.to_thread(self._runs.record, run_id)
        spec = version or str(before.version)
        subject = await asyncio.to_thread(self._published, before.algorithm, spec)
        inputs = await self._validated(subject.plan, _complete(before.inputs, "the inputs"))
        pins = Pins()
        recorded = outputs(subject.plan, before)
        for node in await asyncio.to_thread(self._writers, subject.compiled):
            if node in recorded:
                pins.values[node] = _complete(recorded[node], f"the output of {node!r}")
            else:
                pins.withheld.add(node)
        if from_node is not None:
            _pin_before(pins, subject.plan, from_node, recorded)
        after = await self._run(subject, inputs, pins, reason="replay", source=run_id)
        await self._recorder.record(after, subject.shape)
        shown = await asyncio.to_thread(self._as_recorded, after, subject.shape)
        return {
            "run_id": after.run_id,
            "source_run": run_id,
            "version": subject.version,
            "status": after.status.value,
            "blocks": compare_runs(before, shown, pins.values),
            "output": plain(shown.output),
        }

    async def partial(
        self,
        by: Principal,
        name: str,
        *,
        version: str | None,
        document: Mapping[str, Any] | None,
        node: str | None,
        from_node: str | None,
        source_run: str | None,
        inputs: Mapping[str, Any] | None,
        overrides: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Run one node, or from a node on.

        Args:
            version: A published version; or
            document: A plan that need not be published.
            node: Run this node only.
            from_node: Run this node and what follows.
            source_run: Recorded run that gives the values before, and inputs that are not given.
            inputs: Inputs by name.
            overrides: Outputs by node id; refused on what an alias points to.

        Raises:
            InvalidInput: If the request contradicts itself.
            Conflict: As `replay`.
        """
        if (node is None) == (from_node is None):
            raise InvalidInput("either `node` or `from_node` must be given", code="partial-node")
        subject = await asyncio.to_thread(self._subject, by, name, version, document, bool(overrides))
        target = node or from_node or ""
        _require_node(subject.plan, target)
        before = None
        if source_run is not None:
            await asyncio.to_thread(self._access.run, by, source_run)
            before = await asyncio.to_thread(self._runs.record, source_run)
        recorded = outputs(subject.plan, before)
        pins = Pins(dict(overrides or {}))
        for pinned in pins.values:
            _require_node(subject.plan, pinned)
        if node is not None:
            subject = await asyncio.to_thread(self._only, subject, node)
            _pin_others(pins, node, recorded)
        else:
            _pin_before(pins, subject.plan, target, {**recorded, **pins.values})
        writers = await asyncio.to_thread(self._writers, subject.compiled)
        pins.withheld |= writers - pins.values.keys() - {target}
        given = {**(before.inputs if before else {}), **(inputs or {})}
        values = await self._needed_inputs(subject, given, pins)
        after = await self._run(subject, values, pins, reason="partial", source=source_run or "")
        return as_document(await asyncio.to_thread(self._as_recorded, after, subject.shape))

    async def _run(
        self, subject: Subject, inputs: Mapping[str, Any], pins: Pins, *, reason: str, source: str
    ) -> RunRecord:
        context = RunContext(timeout=self._seconds, overrides=pins.all())
        try:
            await subject.compiled.run(inputs, context)
        except AlgorailError:
            if context.trace is None:
                raise
        if context.trace is None:
            raise LookupError("a recorded run leaves a trace")
        identity = Identity(
            version=subject.version, plan_hash=subject.plan_hash, reason=reason, source_run=source
        )
        record = context.trace.to_record(identity)
        used = pins.withheld & {block.node for block in record.blocks}
        if used:
            raise Conflict(
                f"{', '.join(sorted(used))} would write, and the record does not say what it answered",
                code="replay-needs-write",
                cure="give its output as an override of a partial run",
            )
        return record

    def _as_recorded(self, record: RunRecord, shape: RecordShape) -> RunRecord:
        """The run as the record would show it: masked, with large values in place."""
        encoded = self._encoder().encode(record, shape)
        return decode(encoded, shape, dict(encoded.values).__getitem__)

    def _published(self, name: str, spec: str) -> Subject:
        route = self._router.resolve(name, spec)
        loaded = self._loader.load(name, route.version)
        return Subject(loaded.plan, loaded.compiled, loaded.shape, loaded.version, loaded.plan_hash)

    def _subject(
        self, by: Principal, name: str, version: str | None, document: Mapping[str, Any] | None, pinned: bool
    ) -> Subject:
        if version is not None and document is None:
            if pinned and version.startswith("@"):
                raise InvalidInput(
                    f"outputs cannot be overridden on the alias {version}",
                    code="overrides-on-alias",
                    cure="name the version by its number, or send the plan",
                )
            return self._published(name, version)
        if document is None or version is not None:
            raise InvalidInput("either `version` or `plan` must be given", code="partial-plan")
        plan = codec.from_dict(document)
        problems = self._publishing.check(by, plan).problems
        if problems:
            raise PlanInvalid(f"{plan.name!r} does not hold together", problems=problems)
        plan_hash = codec.content_hash(plan)
        compiled = self._loader.compile(plan, Identity(plan_hash=plan_hash))
        return Subject(plan, compiled, self._loader.shape_of(plan), 0, plan_hash)

    def _only(self, subject: Subject, node: str) -> Subject:
        """The same algorithm, with a node's output as its answer."""
        plan = msgspec.structs.replace(subject.plan, result=Ref(ref=node), output=AnyType())
        compiled = self._loader.compile(plan, subject.compiled.identity)
        return Subject(plan, compiled, subject.shape, subject.version, subject.plan_hash)

    def _writers(self, compiled: CompiledPlan, depth: int = 1) -> set[str]:
        """Nodes that write, themselves or through a sub-algorithm as its alias stands now.

        What was true when the plan was compiled is not enough: an alias may point to a writer by now.
        """
        found = {node for node, call in compiled.calls.items() if call.effect is Effect.WRITE}
        for node, name, version in sub_algorithms(compiled.plan):
            if node.id not in found and depth < MAX_DEPTH:
                moves = version.startswith("@")
                number = self._router.resolve(name, version).version if moves else int(version)
                if self._writers(self._loader.load(name, number).compiled, depth + 1):
                    found.add(node.id)
        return found

    async def _validated(self, plan: Plan, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(inputs_validator(plan.inputs), dict(inputs))

    async def _needed_inputs(self, subject: Subject, given: Mapping[str, Any], pins: Pins) -> dict[str, Any]:
        """Inputs for what will run; those that nothing reads may be missing."""
        runs = subject.compiled.form(True, frozenset(pins.all())).needed - pins.all().keys()
        read = {link.ref for link in refs(subject.plan.result)}
        for node in subject.plan.nodes:
            if node.id in runs:
                read |= {link.ref for binding in bindings_of(node) for link in refs(binding)}
        wanted = {name: spec for name, spec in subject.plan.inputs.items() if name in read}
        unknown = given.keys() - subject.plan.inputs.keys()
        if unknown:
            raise InvalidInput(f"{subject.plan.name!r} has no input {', '.join(sorted(unknown))}")
        values = _complete({name: given[name] for name in wanted if name in given}, "the inputs")
        checked = await asyncio.to_thread(inputs_validator(wanted), values)
        return {**dict.fromkeys(subject.plan.inputs), **checked}


def _complete(value: Any, what: str) -> Any:
    if not is_complete(value):
        raise Conflict(
            f"the record does not hold {what} in full: it is masked, summarised or left out",
            code="not-on-record",
            cure="give it as an override of a partial run; large arrays are recorded in full with "
            "ALGORAIL_ENGINE__RECORD_ARRAYS=full",
        )
    return value


def _require_node(plan: Plan, node: str) -> None:
    known = [each.id for each in plan.nodes]
    if node not in known:
        raise NotFound(
            f"{plan.name!r} has no node {node!r}", code="node-not-found", cure=f"it has {', '.join(known)}"
        )


def _pin_before(pins: Pins, plan: Plan, first: str, recorded: Mapping[str, Any]) -> None:
    """Pin every recorded node that does not follow from `first`."""
    _require_node(plan, first)
    follows = descendants(plan, {first})
    for node, value in recorded.items():
        if node not in follows and node not in pins.values:
            pins.values[node] = _complete(value, f"the output of {node!r}")


def _pin_others(pins: Pins, only: str, recorded: Mapping[str, Any]) -> None:
    """Pin every recorded node but one; what the record does not hold in full stays to be computed."""
    for node, value in recorded.items():
        if node != only and node not in pins.values and is_complete(value):
            pins.values[node] = value


__all__ = ["Replaying"]
