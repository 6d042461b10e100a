"""Recorded runs: listed, read, replayed; parts of algorithms."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from algorail.engine.api import documents
from algorail.engine.api.routes.common import Caller, EngineDep, json, router
from algorail.engine.api.schemas import PartialBody, ReplayBody
from algorail.engine.record.store import RunFilter

routes = router("runs")

Word = Annotated[str, Query(max_length=256)]
Nanoseconds = Annotated[int | None, Query(ge=0, lt=2**63)]


@routes.get("/v1/runs")
def list_runs(
    *,
    engine: EngineDep,
    caller: Caller,
    algorithm: Word = "",
    version: Annotated[int | None, Query(ge=0, le=999_999_999)] = None,
    status: Word = "",
    alias: Word = "",
    variant: Word = "",
    unit: Word = "",
    since: Nanoseconds = None,
    until: Nanoseconds = None,
    cursor: Word = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> Response:
    """Runs, newest first; `cursor` of a page leads to the next one. Times are nanoseconds since the epoch."""
    page = engine.runs.list_page(
        caller,
        RunFilter(
            algorithm=algorithm,
            version=version,
            status=status,
            alias=alias,
            variant=variant,
            unit=unit,
            since_ns=since,
            until_ns=until,
            cursor=cursor,
            limit=limit,
        ),
    )
    return json({"runs": [documents.run_head(head) for head in page.heads], "cursor": page.cursor})


@routes.get("/v1/runs/{run_id}")
def get_run(engine: EngineDep, run_id: str, *, full: bool = False) -> Response:
    """A run with every block's input, output, times and attempts; asynchronous ones from the start.

    An array is shown by its type, shape and first items; `full` shows every item that is on record.
    """
    return json(engine.asynchronous.read(run_id, full=full))


@routes.post("/v1/runs/{run_id}/replay")
async def replay_run(engine: EngineDep, caller: Caller, run_id: str, body: ReplayBody) -> Response:
    """Run a recorded run again and compare it block by block; writes are answered from the record."""
    version = None if body.version is None else str(body.version)
    return json(await engine.replaying.replay(caller, run_id, version=version, from_node=body.from_node))


@routes.post("/v1/algorithms/{name}/partial")
async def run_partially(engine: EngineDep, caller: Caller, name: str, body: PartialBody) -> Response:
    """Run one node, or from a node on, with the values before it from a recorded run or from overrides."""
    return json(
        await engine.replaying.partial(
            caller,
            name,
            version=None if body.version is None else str(body.version),
            document=body.plan,
            node=body.node,
            from_node=body.from_node,
            source_run=body.source_run,
            inputs=body.inputs,
            overrides=body.overrides,
        )
    )


__all__ = ["routes"]
