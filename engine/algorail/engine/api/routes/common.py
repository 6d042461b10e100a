"""What every management route needs: the engine, the caller, answers as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from algorail.engine.api.contract import PROBLEM_SCHEMA
from algorail.engine.api.routing import PolicedRoute
from algorail.engine.plan.values import encode
from algorail.engine.service.engine import Engine
from algorail.engine.service.principal import Principal

_PROBLEM = {"application/problem+json": {"schema": PROBLEM_SCHEMA}}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request is wrong; the problems say why.", "content": _PROBLEM},
    "5XX": {"description": "The server is overloaded, or something it needs is away.", "content": _PROBLEM},
}


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


def _caller(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


EngineDep = Annotated[Engine, Depends(_engine)]
Caller = Annotated[Principal, Depends(_caller)]


def router(tag: str) -> APIRouter:
    """A router whose routes all have a policy."""
    return APIRouter(route_class=PolicedRoute, tags=[tag], responses=PROBLEMS)


def json(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer, written by the strict encoder."""
    return Response(
        encode(document), status_code=status, headers=dict(headers or {}), media_type="application/json"
    )


__all__ = ["PROBLEMS", "Caller", "EngineDep", "json", "router"]
