"""Who may call what: one table for every route. A route that is not in it cannot be added (default-deny)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route

from algorail.engine.service.principal import Scope


@dataclass(frozen=True, slots=True)
class Policy:
    """What a route asks of its caller.

    Attributes:
        scope: Least scope; None lets everybody in.
        body: `json` bodies are decoded strictly before the handler sees them, `raw` ones only measured.
    """

    scope: Scope | None
    body: str = "json"


PUBLIC: Final = Policy(None)
VIEWER: Final = Policy(Scope.VIEWER)
AUTHOR: Final = Policy(Scope.AUTHOR)
OPERATOR: Final = Policy(Scope.OPERATOR)
ADMIN: Final = Policy(Scope.ADMIN)

_ALGORITHM = "/v1/algorithms/{name}"

POLICIES: Final[Mapping[tuple[str, str], Policy]] = {
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): VIEWER,
    ("GET", "/openapi.json"): VIEWER,
    ("POST", f"{_ALGORITHM}/invoke"): VIEWER,
    ("POST", f"{_ALGORITHM}/runs"): Policy(Scope.VIEWER, body="raw"),
    ("POST", f"{_ALGORITHM}/batch"): Policy(Scope.VIEWER, body="raw"),
    ("GET", "/v1/batches/{batch_id}"): VIEWER,
    ("GET", "/v1/algorithms"): VIEWER,
    ("GET", _ALGORITHM): VIEWER,
    ("DELETE", _ALGORITHM): OPERATOR,
    ("GET", f"{_ALGORITHM}/openapi.json"): VIEWER,
    ("POST", f"{_ALGORITHM}/versions"): AUTHOR,
    ("GET", f"{_ALGORITHM}/versions"): VIEWER,
    ("GET", f"{_ALGORITHM}/versions/{{version}}"): VIEWER,
    ("GET", f"{_ALGORITHM}/versions/{{version}}/diff/{{other}}"): VIEWER,
    ("GET", f"{_ALGORITHM}/versions/{{version}}/explain"): VIEWER,
    ("POST", f"{_ALGORITHM}/versions/{{version}}/archive"): OPERATOR,
    ("GET", f"{_ALGORITHM}/draft"): VIEWER,
    ("PUT", f"{_ALGORITHM}/draft"): AUTHOR,
    ("PATCH", f"{_ALGORITHM}/draft"): AUTHOR,
    ("DELETE", f"{_ALGORITHM}/draft"): AUTHOR,
    ("GET", f"{_ALGORITHM}/aliases"): VIEWER,
    ("PUT", f"{_ALGORITHM}/aliases/{{alias}}"): AUTHOR,
    ("POST", f"{_ALGORITHM}/aliases/{{alias}}/rollback"): AUTHOR,
    ("DELETE", f"{_ALGORITHM}/aliases/{{alias}}"): AUTHOR,
    ("POST", f"{_ALGORITHM}/partial"): AUTHOR,
    ("POST", "/v1/bundles"): Policy(Scope.AUTHOR, body="raw"),
    ("GET", "/v1/bundles/{bundle}"): AUTHOR,
    ("POST", "/v1/validate"): VIEWER,
    ("GET", "/v1/blocks"): VIEWER,
    ("GET", "/v1/runs"): VIEWER,
    ("GET", "/v1/runs/{run_id}"): VIEWER,
    ("GET", "/v1/runs/{run_id}/output"): VIEWER,
    ("POST", "/v1/runs/{run_id}/cancel"): VIEWER,
    ("POST", "/v1/runs/{run_id}/resume"): OPERATOR,
    ("POST", "/v1/runs/{run_id}/replay"): AUTHOR,
    ("GET", "/v1/keys"): ADMIN,
    ("POST", "/v1/keys"): ADMIN,
    ("DELETE", "/v1/keys/{key_id}"): ADMIN,
    ("GET", "/v1/audit"): OPERATOR,
}


def policy_of(method: str, path: str) -> Policy:
    """The declared policy of a route.

    Raises:
        LookupError: If none is declared: the application must not start with such a route.
    """
    try:
        return POLICIES[method, path]
    except KeyError:
        raise LookupError(
            f"no policy is declared for {method} {path}; add it to api.policy.POLICIES"
        ) from None


def declared(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path template of every route of the application, those of included routers too."""
    yield from _walk(app.routes)


def _walk(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Route | APIRoute):
            for method in sorted(route.methods or {"*"}):
                if method != "HEAD" or "GET" not in (route.methods or ()):
                    yield method, route.path
        else:
            nested = getattr(route, "routes", None)
            if not nested:
                raise LookupError(f"{route!r} declares no routes that could have a policy")
            yield from _walk(nested)


__all__ = ["POLICIES", "Policy", "declared", "policy_of"]
