"""Invocations: from a body of bytes to an answer of bytes, recorded before it is given.

`prepare` does everything that can refuse a call; `run` runs it. What is in between belongs to the caller,
which may have to say first that an answer is coming (a stream).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.errors import AlgorailError, BlockFailed, InvalidInput, NotFound
from algorail.engine.kit.ids import new_id
from algorail.engine.plan.values import decode, encode
from algorail.engine.record.shape import RecordShape
from algorail.engine.run.context import RunContext
from algorail.engine.run.messages import info
from algorail.engine.run.outcome import RunRecord, RunStatus
from algorail.engine.run.trace import Identity
from algorail.engine.service.admission import Admission
from algorail.engine.service.calls import Answer, Call
from algorail.engine.service.idempotency import Idempotency
from algorail.engine.service.loading import Loaded, Loader
from algorail.engine.service.routing import Choice, Route, Router, choose
from algorail.engine.service.totals import RunTotals
from algorail.engine.service.tracing import child_of, trace_id

_TIME_TO_RECORD = 2.0
"""Seconds that a commit may take although the caller's time is over: the run is done."""


class Recorder(Protocol):
    """What takes finished runs (`record.writer.RecordWriter`)."""

    async def record(
        self,
        record: RunRecord,
        shape: RecordShape,
        *,
        within: float | None = None,
    ) -> None:
        """Return when the plan's policy allows the answer. Raises `Unavailable`."""
        ...

    def offer(self, record: RunRecord, shape: RecordShape) -> bool:
        """Take the run if there is room; never waits."""
        ...


@dataclass(frozen=True, slots=True)
class Settled:
    """What a call runs: version and variant, and the unit they were chosen for."""

    route: Route
    loaded: Loaded
    choice: Choice
    unit: str


@dataclass(slots=True)
class Prepared:
    """A call that was accepted and holds a place until `close`.

    Attributes:
        inputs: Checked, with defaults.
        traceparent: The run's own trace context.
        deadline: Monotonic second at which the run is over.
        repeated: The remembered answer, if the call is a repetition.
    """

    call: Call
    run_id: str
    route: Route
    loaded: Loaded
    choice: Choice
    unit: str
    inputs: Mapping[str, Any]
    traceparent: str
    deadline: float
    admission: Admission
    repeated: Answer | None = None
    holds_place: bool = True

    @property
    def version(self) -> int:
        """The version that answers."""
        return self.loaded.version

    @property
    def variant(self) -> str:
        """The arm of a split, empty without one."""
        return self.choice.variant

    def close(self) -> None:
        """Give the place back; a second time changes nothing."""
        if self.holds_place:
            self.holds_place = False
            self.admission.leave()


