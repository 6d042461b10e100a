"""Invocations: from a body of bytes to an answer of bytes, recorded before it is given.

`prepare` does everything that can refuse a call; `run` runs it. What is in between belongs to the caller,
which may have to say first that an answer is coming (a stream).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.errors import (
    AlgorailError,
    BlockFailed,
    Cancelled,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
)
from algorail.engine.kit.ids import new_id
from algorail.engine.plan.values import decode, encode
from algorail.engine.record.finished import FinishedRun, Recordable
from algorail.engine.record.shape import RecordShape
from algorail.engine.run.context import RunContext
from algorail.engine.run.messages import info, reason
from algorail.engine.run.outcome import ErrorInfo, RunRecord, RunStatus
from algorail.engine.run.trace import Identity
from algorail.engine.service.admission import Admission
from algorail.engine.service.calls import Answer, Call
from algorail.engine.service.idempotency import Idempotency
from algorail.engine.service.loading import Loaded, Loader
from algorail.engine.service.oversight import Ending, Overseer
from algorail.engine.service.routing import Choice, Route, Router, choose
from algorail.engine.service.totals import RunTotals
from algorail.engine.service.tracing import child_of, trace_id

_TIME_TO_RECORD = 2.0
"""Seconds that a commit may take although the caller's time is over: the run is done."""


