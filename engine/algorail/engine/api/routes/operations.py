"""Keys, audit, health and metrics: what operators ask for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from algorail.engine.api import documents, metrics
from algorail.engine.api.routes.common import Caller, EngineDep, json, router
from algorail.engine.api.schemas import KeyBody
from algorail.engine.kit.errors import Unavailable

routes = router("operations")


@routes.get("/v1/keys")
def list_keys(engine: EngineDep, caller: Caller) -> Response:
    """The keys, newest first; never their text."""
    return json({"keys": [documents.key(found) for found in engine.keys.list_all(caller)]})


@routes.post("/v1/keys", status_code=201)
def create_key(engine: EngineDep, caller: Caller, body: KeyBody) -> Response:
    """Make a key. Its text is in this answer and nowhere else."""
    made, text = engine.keys.create(caller, name=body.name, scope=body.scope, team=body.team)
    return json({**documents.key(made), "key": text}, 201)


@routes.delete("/v1/keys/{key_id}")
def revoke_key(engine: EngineDep, caller: Caller, key_id: str) -> Response:
    """Revoke a key; it stops working everywhere within the operator's `auth_ttl`."""
    engine.keys.revoke(caller, key_id)
    return Response(status_code=204)


@routes.get("/v1/audit")
def list_audit(
    *,
    engine: EngineDep,
    caller: Caller,
    action: Annotated[str, Query(max_length=64)] = "",
    subject: Annotated[str, Query(max_length=256)] = "",
    before: Annotated[int | None, Query(ge=0, lt=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Response:
    """Who did what, newest first; for keys that are bound to no team."""
    found = engine.audit.entries(caller, action=action, subject=subject, before=before, limit=limit)
    return json({"entries": [documents.audit_entry(entry) for entry in found]})


@routes.get("/healthz")
async def healthz() -> Response:
    """The process answers."""
    return json({"status": "ok"})


@routes.get("/readyz")
def readyz(engine: EngineDep) -> Response:
    """Runs would be accepted and recorded: the database takes writes, is migrated, and the disk has room."""
    checks = engine.readiness()
    wrong = [f"{name}: {check}" for name, check in checks.items() if check != "ok"]
    if wrong:
        raise Unavailable("; ".join(wrong), code="not-ready", retry_after=5, details={"checks": checks})
    return json({"status": "ready", "checks": checks})


@routes.get("/metrics")
def get_metrics(request: Request, caller: Caller) -> Response:
    """Metrics in Prometheus' text format, for keys that are bound to no team: they name every algorithm."""
    caller.require_all_teams("the metrics")
    return Response(metrics.page(request.app.state.metrics), media_type=metrics.MEDIA_TYPE)


@routes.get("/openapi.json")
async def get_openapi(request: Request) -> Response:
    """This interface as an OpenAPI document."""
    return json(request.app.openapi())


__all__ = ["routes"]