class Invoker:
    """Runs calls. Belongs to one event loop.

    Args:
        router: Which version answers.
        loader: Versions ready to run.
        recorder: Takes finished runs.
        admission: How many at once.
        idempotency: Remembers answers by key.
        totals: Counts finished runs.
        default_deadline: Seconds for a run when neither caller nor plan says.
        body_limit: Bytes of inputs.
        clock: Where to read the time.
    """

    def __init__(
        self,
        router: Router,
        loader: Loader,
        recorder: Recorder,
        *,
        admission: Admission,
        idempotency: Idempotency,
        totals: RunTotals,
        default_deadline: float,
        body_limit: int,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._router = router
        self._loader = loader
        self._recorder = recorder
        self._admission = admission
        self._idempotency = idempotency
        self._totals = totals
        self._default_deadline = default_deadline
        self._body_limit = body_limit
        self._clock = clock

    async def prepare(self, call: Call) -> Prepared:
        """Accept a call, or refuse it. The result must be closed.

        Raises:
            NotFound: If there is no such algorithm, alias or version within the caller's reach.
            InvalidInput: If the inputs are wrong, or the idempotency key was used for something else.
            LimitExceeded: If the body is too large.
            Overloaded: If there is no place.
        """
        arrived = self._clock.monotonic()
        route = await self._route(call)
        raw = decode(call.body, max_bytes=self._body_limit)
        run_id = new_id("run")
        loaded, choice, unit = await self._choose(route, call.unit, raw, run_id)
        inputs = loaded.validate(raw)
        seconds = call.seconds or loaded.plan.timeout or self._default_deadline
        if not self._admission.try_enter():
            await self._admission.enter()
        prepared = Prepared(
            call=call,
            run_id=run_id,
            route=route,
            loaded=loaded,
            choice=choice,
            unit=unit,
            inputs=inputs,
            traceparent=child_of(call.traceparent),
            deadline=arrived + seconds,
            admission=self._admission,
        )
        if call.idempotency_key:
            await self._claim(prepared, seconds)
        return prepared

    async def run(self, prepared: Prepared) -> Answer:
        """Run it and record it. A failed run is an answer, too.

        Raises:
            Unavailable: If a durable record cannot be committed: then nothing may be answered.
            asyncio.CancelledError: If the caller went away; the run is recorded as cancelled.
        """
        if prepared.repeated is not None:
            return prepared.repeated
        call = prepared.call
        try:
            answer = await self._run(prepared)
        except BaseException:
            if call.idempotency_key:
                await asyncio.shield(asyncio.to_thread(self._idempotency.release, call, prepared.run_id))
            raise
        finally:
            prepared.close()
        if call.idempotency_key:
            await asyncio.to_thread(self._idempotency.remember, call, answer)
        return answer

    async def settle(self, call: Call, run_id: str, raw: Any) -> Settled:
        """Decide what a call with these decoded inputs runs, without a place and without running it.

        Raises:
            NotFound: If there is no such algorithm, alias or version within the caller's reach.
            InvalidInput: If the inputs are wrong.
        """
        route = await self._route(call)
        loaded, choice, unit = await self._choose(route, call.unit, raw, run_id)
        loaded.validate(raw)
        return Settled(route, loaded, choice, unit)

    async def _route(self, call: Call) -> Route:
        route = self._router.remembered(call.algorithm, call.version)
        if route is None:
            route = await asyncio.to_thread(self._router.resolve, call.algorithm, call.version)
        if not call.principal.owns(route.team):
            raise NotFound(f"there is no algorithm {call.algorithm!r}", code="algorithm-not-found")
        return route

    async def _choose(self, route: Route, given: str, raw: Any, run_id: str) -> tuple[Loaded, Choice, str]:
        """The version that answers, why, and for which unit."""
        loaded = await self._load(route.algorithm, route.version)
        unit: object = given
        field = loaded.plan.unit
        if not given and field and isinstance(raw, dict):
            unit = raw.get(field)
        choice = choose(route, unit, run_id)
        if choice.version != loaded.version:
            loaded = await self._load(route.algorithm, choice.version)
        return loaded, choice, str(unit)[:256] if isinstance(unit, str | int) else ""

    async def _load(self, name: str, version: int) -> Loaded:
        loaded = self._loader.get(name, version)
        if loaded is None:
            loaded = await asyncio.to_thread(self._loader.load, name, version)
        return loaded

    async def _claim(self, prepared: Prepared, seconds: float) -> None:
        try:
            prepared.repeated = await asyncio.to_thread(
                self._idempotency.claim, prepared.call, prepared.run_id, seconds
            )
        except BaseException:
            prepared.close()
            raise
        if prepared.repeated is not None:
            prepared.close()

    async def _run(self, prepared: Prepared) -> Answer:
        loaded, call = prepared.loaded, prepared.call
        context = RunContext(
            prepared.run_id,
            record=loaded.plan.record.mode != "off",
            timeout=max(0.0, prepared.deadline - self._clock.monotonic()),
            clock=self._clock,
            emit=call.emit,
            traceparent=prepared.traceparent,
        )
        started = self._clock.monotonic()
        body, error = b"", None
        try:
            output = await loaded.compiled.run(prepared.inputs, context)
            body = _answer_body(output, loaded)
        except AlgorailError as failure:
            error = failure
        except asyncio.CancelledError:
            record = self._record(prepared, context, None, started, cancelled=True)
            self._totals.add(record)
            if context.record:
                self._recorder.offer(record, loaded.shape)
            raise
        record = self._record(prepared, context, error, started)
        self._totals.add(record)
        left = prepared.deadline - self._clock.monotonic()
        await self._recorder.record(record, loaded.shape, within=max(left, _TIME_TO_RECORD))
        return Answer(prepared.run_id, loaded.version, prepared.variant, body, error)

    def _record(
        self,
        prepared: Prepared,
        context: RunContext,
        error: AlgorailError | None,
        started: float,
        *,
        cancelled: bool = False,
    ) -> RunRecord:
        choice, loaded = prepared.choice, prepared.loaded
        identity = Identity(
            version=loaded.version,
            plan_hash=loaded.plan_hash,
            alias=prepared.route.alias,
            variant=choice.variant,
            reason=choice.reason,
            unit=prepared.unit,
            trace_id=trace_id(prepared.traceparent),
            labels=choice.labels,
        )
        status = RunStatus.CANCELLED if cancelled else RunStatus.FAILED if error else RunStatus.SUCCEEDED
        failure = None if error is None else info(error)
        if context.trace is not None:
            return context.trace.to_record(identity, error=failure, status=status)
        return RunRecord(
            run_id=prepared.run_id,
            algorithm=loaded.algorithm,
            version=loaded.version,
            plan_hash=loaded.plan_hash,
            status=status,
            started_ns=self._clock.now_ns(),
            duration_ns=int((self._clock.monotonic() - started) * 1e9),
            inputs={},
            error=failure,
            variant=choice.variant,
        )


def _answer_body(output: Any, loaded: Loaded) -> bytes:
    """The answer as JSON, if it is of the declared type: a block may have promised what it did not keep."""
    try:
        return encode(loaded.check_output(output))
    except InvalidInput as error:
        raise BlockFailed(
            f"the answer of {loaded.algorithm!r} is not of its declared type: {error.message}",
            node="",
            code="output-invalid",
            problems=error.problems,
        ) from error


__all__ = ["Invoker", "Prepared", "Recorder", "Settled"]
