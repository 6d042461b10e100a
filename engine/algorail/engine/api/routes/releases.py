"""Drafts, aliases and code bundles: what leads to an answer in production."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Request, Response

from algorail.engine.api import documents
from algorail.engine.api.routes.common import Caller, EngineDep, json, router
from algorail.engine.api.schemas import AliasBody, DraftBody
from algorail.engine.kit.errors import Conflict, InvalidInput

routes = router("releases")

IfMatch = Annotated[str | None, Header(max_length=100)]


@routes.get("/v1/algorithms/{name}/draft")
def get_draft(engine: EngineDep, name: str) -> Response:
    """The draft, with its ETag."""
    found = engine.drafts.get(name)
    return json(documents.draft(found), headers={"ETag": found.etag})


@routes.put("/v1/algorithms/{name}/draft")
def put_draft(
    engine: EngineDep, caller: Caller, name: str, body: DraftBody, if_match: IfMatch = None
) -> Response:
    """Write the draft; one that is there already needs its ETag in If-Match."""
    saved = engine.drafts.save(caller, name, body.plan, _revision(if_match))
    return json(documents.draft(saved), headers={"ETag": saved.etag})


@routes.patch("/v1/algorithms/{name}/draft")
def patch_draft(
    engine: EngineDep, caller: Caller, name: str, body: DraftBody, if_match: IfMatch = None
) -> Response:
    """Apply a JSON merge patch to the draft's plan."""
    saved = engine.drafts.patch(caller, name, body.plan, _revision(if_match))
    return json(documents.draft(saved), headers={"ETag": saved.etag})


@routes.delete("/v1/algorithms/{name}/draft")
def delete_draft(engine: EngineDep, name: str, if_match: IfMatch = None) -> Response:
    """Throw the draft away."""
    engine.drafts.remove(name, _revision(if_match))
    return Response(status_code=204)


@routes.get("/v1/algorithms/{name}/aliases")
def list_aliases(engine: EngineDep, name: str) -> Response:
    """The aliases of an algorithm."""
    return json({"aliases": [documents.alias(found) for found in engine.aliases.list_all(name)]})


@routes.put("/v1/algorithms/{name}/aliases/{alias}")
def put_alias(engine: EngineDep, caller: Caller, name: str, alias: str, body: AliasBody) -> Response:
    """Point an alias to a version, or split it by weights."""
    if (body.version is None) == (body.weights is None):
        raise InvalidInput(
            "an alias needs either `version` or `weights`",
            code="alias-target",
            cure="send exactly one of them",
        )
    if body.version is not None:
        return json(documents.alias(engine.aliases.point(caller, name, alias, body.version)))
    return json(documents.alias(engine.aliases.split(caller, name, alias, body.weights or {})))


@routes.post("/v1/algorithms/{name}/aliases/{alias}/rollback")
def roll_back_alias(engine: EngineDep, caller: Caller, name: str, alias: str) -> Response:
    """Point an alias to what it meant before."""
    return json(documents.alias(engine.aliases.rollback(caller, name, alias)))


@routes.delete("/v1/algorithms/{name}/aliases/{alias}")
def delete_alias(engine: EngineDep, caller: Caller, name: str, alias: str) -> Response:
    """Remove an alias; its versions stay."""
    engine.aliases.remove(caller, name, alias)
    return Response(status_code=204)


@routes.post("/v1/bundles", openapi_extra={"requestBody": {"content": {"application/zip": {}}}})
async def put_bundle(request: Request, engine: EngineDep, caller: Caller) -> Response:
    """Take in a code bundle; nothing of it is run."""
    stored = await engine.blocking(engine.bundles.put, caller, await request.body())
    return json(documents.bundle(stored), 201)


@routes.get("/v1/bundles/{bundle}")
def get_bundle(engine: EngineDep, bundle: str) -> Response:
    """What is known of a bundle: its manifest and size."""
    return json(documents.bundle(engine.bundles.get(bundle)))


def _revision(if_match: str | None) -> int | None:
    if if_match is None:
        return None
    digits = if_match.strip().removeprefix('"').removesuffix('"')
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        raise Conflict(f"If-Match == {if_match!r}: there is no such revision", code="etag-mismatch")
    return int(digits)


__all__ = ["routes"]
