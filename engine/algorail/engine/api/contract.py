"""The typed contract of one algorithm: an OpenAPI document that client generators read."""

from __future__ import annotations

from typing import Any

from algorail.engine.plan.document import Input, Plan
from algorail.engine.plan.types import ObjectType, to_schema


def contract_of(plan: Plan, version: int) -> dict[str, Any]:
    """OpenAPI 3.1 for `POST /v1/algorithms/{name}/invoke` of a version.

    Args:
        plan: The published plan.
        version: Its number, the version of the document.
    """
    title = "".join(part.capitalize() for part in plan.name.replace("-", "_").split("_"))
    inputs, output = f"{title}Inputs", f"{title}Output"
    return {
        "openapi": "3.1.0",
        "info": {"title": plan.name, "version": str(version), "description": plan.doc},
        "paths": {f"/v1/algorithms/{plan.name}/invoke": {"post": _operation(plan, inputs, output)}},
        "components": {
            "schemas": {
                inputs: _inputs_schema(plan, inputs),
                output: _titled(to_schema(plan.output), output, model=isinstance(plan.output, ObjectType)),
                "Problem": PROBLEM_SCHEMA,
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem document.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "problems", "retryable"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "problems": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "retryable": {"type": "boolean"},
        "cure": {"type": "string"},
        "node": {"type": "string"},
        "run_id": {"type": "string"},
        "details": {"type": "object"},
    },
}


def _operation(plan: Plan, inputs: str, output: str) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answer = {"application/json": {"schema": {"$ref": f"#/components/schemas/{output}"}}}
    body = {"application/json": {"schema": {"$ref": f"#/components/schemas/{inputs}"}}}
    return {
        "operationId": plan.name.replace("-", "_"),
        "summary": plan.doc.partition("\n")[0],
        "parameters": HEADER_PARAMETERS,
        "requestBody": {"required": True, "content": body},
        "responses": {
            "200": {"description": "The output.", "content": answer},
            "4XX": {"description": "The call is wrong; the problems say why.", "content": problem},
            "5XX": {"description": "The run failed, or the server is overloaded.", "content": problem},
        },
    }


def _header(name: str, text: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": text,
        "schema": {"type": "string"},
    }


HEADER_PARAMETERS = [
    _header("X-Algorail-Version", "A version number, or an alias as @prod."),
    _header("X-Algorail-Unit", "Whom the call is for: keeps a traffic split sticky."),
    _header("X-Algorail-Deadline-Ms", "Milliseconds the caller is willing to wait."),
    _header("Idempotency-Key", "Same key and same body: same run, for seven days."),
]
"""Headers of an invocation, as OpenAPI parameters."""


def _inputs_schema(plan: Plan, title: str) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "properties": {name: _input_schema(spec) for name, spec in plan.inputs.items()},
        "required": [name for name, spec in plan.inputs.items() if spec.required],
        "additionalProperties": False,
    }


def _input_schema(spec: Input) -> dict[str, Any]:
    schema = dict(to_schema(spec.type))
    if spec.doc:
        schema["description"] = spec.doc
    if not spec.required:
        schema["default"] = spec.default
    return schema


def _titled(schema: dict[str, Any], title: str, *, model: bool) -> dict[str, Any]:
    return {**schema, "title": title} if model else schema


__all__ = ["HEADER_PARAMETERS", "PROBLEM_SCHEMA", "contract_of"]