class Recorder(Protocol):
    """What takes finished runs (`record.writer.RecordWriter`)."""

    async def record(self, record: Recordable, shape: RecordShape, *, within: float | None = None) -> None:
        """Return when the plan's policy allows the answer. Raises `Unavailable`."""
        ...

    async def durable(self, record: Recordable, shape: RecordShape, *, within: float | None = None) -> None:
        """Return when the run is on disk. Raises `Unavailable`."""
        ...

    def offer(self, record: Recordable, shape: RecordShape) -> bool:
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
        told: What of a run's error may leave the server.
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
        told: Callable[[RunRecord, RecordShape], ErrorInfo | None],
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
        self._told = told
        self._default_deadline = default_deadline
        self._body_limit = body_limit
        self._clock = clock
        self._overseer = Overseer(clock)

    async def prepare(self, call: Call) -> Prepared:
        """Accept a call, or refuse it. The result must be closed.

        Raises:
            NotFound: If there is no such algorithm, alias or version within the caller's reach.
            InvalidInput: If the inputs are wrong, or the idempotency key was used for something else.
            LimitExceeded: If the body is too large.
            Overloaded: If there is no place.
        """
        arrived = self._clock.monotonic()
        route = self._router.remembered(call.algorithm, call.version) or await self._resolve(call)
        _require_team(call, route)
        raw = decode(call.body, max_bytes=self._body_limit)
        run_id = new_id("run")
        loaded = self._loader.get(route.algorithm, route.version) or await self._load(route, route.version)
        choice, unit = _choice(call, route, loaded, raw, run_id)
        if choice.version != loaded.version:
            loaded = await self._load(route, choice.version)
        inputs = loaded.validate(raw)
        seconds = self._seconds(call, loaded)
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
            Cancelled: `client-disconnected`, if the caller went away; the run is recorded as cancelled.
            asyncio.CancelledError: If the server stops; likewise.
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
        route = self._router.remembered(call.algorithm, call.version) or await self._resolve(call)
        _require_team(call, route)
        loaded = await self._load(route, route.version)
        choice, unit = _choice(call, route, loaded, raw, run_id)
        loaded = await self._load(route, choice.version)
        loaded.validate(raw)
        return Settled(route, loaded, choice, unit)

    async def _resolve(self, call: Call) -> Route:
        return await asyncio.to_thread(self._router.resolve, call.algorithm, call.version)

    async def _load(self, route: Route, version: int) -> Loaded:
        loaded = self._loader.get(route.algorithm, version)
        if loaded is None:
            loaded = await asyncio.to_thread(self._loader.load, route.algorithm, version)
        return loaded

    def _seconds(self, call: Call, loaded: Loaded) -> float:
        """How long the call may take: what its caller gives, but never more than the plan."""
        most = loaded.plan.timeout
        if call.seconds is None:
            return most or self._default_deadline
        return call.seconds if most is None else min(call.seconds, most)

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
        loaded, call, error, body = prepared.loaded, prepared.call, None, b""
        context = RunContext(
            prepared.run_id,
            record=loaded.plan.record.mode != "off",
            clock=self._clock,
            emit=call.emit,
            traceparent=prepared.traceparent,
            deadline=prepared.deadline,
        )
        started = self._clock.monotonic()
        watch = self._overseer.enter(started, prepared.deadline, call.gone)
        try:
            output = await loaded.compiled.overseen(prepared.inputs, context)
            body = _answer_body(output, loaded)
        except AlgorailError as failure:
            error = failure
        except asyncio.CancelledError:
            if watch.ending is not Ending.OUT_OF_TIME:
                self._cancelled(prepared, context, started)
                if watch.ending is Ending.CALLER_GONE:
                    raise Cancelled("the client went away", code="client-disconnected") from None
                raise
            error = _out_of_time(prepared, context, started)
        finally:
            self._overseer.leave(watch)
        await self._keep(prepared, context, error, started)
        return Answer(prepared.run_id, loaded.version, prepared.variant, body, error)

    async def _keep(
        self, prepared: Prepared, context: RunContext, error: AlgorailError | None, started: float
    ) -> None:
        """Count the run and record it as its plan wants; a run that succeeded is looked at elsewhere."""
        ended, loaded, choice = self._clock.monotonic(), prepared.loaded, prepared.choice
        run: Recordable
        if error is not None:
            run = self._record(prepared, context, RunStatus.FAILED, started, error)
            _strike(error, self._told(run, loaded.shape))
            self._totals.add(run)
        elif context.record:
            run = FinishedRun(
                context,
                loaded.version,
                loaded.plan_hash,
                prepared.route.alias,
                choice.variant,
                choice.reason,
                prepared.unit,
                trace_id(prepared.traceparent),
                choice.labels,
            )
            self._totals.note(run)
        else:
            status, seconds = RunStatus.SUCCEEDED, ended - started
            self._totals.count(loaded.algorithm, loaded.version, choice.variant, status, seconds)
            return
        if loaded.plan.record.mode == "durable":
            within = max(prepared.deadline - ended, _TIME_TO_RECORD)
            await self._recorder.durable(run, loaded.shape, within=within)
        elif context.record:
            self._recorder.offer(run, loaded.shape)

    def _cancelled(self, prepared: Prepared, context: RunContext, started: float) -> None:
        record = self._record(prepared, context, RunStatus.CANCELLED, started)
        self._totals.add(record)
        if context.record:
            self._recorder.offer(record, prepared.loaded.shape)

    def _record(
        self,
        prepared: Prepared,
        context: RunContext,
        status: RunStatus,
        started: float,
        error: AlgorailError | None = None,
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
            inputs=dict(prepared.inputs),
            error=failure,
            variant=choice.variant,
        )


def _strike(error: AlgorailError, told: ErrorInfo | None) -> None:
    if told is not None and told.message != reason(error):
        error.message = told.message


def _require_team(call: Call, route: Route) -> None:
    if not call.principal.owns(route.team):
        raise NotFound(f"there is no algorithm {call.algorithm!r}", code="algorithm-not-found")


def _choice(call: Call, route: Route, loaded: Loaded, raw: Any, run_id: str) -> tuple[Choice, str]:
    """The version that answers and why, and for which unit."""
    unit: object = call.unit
    field = loaded.plan.unit
    if not unit and field and isinstance(raw, dict):
        unit = raw.get(field)
    return choose(route, unit, run_id), str(unit)[:256] if isinstance(unit, str | int) else ""


def _out_of_time(prepared: Prepared, context: RunContext, started: float) -> DeadlineExceeded:
    name, seconds = prepared.loaded.algorithm, prepared.deadline - started
    error = DeadlineExceeded(f"algorithm {name!r} did not end in time ({seconds:.3f} s)")
    context.ended(error)
    return error


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
