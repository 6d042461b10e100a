"""The boundary and the plan: typed decoding against bare decoding; checking and hashing 200 nodes."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import orjson
from pydantic import BaseModel, TypeAdapter

from algorail.engine.plan.check import check
from algorail.engine.plan.codec import content_hash, from_json, to_json
from algorail.engine.plan.document import Input, Node, Plan, Ref, Value
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    DictType,
    Field,
    ListType,
    ObjectType,
    VectorType,
    optional,
)
from algorail.engine.plan.values import compile_validator, decode, encode, input_decoder
from algorail.engine.testing.kinds import SimpleKinds
from benchmarks.harness import Bench, Case

NODES = 200


class Hit(BaseModel):
    """As `HIT`, for pydantic."""

    id: str
    score: float
    tags: list[str]
    ok: bool


class Address(BaseModel):
    """As the address in `USER`, for pydantic."""

    city: str
    zip: str


class User(BaseModel):
    """As `USER`, for pydantic."""

    name: str
    age: int
    mail: str | None
    address: Address


class Body(BaseModel):
    """As `NESTED`, for pydantic."""

    user: User
    hits: list[Hit]
    meta: dict[str, Any]
    k: int = 5


HIT = ObjectType(
    {"id": Field(STRING), "score": Field(NUMBER), "tags": Field(ListType(STRING)), "ok": Field(BOOLEAN)}
)
USER = ObjectType(
    {
        "name": Field(STRING),
        "age": Field(INTEGER),
        "mail": Field(optional(STRING)),
        "address": Field(ObjectType({"city": Field(STRING), "zip": Field(STRING)})),
    }
)
NESTED = {
    "user": Input(type=USER),
    "hits": Input(type=ListType(HIT)),
    "meta": Input(type=DictType(ANY)),
    "k": Input(type=INTEGER, required=False, default=5),
}
NESTED_BODY = {
    "user": {"name": "Ada", "age": 36, "mail": "ada@example.org", "address": {"city": "London", "zip": "N1"}},
    "hits": [
        {"id": f"entry-{i}", "score": i * 0.37, "tags": ["red", "blue", f"t{i}"], "ok": i % 2 == 0}
        for i in range(11)
    ],
    "meta": {"source": "web", "at": "2026-11-23T07:00:00Z", "try": 3},
}
FLAT = {f"field_{i}": Input(type=(STRING, INTEGER, NUMBER, BOOLEAN)[i % 4]) for i in range(40)}
FLAT_BODY = {f"field_{i}": ("some words of a text", i * 1_000, i * 0.25, True)[i % 4] for i in range(40)}
VECTOR = {"vector": Input(type=VectorType(96))}
VECTOR_BODY = {"vector": [round(i * 0.0137, 5) for i in range(96)]}


def chain(length: int) -> Plan:
    """A plan of so many nodes that add."""
    names = [f"n{i}" for i in range(length)]
    nodes = tuple(
        Node(id=name, kind="add@1", inputs={"a": Ref(before), "b": Value(1)})
        for before, name in zip(["x", *names], names, strict=False)
    )
    return Plan(
        name="chain", inputs={"x": Input(type=INTEGER)}, output=INTEGER, nodes=nodes, result=Ref(names[-1])
    )


async def suite(bench: Bench) -> None:
    """Bodies of 1 KB in and out, then a plan of 200 nodes."""
    await boundary(bench, "nested", NESTED, NESTED_BODY, model=Body)
    await boundary(bench, "flat, 40 fields", FLAT, FLAT_BODY)
    await boundary(bench, "a vector of 96", VECTOR, VECTOR_BODY, budget=None)
    await answers(bench)
    plans(bench)


async def boundary(
    bench: Bench,
    name: str,
    inputs: Mapping[str, Input],
    body: Mapping[str, Any],
    *,
    model: type[BaseModel] | None = None,
    budget: float | None = 2.2,
) -> None:
    """Decode and check a request body; the floor decodes it and checks nothing."""
    raw = json.dumps(body).encode()
    read = input_decoder(inputs)
    others = []
    if model is not None:
        adapter = TypeAdapter(model)
        others.append(Case("pydantic model, for comparison", lambda: adapter.validate_json(raw)))
    await bench.compare(
        f"a body of {len(raw):,} bytes, {name}",
        floor=Case("msgspec.json.decode alone", lambda: msgspec.json.decode(raw)),
        cases=[
            Case("orjson.loads alone", lambda: orjson.loads(raw)),
            Case("strict decoding", lambda: decode(raw)),
            Case("strict decoding and checks", lambda: read(raw), budget=budget),
            *others,
        ],
    )


async def answers(bench: Bench) -> None:
    """Check and encode an answer."""
    source = ObjectType({name: Field(item.type, item.required) for name, item in NESTED.items()})
    validate = compile_validator(source, coerce=False)
    size = len(encode(NESTED_BODY))
    await bench.compare(
        f"an answer of {size:,} bytes, nested",
        floor=Case("msgspec.json.encode alone", lambda: msgspec.json.encode(NESTED_BODY)),
        cases=[
            Case("strict encoding", lambda: encode(NESTED_BODY)),
            Case("checks and strict encoding", lambda: encode(validate(NESTED_BODY))),
        ],
    )


def plans(bench: Bench) -> None:
    """What publishing a plan of 200 nodes costs."""
    plan, kinds = chain(NODES), SimpleKinds()
    raw = to_json(plan)

    def checked() -> None:
        assert not check(plan, kinds.signature, _no_algorithm, _no_cel).problems

    title = f"a plan of {NODES} nodes"
    bench.fact(title, "check", _milliseconds(checked), unit="ms", budget=20)
    bench.fact(title, "content hash", _milliseconds(lambda: content_hash(plan)), unit="ms")
    bench.fact(title, "read from JSON", _milliseconds(lambda: from_json(raw)), unit="ms")
    body = ObjectType({name: Field(item.type, item.required) for name, item in NESTED.items()})
    checker = _milliseconds(lambda: compile_validator(body))
    bench.fact("a type", "checker of the nested body", round(checker * 1e3), unit="µs")


def _no_algorithm(_name: str, _version: str) -> None:
    return None


def _no_cel(_text: str, _variables: Mapping[str, Any]) -> Any:
    return ANY


def _milliseconds(call: Callable[[], Any], rounds: int = 9) -> float:
    """CPU time of a call, the median of several."""
    call()
    samples = []
    for _ in range(rounds):
        started = time.process_time()
        call()
        samples.append((time.process_time() - started) * 1e3)
    return round(statistics.median(samples), 2)
