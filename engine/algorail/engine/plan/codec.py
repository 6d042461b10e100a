"""Plans as JSON, YAML and canonical bytes, and back.

Reading reports every problem of shape at once, each with its place; what the shape means is left to
`check`. The canonical bytes are JSON with sorted keys, without white space, without defaults and without
`ui`; integers and floats stay apart, floats are the shortest text that reads back the same. Their SHA-256
is the content hash. Everything else counts, documentation too: it is part of the published contract.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from algorail.engine.kit.errors import InvalidInput, LimitExceeded, PlanInvalid, Problem
from algorail.engine.plan.document import (
    Binding,
    Cel,
    DictOf,
    Input,
    ListOf,
    Node,
    Op,
    Plan,
    Ref,
    Value,
)
from algorail.engine.plan.reading import read_plan
from algorail.engine.plan.shape import Reader
from algorail.engine.plan.types import to_schema
from algorail.engine.plan.values import decode
from algorail.engine.plan.yaml_text import dump_yaml, load_yaml

MAX_BYTES = 8 * 1024 * 1024
"""Size of a plan document."""


def to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON data, in reading order, without what stands at its default."""
    document: dict[str, Any] = {"schema": plan.schema, "name": plan.name}
    _put(document, doc=plan.doc)
    document["inputs"] = {name: _input(item) for name, item in plan.inputs.items()}
    document["output"] = to_schema(plan.output)
    _put(document, unit=plan.unit, timeout=plan.timeout, record=_policy(plan.record), bundle=plan.bundle)
    document["nodes"] = [_node(node) for node in plan.nodes]
    document["result"] = binding_to_dict(plan.result)
    _put(document, ui=dict(plan.ui))
    return document


def _put(document: dict[str, Any], **items: Any) -> None:
    document.update({key: value for key, value in items.items() if value not in (None, "", {}, ())})


def _policy(policy: msgspec.Struct | None) -> dict[str, Any]:
    """The fields of a policy that are not at their default."""
    if policy is None:
        return {}
    fields = msgspec.structs.fields(policy)
    told = {item.name: (getattr(policy, item.name), item.default) for item in fields}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, (value, default) in told.items()
        if value != default
    }


def _input(item: Input) -> dict[str, Any]:
    schema = to_schema(item.type)
    if item.doc:
        schema["description"] = item.doc
    if not item.required:
        schema["default"] = item.default
    return schema


def _node(node: Node) -> dict[str, Any]:
    document: dict[str, Any] = {"id": node.id, "kind": node.kind}
    _put(document, doc=node.doc, config=dict(node.config))
    _put(document, inputs={port: binding_to_dict(item) for port, item in node.inputs.items()})
    for name in ("retry", "cache", "breaker"):
        policy = getattr(node, name)
        if policy is not None:
            document[name] = _policy(policy)
    _put(document, timeout=node.timeout)
    if node.fallback is not None:
        document["fallback"] = binding_to_dict(node.fallback)
    if node.record != "full":
        document["record"] = node.record
    return document


def binding_to_dict(binding: Binding) -> dict[str, Any]:
    """A binding as plain JSON data; its one key tells which it is."""
    match binding:
        case Ref(ref=ref, path=path):
            return {"ref": ref, "path": list(path)} if path else {"ref": ref}
        case Value(value=value):
            return {"value": value}
        case Op(op=op, args=args):
            return {"op": op, "args": [binding_to_dict(arg) for arg in args]}
        case Cel(cel=cel, vars=variables):
            return {"cel": cel, "vars": {name: binding_to_dict(item) for name, item in variables.items()}}
        case ListOf(list=items):
            return {"list": [binding_to_dict(item) for item in items]}
        case DictOf(dict=members):
            return {"dict": {name: binding_to_dict(item) for name, item in members.items()}}


def from_dict(document: Mapping[str, Any]) -> Plan:
    """The plan that a document describes.

    Raises: PlanInvalid: With every problem of shape: unknown and missing fields, wrong types, unreadable
    schemas.
    """
    reader = Reader()
    plan = read_plan(dict(document), reader)
    if plan is None or reader.problems:
        raise PlanInvalid("the document is not a plan", problems=reader.problems)
    return plan


def to_json(plan: Plan) -> str:
    """The plan as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(to_dict(plan)), indent=2).decode()


def from_json(text: str | bytes) -> Plan:
    """The plan in a JSON text.

    Raises:
        PlanInvalid: If it is not JSON, or not a plan.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    _within_limit(raw)
    try:
        document = decode(raw, max_bytes=MAX_BYTES, max_keys=200_000)
    except InvalidInput as error:
        raise PlanInvalid("the plan is not valid JSON", problems=error.problems) from error
    return from_dict(_object(document))


def to_yaml(plan: Plan) -> str:
    """The plan as YAML, for people."""
    return dump_yaml(to_dict(plan))


def from_yaml(text: str | bytes) -> Plan:
    """The plan in a YAML text (JSON is YAML, too). Tags, anchors, aliases and repeated keys are refused.

    Raises:
        PlanInvalid: If it is not such YAML, or not a plan.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    _within_limit(raw)
    return from_dict(_object(load_yaml(raw)))


def _within_limit(raw: bytes) -> None:
    if len(raw) > MAX_BYTES:
        raise LimitExceeded(
            f"the plan has {len(raw)} bytes, at most {MAX_BYTES} are taken", code="plan-too-large"
        )


def _object(document: Any) -> Mapping[str, Any]:
    if isinstance(document, dict):
        return document
    reader = Reader()
    reader.wrong_type("", "object", document)
    raise PlanInvalid("the document is not a plan", problems=reader.problems)


def canonical(plan: Plan) -> bytes:
    """The bytes that are the identity of a plan; see the module's text."""
    document = to_dict(plan)
    document.pop("ui", None)
    try:
        return msgspec.json.encode(document, order="sorted")
    except UnicodeEncodeError as error:
        problem = Problem(code="lone-surrogate", message=f"a text is not Unicode: {error.reason}")
        raise PlanInvalid("the plan cannot be written", problems=[problem]) from error


def content_hash(plan: Plan) -> str:
    """SHA-256 of the canonical bytes, in hex; the same for every writing of the same plan."""
    return hashlib.sha256(canonical(plan)).hexdigest()
