"""What several built-in blocks need of their configuration: ports and types written as JSON Schema."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import Any

from algorail.engine.kit.errors import ConfigInvalid, InvalidInput, Problem
from algorail.engine.plan.annotations import type_of
from algorail.engine.plan.signature import Port
from algorail.engine.plan.types import ABSENT, ObjectType, Type, from_schema, to_schema

Schema = dict[str, Any]


def type_from(schema: Mapping[str, Any], field: str) -> Type:
    """The type that a field of a configuration describes.

    Raises:
        ConfigInvalid: With every problem, each naming the field.
    """
    try:
        return from_schema(schema)
    except InvalidInput as error:
        problems = [
            Problem(
                code=problem.code,
                message=problem.message,
                port=f"{field}.{problem.port}".rstrip("."),
                expected=problem.expected,
                got=problem.got,
                cure=problem.cure,
            )
            for problem in error.problems
        ]
        raise ConfigInvalid(f"{field} is not a type", problems=problems) from None


def ports_from(inputs: Mapping[str, Mapping[str, Any]], field: str = "inputs") -> dict[str, Port]:
    """Ports by name; a schema with a `default` makes an optional one.

    Raises:
        ConfigInvalid: With every problem, each naming the field and the port.
    """
    for name in inputs:
        if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
            raise ConfigInvalid(
                f"{field}: an input must be named like a variable, not {name!r}",
                cure="use letters, digits and _",
            )
    required = [name for name, schema in inputs.items() if "default" not in schema]
    whole = {
        "type": "object",
        "properties": dict(inputs),
        "required": required,
        "additionalProperties": False,
    }
    found = type_from(whole, field)
    members = found.fields if isinstance(found, ObjectType) else {}
    return {
        name: Port(
            member.type,
            required=member.required,
            default=None if member.default is ABSENT else member.default,
            doc=member.type.doc,
        )
        for name, member in members.items()
    }


def schema_of(source: Any) -> Schema:
    """The JSON Schema of a Python annotation, a port type, or itself.

    Raises:
        InvalidInput: If values of that annotation cannot travel between blocks.
    """
    if isinstance(source, Mapping):
        return dict(source)
    return to_schema(source if isinstance(source, Type) else type_of(source))
