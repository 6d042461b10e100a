"""What people would write by hand instead: the same six steps behind Starlette and behind FastAPI.

Neither checks a key, records anything, knows versions or has a deadline.
"""

# FastAPI reads the annotations of handlers at run time: no `from __future__ import annotations` here.

import json

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send


async def bare(_scope: Scope, receive: Receive, send: Send) -> None:
    """The floor: read the body, answer a constant."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"25")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"sum":11,"text":"LOREM"}'})


class Asked(BaseModel):
    """The inputs."""

    x: int
    text: str


class Answered(BaseModel):
    """The output."""

    sum: int
    text: str


async def add(a: int, b: int) -> int:
    """One step."""
    return a + b


async def shout(text: str) -> str:
    """The last step."""
    return text.upper()[:20]


async def steps(x: int, text: str) -> Answered:
    """The six steps, awaited one after the other."""
    total = x
    for number in range(5):
        total = await add(total, number)
    return Answered(sum=total, text=await shout(text))


def starlette_route() -> ASGIApp:
    """A Starlette route that parses, checks nothing and answers."""

    async def invoke(request: Request) -> Response:
        given = json.loads(await request.body())
        answer = await steps(given["x"], given["text"])
        return Response(json.dumps(answer.model_dump()), media_type="application/json")

    return Starlette(routes=[Route("/", invoke, methods=["POST"])])


def fastapi_handler() -> ASGIApp:
    """A FastAPI handler with pydantic models in and out."""
    app = FastAPI()

    @app.post("/")
    async def invoke(given: Asked) -> Answered:
        return await steps(given.x, given.text)

    return app
