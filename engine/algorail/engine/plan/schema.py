"""The JSON Schema of the plan document, for editors and for people who write plans by hand.

It says the shape only. What `check` says is not in it.
"""

from __future__ import annotations

from typing import Any, get_args

from algorail.engine.plan.document import MAX_NODES, SCHEMA, Breaker, Cache, NodeRecordMode, RecordMode, Retry
from algorail.engine.plan.ops import MAX_ARGS, OPERATORS
from algorail.engine.plan.types import DTYPES

_IDENTIFIER = {"type": "string", "pattern": "^[a-z_][a-z0-9_]{0,63}$"}
_BINDING = {"$ref": "#/$defs/binding"}
_TYPE = {"$ref": "#/$defs/type"}
_TEXT = {"type": "string"}
_SECONDS = {"type": ["number", "null"], "exclusiveMinimum": 0}


def document_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12."""
    properties = {
        "schema": {"const": SCHEMA},
        "name": {"type": "string", "pattern": "^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*$"},
        "doc": _TEXT,
        "inputs": {"type": "object", "propertyNames": _IDENTIFIER, "additionalProperties": _TYPE},
        "output": _TYPE,
        "unit": _TEXT,
        "timeout": _SECONDS,
        "record": _record(),
        "bundle": {"type": "string", "pattern": "^(?:[0-9a-f]{64})?$"},
        "nodes": {"type": "array", "maxItems": MAX_NODES, "items": {"$ref": "#/$defs/node"}},
        "result": _BINDING,
        "ui": {"type": "object", "description": "Canvas positions and notes; outside the content hash."},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Algorail plan",
        **_closed(properties, "name", "inputs", "output", "nodes", "result"),
        "$defs": {"node": _node(), "binding": _bindings(), "type": _types()},
    }


def _closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema


def _record() -> dict[str, Any]:
    return _closed(
        {
            "mode": {"enum": list(get_args(RecordMode))},
            "rate": {"type": "number", "minimum": 0, "maximum": 1},
            "days": {"type": ["integer", "null"], "minimum": 1},
        }
    )


def _node() -> dict[str, Any]:
    number, positive, count = (
        {"type": "number", "minimum": 0},
        {"type": "number"},
        {"type": "integer", "minimum": 1},
    )
    codes = {"type": "array", "items": _TEXT}
    policies = {
        "retry": (Retry, {"attempts": count, "first": number, "max": number, "on": codes}),
        "cache": (Cache, {"ttl": positive, "size": count}),
        "breaker": (Breaker, {"failures": count, "reset": positive}),
    }
    properties: dict[str, Any] = {
        "id": _IDENTIFIER,
        "kind": {"type": "string", "pattern": "^[a-z][a-z0-9_]*@[1-9][0-9]*$"},
        "doc": _TEXT,
        "config": {"type": "object"},
        "inputs": {"type": "object", "additionalProperties": _BINDING},
        "timeout": _SECONDS,
        "fallback": _BINDING,
        "record": {"enum": list(get_args(NodeRecordMode))},
    }
    for name, (policy, fields) in policies.items():
        summary = (policy.__doc__ or "").split("\n", 1)[0]
        properties[name] = {"description": summary, "anyOf": [_closed(fields), {"type": "null"}]}
    return _closed(properties, "id", "kind")


def _bindings() -> dict[str, Any]:
    many = {"type": "array", "items": _BINDING}
    named = {"type": "object", "additionalProperties": _BINDING}
    path = {"type": "array", "items": {"type": ["string", "integer"]}}
    return {
        "description": "What a port gets: a link, literal, operator, expression, list or object.",
        "oneOf": [
            _closed({"ref": _TEXT, "path": path}, "ref"),
            _closed({"value": {}}, "value"),
            _closed({"op": {"enum": list(OPERATORS)}, "args": {**many, "maxItems": MAX_ARGS}}, "op", "args"),
            _closed({"cel": _TEXT, "vars": named}, "cel"),
            _closed({"list": many}, "list"),
            _closed({"dict": named}, "dict"),
        ],
    }


def _types() -> dict[str, Any]:
    """Types are JSON Schema in a few words and three of our own."""
    vector = _closed({"dtype": {"enum": list(DTYPES)}, "size": {"type": "integer", "minimum": 1}})
    properties: dict[str, Any] = {
        "type": {"type": ["string", "array"]},
        "enum": {"type": "array", "minItems": 1},
        "const": {"type": ["string", "integer", "boolean", "null"]},
        "items": _TYPE,
        "properties": {"type": "object", "additionalProperties": _TYPE},
        "required": {"type": "array", "items": _TEXT},
        "additionalProperties": _TYPE,
        "anyOf": {"type": "array", "minItems": 1, "items": _TYPE},
        "oneOf": {"type": "array", "minItems": 1, "items": _TYPE},
        "contentEncoding": {"const": "base64"},
        "minItems": {"type": "integer"},
        "maxItems": {"type": "integer"},
        "title": _TEXT,
        "description": _TEXT,
        "default": {},
        "examples": {"type": "array"},
        "x-vector": vector,
        "x-field": {"enum": ["image", "table", "secret"]},
        "x-sensitivity": {"enum": ["pii", "secret"]},
    }
    return {"anyOf": [{"type": "boolean"}, _closed(properties)]}
