"""Builds a `Plan` out of plain JSON data, noting every problem of shape on the way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import msgspec

from algorail.engine.plan.document import (
    MAX_NODES,
    SCHEMA,
    Binding,
    Breaker,
    Cache,
    Cel,
    DictOf,
    Input,
    ListOf,
    Node,
    NodeRecordMode,
    Op,
    Plan,
    RecordMode,
    RecordPolicy,
    Ref,
    Retry,
    Value,
)
from algorail.engine.plan.shape import Reader, at_key, short
from algorail.engine.plan.types import read_type

P = TypeVar("P", bound=msgspec.Struct)

MAX_BINDING_DEPTH = 32
"""How deep bindings may nest."""
MAX_VALUE_DEPTH = 64
"""How deep a literal or a configuration may nest."""

_PLAN_FIELDS = Plan.__struct_fields__
_NODE_FIELDS = Node.__struct_fields__
_NOTHING = Value(None)
_RECORD_MODES: tuple[NodeRecordMode, ...] = get_args(NodeRecordMode)
_RUN_MODES: tuple[RecordMode, ...] = get_args(RecordMode)
_BINDINGS = {
    "ref": ("ref", "path"),
    "value": ("value",),
    "op": ("op", "args"),
    "cel": ("cel", "vars"),
    "list": ("list",),
    "dict": ("dict",),
}


def read_plan(document: dict[str, Any], reader: Reader) -> Plan | None:
    """The plan of a document, None if it is of another schema; problems go to the reader."""
    if document.get("schema", SCHEMA) != SCHEMA:
        reader.problem(
            "unknown-schema",
            f"this is not a document of {SCHEMA}",
            "schema",
            expected=SCHEMA,
            got=short(document["schema"]),
            cure="upgrade Algorail, or export the plan anew",
        )
        return None
    found = reader.record(document, "", _PLAN_FIELDS, ("name", "inputs", "output", "nodes", "result"))
    return Plan(
        name=reader.maybe(found, "name", "", reader.text, ""),
        inputs=_inputs(found.get("inputs", {}), reader),
        output=read_type(found.get("output", {}), "output", reader),
        nodes=_nodes(found.get("nodes", []), reader),
        result=read_binding(found["result"], "result", reader) if "result" in found else _NOTHING,
        doc=reader.maybe(found, "doc", "", reader.text, ""),
        unit=reader.maybe(found, "unit", "", reader.text, ""),
        timeout=_nullable(found, "timeout", "", reader, reader.number),
        record=_record(found.get("record", {}), reader),
        bundle=reader.maybe(found, "bundle", "", reader.text, ""),
        ui=_plain_mapping(found.get("ui", {}), "ui", reader),
    )


def _nullable(found: dict[str, Any], key: str, place: str, reader: Reader, read: Callable[..., Any]) -> Any:
    return None if found.get(key) is None else reader.maybe(found, key, place, read, None)


def _inputs(value: Any, reader: Reader) -> dict[str, Input]:
    return {
        name: _input(schema, at_key("inputs", name), reader)
        for name, schema in reader.mapping(value, "inputs").items()
    }


def _input(schema: Any, place: str, reader: Reader) -> Input:
    if not isinstance(schema, dict):
        return Input(type=read_type(schema, place, reader))
    bare = {key: item for key, item in schema.items() if key not in {"default", "description"}}
    default = plain(schema.get("default"), at_key(place, "default"), reader)
    return Input(
        type=read_type(bare, place, reader),
        required="default" not in schema,
        default=default,
        doc=reader.maybe(schema, "description", place, reader.text, ""),
    )


def _record(value: Any, reader: Reader) -> RecordPolicy:
    found = reader.record(value, "record", RecordPolicy.__struct_fields__)
    return RecordPolicy(
        mode=reader.choice(found.get("mode", "durable"), "record.mode", _RUN_MODES, "durable"),
        rate=reader.maybe(found, "rate", "record", reader.number, 1.0),
        days=_nullable(found, "days", "record", reader, reader.integer),
    )


def _nodes(value: Any, reader: Reader) -> tuple[Node, ...]:
    if isinstance(value, list) and len(value) > MAX_NODES:
        reader.problem(
            "too-many-nodes",
            f"the plan has {len(value)} nodes",
            "nodes",
            expected=f"at most {MAX_NODES}",
            got=str(len(value)),
            cure="move a part into a sub-algorithm",
        )
        return ()
    nodes = tuple(read_node(item, place, reader) for place, item in reader.items(value, "nodes"))
    reader.node = ""
    return nodes


def read_node(value: Any, place: str, reader: Reader) -> Node:
    """One node; its id is noted on its problems."""
    known = value.get("id") if isinstance(value, dict) else None
    reader.node = known if isinstance(known, str) else ""
    found = reader.record(value, place, _NODE_FIELDS, ("id", "kind"))
    inputs_at = at_key(place, "inputs")
    ports = reader.mapping(found.get("inputs", {}), inputs_at)
    return Node(
        id=reader.maybe(found, "id", place, reader.text, ""),
        kind=reader.maybe(found, "kind", place, reader.text, ""),
        config=_plain_mapping(found.get("config", {}), at_key(place, "config"), reader),
        inputs={port: read_binding(item, at_key(inputs_at, port), reader) for port, item in ports.items()},
        retry=_policy(found, "retry", place, reader, Retry),
        timeout=_nullable(found, "timeout", place, reader, reader.number),
        cache=_policy(found, "cache", place, reader, Cache),
        breaker=_policy(found, "breaker", place, reader, Breaker),
        fallback=read_binding(found["fallback"], at_key(place, "fallback"), reader)
        if "fallback" in found
        else None,
        record=reader.choice(found.get("record", "full"), at_key(place, "record"), _RECORD_MODES, "full"),
        doc=reader.maybe(found, "doc", place, reader.text, ""),
    )


def _policy(found: dict[str, Any], key: str, place: str, reader: Reader, policy: type[P]) -> P | None:
    if found.get(key) is None:
        return None
    at = at_key(place, key)
    readers: dict[Any, Callable[[Any, str], Any]] = {
        int: reader.integer,
        float: reader.number,
        tuple[str, ...]: _texts(reader),
    }
    fields = {item.name: item for item in msgspec.structs.fields(policy)}
    told = reader.record(found[key], at, fields)
    return policy(**{name: readers[fields[name].type](item, at_key(at, name)) for name, item in told.items()})


def _texts(reader: Reader) -> Callable[[Any, str], tuple[str, ...]]:
    return lambda value, place: tuple(reader.text(item, at) for at, item in reader.items(value, place))


def read_binding(value: Any, place: str, reader: Reader, depth: int = 0) -> Binding:
    """One binding, by its key."""
    if not isinstance(value, dict):
        reader.wrong_type(place, "object with one of " + ", ".join(_BINDINGS), value)
        return _NOTHING
    if depth > MAX_BINDING_DEPTH:
        reader.problem("binding-too-deep", f"bindings may nest {MAX_BINDING_DEPTH} deep", place)
        return _NOTHING
    forms = [form for form in _BINDINGS if form in value]
    if len(forms) != 1:
        keys = ", ".join(map(str, value))
        reader.problem(
            "wrong-binding",
            f"a binding has exactly one of {', '.join(_BINDINGS)}; here: {keys or 'none'}",
            place,
            expected=" | ".join(_BINDINGS),
            got=keys,
            cure='a literal is written {"value": …}, a link {"ref": "name"}',
        )
        return _NOTHING
    found = reader.record(value, place, _BINDINGS[forms[0]])
    return _FORMS[forms[0]](found, place, reader, depth)


def _ref(found: dict[str, Any], place: str, reader: Reader, _depth: int) -> Binding:
    steps: list[str | int] = []
    for at, step in reader.items(found.get("path", []), at_key(place, "path")):
        if isinstance(step, str) or type(step) is int:
            steps.append(step)
        else:
            reader.wrong_type(at, "string or integer", step)
    return Ref(reader.text(found["ref"], at_key(place, "ref")), tuple(steps))


def _value(found: dict[str, Any], place: str, reader: Reader, _depth: int) -> Binding:
    return Value(plain(found["value"], at_key(place, "value"), reader))


def _op(found: dict[str, Any], place: str, reader: Reader, depth: int) -> Binding:
    return Op(
        reader.text(found["op"], at_key(place, "op")),
        _bindings(found.get("args", []), at_key(place, "args"), reader, depth),
    )


def _cel(found: dict[str, Any], place: str, reader: Reader, depth: int) -> Binding:
    text = reader.text(found["cel"], at_key(place, "cel"))
    return Cel(text, _members(found.get("vars", {}), at_key(place, "vars"), reader, depth))


def _list(found: dict[str, Any], place: str, reader: Reader, depth: int) -> Binding:
    return ListOf(_bindings(found["list"], at_key(place, "list"), reader, depth))


def _dict(found: dict[str, Any], place: str, reader: Reader, depth: int) -> Binding:
    return DictOf(_members(found["dict"], at_key(place, "dict"), reader, depth))


def _bindings(value: Any, place: str, reader: Reader, depth: int) -> tuple[Binding, ...]:
    return tuple(read_binding(item, at, reader, depth + 1) for at, item in reader.items(value, place))


def _members(value: Any, place: str, reader: Reader, depth: int) -> dict[str, Binding]:
    found = reader.mapping(value, place)
    return {name: read_binding(item, at_key(place, name), reader, depth + 1) for name, item in found.items()}


_FORMS = {"ref": _ref, "value": _value, "op": _op, "cel": _cel, "list": _list, "dict": _dict}


def _plain_mapping(value: Any, place: str, reader: Reader) -> dict[str, Any]:
    found = reader.mapping(value, place)
    return {key: plain(item, at_key(place, key), reader, 1) for key, item in found.items()}


def plain(value: Any, place: str, reader: Reader, depth: int = 0) -> Any:
    """A JSON value, checked to be one (dates of YAML, NaN and the like are none)."""
    if depth > MAX_VALUE_DEPTH:
        reader.problem("too-deep", f"values may nest {MAX_VALUE_DEPTH} deep", place)
        return None
    if isinstance(value, dict):
        found = reader.mapping(value, place)
        return {key: plain(item, at_key(place, key), reader, depth + 1) for key, item in found.items()}
    if isinstance(value, list):
        return [plain(item, at_key(place, index), reader, depth + 1) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        reader.problem("not-finite", "NaN and Infinity are not JSON", place, got=short(value))
    elif not isinstance(value, str | int | float | bool | None):
        reader.wrong_type(place, "JSON value", value)
    elif type(value) is int and not -(2**63) <= value < 2**63:
        reader.problem("integer-too-large", "integers have at most 64 bits", place, got=short(value))
    return value
