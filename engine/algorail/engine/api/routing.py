"""Routes that check their policy before anything else happens: scope, ownership, strict bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message, Receive

from algorail.engine.api.bodies import read_body
from algorail.engine.api.headers import require_json, wanted_headers
from algorail.engine.api.policy import Policy, policy_of
from algorail.engine.plan.values import decode
from algorail.engine.service.engine import Engine
from algorail.engine.service.principal import Principal

_OBJECTS = frozenset({"name", "run_id"})
"""Path parameters that name something a team owns."""


class PolicedRoute(APIRoute):
    """A FastAPI route that obeys `api.policy`; one without a declared policy cannot be made."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind the checks.

        Raises:
            LookupError: If a method of this route has no declared policy.
        """
        handler = super().get_route_handler()
        policies = {method: policy_of(method, self.path) for method in self.methods or ()}

        async def policed(request: Request) -> Response:
            policy = policies[request.method]
            if policy.scope is not None:
                await _authorise(request, policy)
            if request.method in {"POST", "PUT", "PATCH"}:
                request = await _checked(request, policy)
            return await handler(request)

        return policed


async def _authorise(request: Request, policy: Policy) -> None:
    engine: Engine = request.app.state.engine
    principal = await request.app.state.authenticator.principal(request.scope["headers"])
    if policy.scope is not None:
        principal.require(policy.scope)
    request.state.principal = principal
    if principal.team and _OBJECTS & request.path_params.keys():
        await asyncio.to_thread(_check_owner, engine, principal, request.path_params)


def _check_owner(engine: Engine, principal: Principal, parameters: Mapping[str, str]) -> None:
    if "run_id" in parameters:
        engine.access.run(principal, parameters["run_id"])
    if "name" in parameters:
        engine.access.algorithm(principal, parameters["name"])


async def _checked(request: Request, policy: Policy) -> Request:
    """The request with its body read and, for JSON, decoded once by the strict decoder."""
    limits = request.app.state.settings.engine
    raw = policy.body == "raw"
    body = await read_body(
        request.receive,
        limits.bundle_limit_bytes if raw else limits.body_limit_bytes,
        _length(request),
    )
    if not raw and body:
        require_json(wanted_headers(request.scope["headers"]))
        decode(body)
    return Request(request.scope, _replay(body, request.receive))


def _length(request: Request) -> bytes | None:
    text = request.headers.get("content-length")
    return None if text is None else text.encode("latin-1")


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


__all__ = ["PolicedRoute"]
