"""The application: routes, guard, error documents, start and stop of the engine."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from algorail.engine.api.auth import Authenticator
from algorail.engine.api.contract import HEADER_PARAMETERS
from algorail.engine.api.guard import Guard, Hosts
from algorail.engine.api.invoke import InvokeEndpoint
from algorail.engine.api.metrics import registry_of
from algorail.engine.api.policy import policy_of
from algorail.engine.api.problems import problem_response
from algorail.engine.api.routes import algorithms, asynchronous, operations, releases, runs
from algorail.engine.api.routes.common import PROBLEMS
from algorail.engine.kit.errors import AlgorailError, InvalidInput, NotFound, Problem
from algorail.engine.service.asynchronous import Executor
from algorail.engine.service.engine import Engine
from algorail.engine.service.settings import Settings

log = logging.getLogger(__name__)

INVOKE = "/v1/algorithms/{name}/invoke"


class Application(FastAPI):
    """FastAPI, with the invocation in front of its middleware and router: it is what must be fast.

    Attributes:
        invoke: Serves invocations; also in the route table, for requests that come in another form.
    """

    invoke: InvokeEndpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        name = self.invoke.algorithm_of(scope)
        if name is None:
            await super().__call__(scope, receive, send)
        else:
            await self.invoke.serve(name, scope, receive, send)


def create_app(
    settings: Settings,
    *,
    engine: Engine | None = None,
    executor: Callable[[Engine], Executor] | None = None,
) -> Application:
    """The ASGI application of these settings. The engine starts and stops with its lifespan.

    Args:
        settings: What the operator says.
        engine: An engine with other parts than the settings would give.
        executor: Makes what works on asynchronous runs (`worker.executor_of`); without one they wait for
            a worker elsewhere.
    """
    engine = engine or Engine(settings)
    authenticator = Authenticator(engine.keys, settings.engine.auth_ttl)
    engine.keys.changed.append(authenticator.forget)
    hosts = Hosts(settings.engine.allowed_hosts)
    app = Application(
        title="Algorail",
        version=version("algorail"),
        summary="Typed ML algorithms as versioned graphs, every block on record.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False},
        lifespan=_lifespan,
        middleware=[Middleware(Guard, hosts=hosts)],
        exception_handlers={HTTPException: _http_problem, RequestValidationError: _validation_problem},
    )
    app.state.settings = settings
    app.state.engine = engine
    app.state.executor = executor
    app.state.authenticator = authenticator
    app.state.metrics = registry_of(engine)
    app.invoke = _invoke_endpoint(engine, authenticator, hosts)
    app.router.routes.insert(0, Route(INVOKE, app.invoke, methods=["POST"]))
    for module in (algorithms, releases, runs, asynchronous, operations):
        # Flat, so that the route table can be walked: an included router is an object of its own.
        app.router.routes.extend(module.routes.routes)
    _describe_hot_route(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine: Engine = app.state.engine
    make = app.state.executor
    await engine.start()
    try:
        executor = engine.asynchronous.executor = None if make is None else make(engine)
        if executor is not None:
            await executor.start()
        try:
            yield
        finally:
            if executor is not None:
                await executor.aclose()
    finally:
        await engine.aclose()


def _invoke_endpoint(engine: Engine, authenticator: Authenticator, hosts: Hosts) -> InvokeEndpoint:
    policy_of("POST", INVOKE)
    limits = engine.settings.engine
    return InvokeEndpoint(
        engine.invoker,
        authenticator,
        hosts=hosts,
        body_limit=limits.body_limit_bytes,
        longest=limits.max_deadline,
    )


def _describe_hot_route(app: FastAPI) -> None:
    """Put the invocation into the OpenAPI document, which FastAPI makes from its own routes only."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document["paths"].setdefault(INVOKE, {"post": _invoke_operation()})
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _invoke_operation() -> dict[str, Any]:
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    anything: dict[str, Any] = {"application/json": {"schema": {}}}
    stream = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "operationId": "invoke",
        "tags": ["algorithms"],
        "summary": "Run an algorithm: inputs in, output back. Its own contract is at openapi.json beside it.",
        "parameters": [name, *HEADER_PARAMETERS],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": {"description": "The output.", "content": {**anything, **stream}},
            **{str(code): answer for code, answer in PROBLEMS.items()},
        },
    }


async def _http_problem(request: Request, error: Exception) -> Response:
    """Unknown routes and wrong methods, which the router reports as HTTP errors."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    path = request.url.path
    problem: AlgorailError
    if status == 404:
        problem = NotFound(f"there is nothing at {path}", code="route-not-found", cure="see /openapi.json")
    elif status == 405:
        allowed = _allowed_methods(request)
        headers["Allow"] = ", ".join(allowed)
        problem = InvalidInput(
            f"{request.method} is not possible at {path}",
            code="method-not-allowed",
            cure=f"possible: {', '.join(allowed)}",
        )
    else:
        problem = InvalidInput(str(getattr(error, "detail", error)), code="request-malformed")
    return problem_response(problem, headers=headers)


def _allowed_methods(request: Request) -> Sequence[str]:
    path = request.scope["path"]
    found: set[str] = set()
    for route in request.app.routes:
        regex = getattr(route, "path_regex", None)
        if regex is not None and regex.match(path):
            found |= set(route.methods or ())
    return sorted(found)


async def _validation_problem(_request: Request, error: Exception) -> Response:
    """Bodies and parameters that FastAPI refused."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    problems = [
        Problem(
            code=f"request-{str(item['type']).replace('_', '-')}",
            message=str(item["msg"]),
            port=".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]),
            got=repr(item.get("input"))[:200] if not isinstance(item.get("input"), dict | list) else "",
        )
        for item in found
    ]
    return problem_response(
        InvalidInput("the request is not valid", code="request-invalid", problems=problems)
    )


__all__ = ["INVOKE", "create_app"]
