"""Asynchronous runs and batches: acknowledged with 202, watched, answered, cancelled."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request, Response

from algorail.engine.api.contract import HEADER_PARAMETERS
from algorail.engine.api.headers import (
    require_json,
    seconds_of,
    short_of,
    text_of,
    version_of,
    wanted_headers,
)
from algorail.engine.api.problems import problem_response
from algorail.engine.api.routes.common import Caller, EngineDep, json, router
from algorail.engine.api.schemas import ResumeBody
from algorail.engine.kit.errors import AlgorailError, BlockFailed, Cancelled
from algorail.engine.plan.values import decode
from algorail.engine.run.outcome import RunStatus
from algorail.engine.service.calls import Call
from algorail.engine.service.engine import Engine
from algorail.engine.service.principal import Principal
from algorail.engine.store.queue import QueuedRun

routes = router("asynchronous runs")

_ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"description": "Committed: it will be run."}}


def _described(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """The parts of an operation that its function does not tell: the body and the headers."""
    schema = {"type": "object", "properties": properties, "required": required}
    return {
        "parameters": HEADER_PARAMETERS,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
    }


@routes.post(
    "/v1/algorithms/{name}/runs", status_code=202, responses=_ACCEPTED, openapi_extra=_described({}, [])
)
async def submit_run(request: Request, engine: EngineDep, caller: Caller, name: str) -> Response:
    """Run an algorithm in the background. The answer comes after the run is safely on disk."""
    ticket = await engine.asynchronous.submit(await _call(request, engine, caller, name))
    place = f"/v1/runs/{ticket.run_id}"
    document = {"run_id": ticket.run_id, "status_url": place, "output_url": f"{place}/output"}
    return json(document, 202, _headers(place, repeated=ticket.repeated))


@routes.post(
    "/v1/algorithms/{name}/batch",
    status_code=202,
    responses=_ACCEPTED,
    openapi_extra=_described({"inputs": {"type": "array", "items": {"type": "object"}}}, ["inputs"]),
)
async def submit_batch(request: Request, engine: EngineDep, caller: Caller, name: str) -> Response:
    """Run an algorithm for each of up to 10,000 inputs in the background: all are accepted, or none."""
    ticket = await engine.asynchronous.submit_batch(await _call(request, engine, caller, name))
    place = f"/v1/batches/{ticket.run_id}"
    return json({"batch": ticket.run_id, "status_url": place}, 202, _headers(place, repeated=ticket.repeated))


@routes.get("/v1/batches/{batch_id}")
def get_batch(
    *,
    engine: EngineDep,
    caller: Caller,
    batch_id: str,
    cursor: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Response:
    """How far a batch is, and its runs in the order of their inputs; `cursor` leads to the next page."""
    return json(engine.asynchronous.batch(caller, batch_id, after=cursor, limit=limit))


@routes.get("/v1/runs/{run_id}/output", responses=_ACCEPTED)
def get_output(engine: EngineDep, run_id: str) -> Response:
    """The answer of an asynchronous run, as an invocation would have given it; 202 while there is none."""
    run = engine.asynchronous.outcome(run_id)
    headers = {"X-Algorail-Run-Id": run_id, "X-Algorail-Version": str(run.version)}
    if run.variant:
        headers["X-Algorail-Variant"] = run.variant
    if run.status is RunStatus.SUCCEEDED:
        return Response(run.output or b"null", media_type="application/json", headers=headers)
    if run.is_final or run.status is RunStatus.NEEDS_ATTENTION:
        return problem_response(_failure(run), run_id=run_id, headers=headers)
    return json({"run_id": run_id, "status": run.status.value}, 202, {**headers, "Retry-After": "1"})


@routes.post("/v1/runs/{run_id}/cancel")
async def cancel_run(engine: EngineDep, run_id: str) -> Response:
    """Cancel an asynchronous run; one that is over stays as it is."""
    return json(await engine.asynchronous.cancel(run_id))


@routes.post("/v1/runs/{run_id}/resume")
async def resume_run(engine: EngineDep, caller: Caller, run_id: str, body: ResumeBody) -> Response:
    """Let a run that needs attention go on: say which of its unsure writes happened, with what result."""
    resumed = await engine.blocking(
        engine.attention.resume, caller, run_id, outputs=body.outputs, repeat=body.repeat
    )
    if engine.asynchronous.executor is not None:
        engine.asynchronous.executor.ring([run_id])
    return json(resumed)


async def _call(request: Request, engine: Engine, caller: Principal, name: str) -> Call:
    sent = wanted_headers(request.scope["headers"])
    require_json(sent)
    return Call(
        algorithm=name,
        body=await request.body(),
        principal=caller,
        version=version_of(sent),
        unit=short_of(sent, b"x-algorail-unit"),
        seconds=seconds_of(sent, engine.settings.engine.async_deadline),
        idempotency_key=short_of(sent, b"idempotency-key"),
        traceparent=text_of(sent, b"traceparent"),
    )


def _headers(place: str, *, repeated: bool) -> dict[str, str]:
    return {"Location": place, **({"Idempotency-Replayed": "true"} if repeated else {})}


def _failure(run: QueuedRun) -> AlgorailError:
    if run.status is RunStatus.CANCELLED:
        return Cancelled("the run was cancelled", code="run-cancelled")
    known = {"code": "run-failed", "message": "the run failed", "node": ""}
    error = known if run.error is None else decode(run.error)
    return BlockFailed(error["message"], node=error["node"], code=error["code"])


__all__ = ["routes"]
