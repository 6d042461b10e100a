"""Algorithms, their versions and their typed contracts."""

from __future__ import annotations

from fastapi import Response

from algorail.engine.api import documents
from algorail.engine.api.contract import contract_of
from algorail.engine.api.routes.common import Caller, EngineDep, json, router
from algorail.engine.api.schemas import PublishBody, ValidateBody
from algorail.engine.plan import codec
from algorail.engine.service.calls import DEFAULT_VERSION

routes = router("algorithms")


@routes.get("/v1/algorithms")
def list_algorithms(engine: EngineDep, caller: Caller, archived: bool = False) -> Response:
    """The algorithms of the caller's team, by name."""
    found = engine.catalogue.list_all(caller, archived=archived)
    listed = [documents.algorithm(item.algorithm, item.aliases, item.doc) for item in found]
    return json({"algorithms": listed})


@routes.get("/v1/algorithms/{name}")
def get_algorithm(engine: EngineDep, name: str) -> Response:
    """One algorithm with its aliases."""
    item = engine.catalogue.get(name)
    return json(documents.algorithm(item.algorithm, item.aliases, item.doc))


@routes.delete("/v1/algorithms/{name}")
def archive_algorithm(engine: EngineDep, caller: Caller, name: str) -> Response:
    """Archive an algorithm: it is not listed and not called any more; versions and runs stay."""
    engine.catalogue.archive(caller, name)
    return Response(status_code=204)


@routes.get("/v1/algorithms/{name}/openapi.json")
def get_contract(engine: EngineDep, name: str, version: str = DEFAULT_VERSION) -> Response:
    """The typed contract of a version, for client generators."""
    found = engine.catalogue.version(name, version)
    return json(contract_of(codec.from_json(found.plan), found.version))


@routes.post("/v1/algorithms/{name}/versions", status_code=201)
def publish_version(engine: EngineDep, caller: Caller, name: str, body: PublishBody) -> Response:
    """Publish a plan as an immutable version; the newest one again is answered with 200."""
    done = engine.publishing.publish(
        caller,
        name,
        body.plan,
        note=body.note,
        author=body.author,
        alias=body.alias,
        allow_breaking=body.allow_breaking,
    )
    return json(documents.published(done), 201 if done.created else 200)


@routes.get("/v1/algorithms/{name}/versions")
def list_versions(engine: EngineDep, name: str) -> Response:
    """Every version, newest first."""
    return json({"versions": [documents.version(found) for found in engine.catalogue.versions(name)]})


@routes.get("/v1/algorithms/{name}/versions/{version}")
def get_version(engine: EngineDep, name: str, version: str) -> Response:
    """One version with its plan."""
    return json(documents.version(engine.catalogue.version(name, version), with_plan=True))


@routes.get("/v1/algorithms/{name}/versions/{version}/diff/{other}")
def diff_versions(engine: EngineDep, name: str, version: str, other: str) -> Response:
    """What differs between two versions, and whether callers would notice."""
    return json(engine.catalogue.diff(name, version, other))


@routes.get("/v1/algorithms/{name}/versions/{version}/explain")
def explain_version(engine: EngineDep, name: str, version: str) -> Response:
    """What a version does: its graph, the critical path and the code that runs."""
    return json(engine.catalogue.explain(name, version))


@routes.post("/v1/algorithms/{name}/versions/{version}/archive")
def archive_version(engine: EngineDep, caller: Caller, name: str, version: str) -> Response:
    """Mark a version as not to be used any more; refused while an alias points to it."""
    return json(documents.version(engine.catalogue.archive_version(caller, name, version)))


@routes.post("/v1/validate")
def validate(engine: EngineDep, caller: Caller, body: ValidateBody) -> Response:
    """Check a plan without publishing it; nothing of it is run."""
    return json(engine.publishing.validate(caller, body.plan))


@routes.get("/v1/blocks")
def list_blocks(engine: EngineDep) -> Response:
    """The installed kinds of blocks, with the JSON Schema of their configuration and their ports."""
    return json(engine.catalogue.blocks())


__all__ = ["routes"]
