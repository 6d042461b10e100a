"""Types as JSON Schema (draft 2020-12) and back.

Three extension keys carry what JSON Schema has no word for:

    x-vector       {"dtype": "float32", "size": 384}; `size` is left out when it may be any
    x-field        "image", "table" or "secret"
    x-sensitivity  "pii" or "secret"

What Algorail would not enforce (`minimum`, `pattern`, `$ref` …) is refused, not ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan.shape import Reader, at_key, did_you_mean, kind_of, short
from algorail.engine.plan.types.model import (
    ABSENT,
    ANY,
    DTYPES,
    AnyType,
    DictType,
    Dtype,
    Field,
    FieldType,
    ListType,
    LiteralType,
    ObjectType,
    ScalarType,
    Sensitivity,
    Type,
    UnionType,
    VectorType,
    union_of,
)

_SCALARS = ("null", "boolean", "integer", "number", "string")
_FIELD_SHAPES: Mapping[str, dict[str, Any]] = {
    "image": {"type": "string", "contentEncoding": "base64"},
    "table": {"type": "array", "items": {"type": "object"}},
    "secret": {"type": "string"},
}
_NOTES = frozenset({"title", "description", "default", "examples", "x-sensitivity"})
_KEYS: Mapping[str, frozenset[str]] = {
    "any": frozenset(),
    "scalar": frozenset({"type", "contentEncoding"}),
    "literal": frozenset({"type", "enum", "const"}),
    "union": frozenset({"anyOf", "oneOf"}),
    "list": frozenset({"type", "items"}),
    "object": frozenset({"type", "properties", "required", "additionalProperties"}),
    "vector": frozenset({"type", "items", "minItems", "maxItems", "x-vector"}),
    "field": frozenset({"type", "items", "contentEncoding", "x-field"}),
}
_MARKS: tuple[Sensitivity, ...] = ("pii", "secret")
MAX_TYPE_DEPTH = 32
"""How deep a type may nest."""


def to_schema(source: Type) -> dict[str, Any]:
    """The type as JSON Schema.

    >>> from algorail.engine.plan.types import INTEGER, optional
    >>> to_schema(optional(INTEGER))
    {'anyOf': [{'type': 'integer'}, {'type': 'null'}]}
    """
    schema = _shape(source)
    if source.sensitivity:
        schema["x-sensitivity"] = source.sensitivity
    if source.doc:
        schema["description"] = source.doc
    return schema


def _shape(source: Type) -> dict[str, Any]:  # noqa: PLR0911 - one line for each kind of type
    match source:
        case AnyType():
            return {}
        case ScalarType(name=name):
            return {"type": "string", "contentEncoding": "base64"} if name == "bytes" else {"type": name}
        case LiteralType(values=values):
            return {"enum": list(values)}
        case ListType(item=item):
            return {"type": "array", "items": to_schema(item)}
        case DictType(value=value):
            return {"type": "object", "additionalProperties": to_schema(value)}
        case UnionType(options=options):
            return {"anyOf": [to_schema(option) for option in options]}
        case VectorType():
            return _vector(source)
        case FieldType(name=field_name):
            return {**_FIELD_SHAPES[field_name], "x-field": field_name}
        case _:
            return _object(source)


def _vector(source: VectorType) -> dict[str, Any]:
    number = "number" if source.dtype.startswith("float") else "integer"
    schema: dict[str, Any] = {"type": "array", "items": {"type": number}}
    if source.size is None:
        return {**schema, "x-vector": {"dtype": source.dtype}}
    bounds = {"minItems": source.size, "maxItems": source.size}
    return {**schema, **bounds, "x-vector": {"dtype": source.dtype, "size": source.size}}


def _object(source: ObjectType) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    if source.title:
        schema["title"] = source.title
    schema["properties"] = {name: _member(member) for name, member in source.fields.items()}
    required = sorted(name for name, member in source.fields.items() if member.required)
    if required:
        schema["required"] = required
    schema["additionalProperties"] = not source.closed
    return schema


def _member(member: Field) -> dict[str, Any]:
    schema = to_schema(member.type)
    return schema if member.default is ABSENT else {**schema, "default": member.default}


def from_schema(schema: Mapping[str, Any]) -> Type:
    """The type that a JSON Schema means.

    Raises:
        InvalidInput: With every problem, if the schema says what the types of Algorail cannot.
    """
    reader = Reader()
    found = read_type(dict(schema), "", reader)
    if reader.problems:
        raise InvalidInput("this JSON Schema is not a type of Algorail", problems=reader.problems)
    return found


def read_type(schema: Any, place: str, reader: Reader, depth: int = 0) -> Type:
    """The type of a schema; problems go to the reader, and `Any` stands for what could not be read."""
    if schema is True:
        return ANY
    if not isinstance(schema, dict):
        reader.wrong_type(place, "object (a JSON Schema)", schema)
        return ANY
    if depth > MAX_TYPE_DEPTH:
        reader.problem(
            "type-too-deep", f"types may nest {MAX_TYPE_DEPTH} deep", place, cure="use an open object or any"
        )
        return ANY
    form = _form(schema)
    if not _known_keys(schema, place, reader, _NOTES | _KEYS[form]):
        return ANY
    found = _READERS[form](schema, place, reader, depth)
    return _with_notes(found, schema, place, reader)


def _form(schema: Mapping[str, Any]) -> str:  # noqa: PLR0911 - one line for each form
    if "x-vector" in schema:
        return "vector"
    if "x-field" in schema:
        return "field"
    if "enum" in schema or "const" in schema:
        return "literal"
    if "anyOf" in schema or "oneOf" in schema:
        return "union"
    match schema.get("type"):
        case "array":
            return "list"
        case "object":
            return "object"
        case None:
            return "any"
        case _:
            return "scalar"


def _known_keys(schema: Mapping[str, Any], place: str, reader: Reader, allowed: frozenset[str]) -> bool:
    unknown = [str(key) for key in schema if key not in allowed]
    for key in unknown:
        reader.problem(
            "unsupported-schema",
            f"{key!r} is not enforced here, so it is not accepted",
            at_key(place, key),
            got=key,
            cure="check it in a block, whose model may hold any rule"
            if key != "$ref"
            else "write the type out",
        )
    return not unknown


def _with_notes(found: Type, schema: Mapping[str, Any], place: str, reader: Reader) -> Type:
    if "x-sensitivity" in schema:
        mark: Sensitivity = reader.choice(
            schema["x-sensitivity"], at_key(place, "x-sensitivity"), ("pii", "secret"), "secret"
        )
        found = replace(found, sensitivity=mark)
    if "description" in schema:
        found = replace(found, doc=reader.text(schema["description"], at_key(place, "description")))
    return found


def _read_any(_schema: dict[str, Any], _place: str, _reader: Reader, _depth: int) -> Type:
    return ANY


def _read_scalar(schema: dict[str, Any], place: str, reader: Reader, depth: int) -> Type:
    name = schema["type"]
    if isinstance(name, list) and name:
        parts = [{**schema, "type": part} for part in name]
        return union_of(read_type(part, place, reader, depth + 1) for part in parts)
    if not isinstance(name, str) or name not in _SCALARS:
        choices = (*_SCALARS, "array", "object")
        reader.problem(
            "wrong-value",
            f"{short(name)} is not a type",
            at_key(place, "type"),
            expected=", ".join(choices),
            got=short(name),
            cure=did_you_mean(str(name), choices),
        )
        return ANY
    if "contentEncoding" not in schema:
        return ScalarType(name)  # type: ignore[arg-type]
    if name != "string" or schema["contentEncoding"] != "base64":
        reader.problem(
            "unsupported-schema",
            "only a base64 string is known",
            at_key(place, "contentEncoding"),
            expected="base64",
            got=short(schema["contentEncoding"]),
        )
    return ScalarType("bytes")


def _read_literal(schema: dict[str, Any], place: str, reader: Reader, _depth: int) -> Type:
    key = "enum" if "enum" in schema else "const"
    values = schema["enum"] if key == "enum" else [schema["const"]]
    if not isinstance(values, list) or not values:
        reader.wrong_type(at_key(place, key), "list of at least one value", values)
        return ANY
    for index, value in enumerate(values):
        if not isinstance(value, str | int | bool | None):
            reader.wrong_type(at_key(at_key(place, key), index), "string, integer, boolean or null", value)
    return LiteralType(tuple(values))


def _read_union(schema: dict[str, Any], place: str, reader: Reader, depth: int) -> Type:
    key = "anyOf" if "anyOf" in schema else "oneOf"
    options = [
        read_type(item, at, reader, depth + 1) for at, item in reader.items(schema[key], at_key(place, key))
    ]
    if not options:
        reader.problem("wrong-value", "a union needs at least one option", at_key(place, key))
        return ANY
    return options[0] if len(options) == 1 else UnionType(tuple(options))


def _read_list(schema: dict[str, Any], place: str, reader: Reader, depth: int) -> Type:
    return ListType(read_type(schema.get("items", True), at_key(place, "items"), reader, depth + 1))


def _read_object(schema: dict[str, Any], place: str, reader: Reader, depth: int) -> Type:
    rest = schema.get("additionalProperties", True)
    if "properties" not in schema:
        at = at_key(place, "additionalProperties")
        if rest is False:
            return ObjectType({}, title=str(schema.get("title", "")))
        return DictType(read_type(rest, at, reader, depth + 1))
    if not isinstance(rest, bool):
        reader.wrong_type(at_key(place, "additionalProperties"), "boolean (next to properties)", rest)
    at = at_key(place, "properties")
    found = reader.mapping(schema["properties"], at)
    required = _required(schema, place, reader, found)
    fields = {
        name: Field(
            read_type(item, at_key(at, name), reader, depth + 1),
            required=name in required,
            default=item.get("default", ABSENT)
            if isinstance(item, dict) and name not in required
            else ABSENT,
        )
        for name, item in found.items()
    }
    title = reader.maybe(schema, "title", place, reader.text, "")
    return ObjectType(fields, closed=rest is False, title=title)


def _required(schema: dict[str, Any], place: str, reader: Reader, found: Mapping[str, Any]) -> set[str]:
    at = at_key(place, "required")
    names = {reader.text(name, where) for where, name in reader.items(schema.get("required", []), at)}
    for name in sorted(names - found.keys()):
        reader.problem(
            "unknown-field",
            f"{name!r} is required but not described",
            at,
            got=name,
            cure=did_you_mean(name, found),
        )
    return names


def _read_vector(schema: dict[str, Any], place: str, reader: Reader, _depth: int) -> Type:
    at = at_key(place, "x-vector")
    found = reader.record(schema["x-vector"], at, ("dtype", "size"))
    dtype: Dtype = reader.choice(found.get("dtype", "float32"), at_key(at, "dtype"), DTYPES, "float32")
    size = found.get("size")
    if size is not None and (type(size) is not int or size < 1):
        reader.problem(
            "wrong-value",
            f"the size of a vector must be 1 or more, is {kind_of(size)} {short(size)}",
            at_key(at, "size"),
            expected="integer >= 1",
            got=short(size),
        )
        size = None
    return VectorType(size, dtype)


def _read_field(schema: dict[str, Any], place: str, reader: Reader, _depth: int) -> Type:
    names = ("image", "table", "secret")
    return FieldType(reader.choice(schema["x-field"], at_key(place, "x-field"), names, "image"))  # type: ignore[arg-type]


_READERS = {
    "any": _read_any,
    "scalar": _read_scalar,
    "literal": _read_literal,
    "union": _read_union,
    "list": _read_list,
    "object": _read_object,
    "vector": _read_vector,
    "field": _read_field,
}
