"""Types, their JSON Schema, and the whole matrix of what may flow where."""

from __future__ import annotations

import pytest

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan.compat import at_path, compatible
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    BYTES,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    DictType,
    Field,
    FieldType,
    ListType,
    LiteralType,
    ObjectType,
    ScalarType,
    UnionType,
    VectorType,
    describe,
    from_schema,
    marked,
    optional,
    to_schema,
    union_of,
    without_null,
)

POINT = ObjectType({"x": Field(INTEGER), "y": Field(NUMBER, required=False)})
POINT_OPEN = ObjectType({"x": Field(INTEGER)}, closed=False)
KINDS = {
    "null": NULL,
    "boolean": BOOLEAN,
    "integer": INTEGER,
    "number": NUMBER,
    "string": STRING,
    "bytes": BYTES,
    "ab": LiteralType(("a", "b")),
    "one": LiteralType((1,)),
    "list": ListType(INTEGER),
    "dict": DictType(NUMBER),
    "object": POINT,
    "open": POINT_OPEN,
    "vector": VectorType(3),
    "vector any": VectorType(),
    "vector 64": VectorType(3, "float64"),
    "image": FieldType("image"),
    "table": FieldType("table"),
    "secret": FieldType("secret"),
    "optional": optional(INTEGER),
    "union": UnionType((INTEGER, STRING)),
}
FITS = {
    ("integer", "number"), ("ab", "string"), ("one", "integer"), ("one", "number"), ("object", "dict"),
    ("object", "open"), ("vector", "vector any"), ("image", "string"), ("null", "optional"),
    ("integer", "optional"), ("one", "optional"), ("integer", "union"), ("string", "union"), ("ab", "union"),
    ("one", "union"), ("image", "union"),
}  # fmt: skip


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_the_whole_matrix(source, target):
    fits = source == target or (source, target) in FITS
    mismatch = compatible(KINDS[source], KINDS[target])
    assert (mismatch is None) == fits
    if mismatch:
        assert mismatch.reason
        assert mismatch.expected
        assert mismatch.got


@pytest.mark.parametrize("kind", KINDS)
def test_anything_flows_into_any_and_out_of_it(kind):
    assert compatible(KINDS[kind], ANY) is None
    assert compatible(ANY, KINDS[kind]) is None


def test_a_number_never_becomes_an_integer_and_the_cure_says_so():
    mismatch = compatible(ListType(NUMBER), ListType(INTEGER))
    assert mismatch.place == "[]"
    assert "round" in mismatch.cure


@pytest.mark.parametrize(
    ("source", "target", "fits"),
    [
        (ObjectType({"x": Field(INTEGER)}), POINT, True),
        (ObjectType({"y": Field(NUMBER)}), POINT, False),
        (ObjectType({"x": Field(INTEGER, required=False)}), POINT, False),
        (ObjectType({"x": Field(INTEGER, required=False, default=1)}), POINT, True),
        (ObjectType({"x": Field(INTEGER), "z": Field(STRING)}), POINT, False),
        (ObjectType({"x": Field(INTEGER), "z": Field(STRING)}), POINT_OPEN, True),
        (POINT_OPEN, POINT, False),
        (POINT_OPEN, ObjectType({"x": Field(INTEGER), "y": Field(NUMBER, False)}, closed=False), False),
        (DictType(ANY), POINT, True),
        (DictType(INTEGER), POINT, False),
        (POINT_OPEN, DictType(INTEGER), False),
        (POINT_OPEN, DictType(ANY), True),
        (BOOLEAN, LiteralType((True, False)), True),
        (BOOLEAN, LiteralType((1, 0)), False),
        (LiteralType((True,)), LiteralType((1,)), False),
        (UnionType((LiteralType(("a",)), NULL)), optional(STRING), True),
        (LiteralType(("a", 1)), UnionType((STRING, INTEGER)), True),
        (LiteralType(()), VectorType(3), True),
        (ListType(DictType(INTEGER)), FieldType("table"), True),
        (ListType(INTEGER), FieldType("table"), False),
        (FieldType("table"), ListType(DictType(ANY)), True),
        (VectorType(), VectorType(3), False),
        (ListType(NUMBER), VectorType(), False),
        (VectorType(), ListType(NUMBER), False),
    ],
)
def test_finer_rules(source, target, fits):
    assert (compatible(source, target) is None) is fits


def secret(source):
    return marked(source, "secret")


@pytest.mark.parametrize(
    ("source", "target", "fits"),
    [
        (secret(STRING), STRING, False),
        (secret(STRING), secret(STRING), True),
        (secret(STRING), ANY, False),
        (secret(STRING), secret(ANY), True),
        (STRING, secret(STRING), True),
        (marked(STRING, "pii"), STRING, True),
        (ListType(secret(STRING)), ListType(STRING), False),
        (ListType(secret(STRING)), secret(ListType(STRING)), True),
        (secret(ListType(STRING)), ListType(secret(STRING)), False),
        (ObjectType({"k": Field(secret(STRING))}), ANY, False),
        (ObjectType({"x": Field(INTEGER), "k": Field(secret(STRING))}), POINT_OPEN, False),
        (secret(STRING), UnionType((STRING, secret(NULL))), False),
        (secret(BOOLEAN), UnionType((LiteralType((True,)), LiteralType((False,)))), False),
        (secret(ANY), optional(STRING), False),
        (secret(optional(STRING)), optional(STRING), False),
    ],
)
def test_a_secret_flows_only_where_it_is_masked(source, target, fits):
    mismatch = compatible(source, target)
    assert (mismatch is None) is fits
    if not fits:
        assert mismatch.code == "sensitivity"


def test_paths_reach_inside_and_take_marks_along():
    source = secret(ObjectType({"hits": Field(ListType(POINT)), "more": Field(DictType(STRING))}))
    assert at_path(source, ("hits", 0, "x")) == secret(INTEGER)
    assert at_path(source, ("more", "k")) == secret(STRING)
    assert at_path(POINT, ("y",)) == optional(NUMBER)
    assert at_path(ANY, ("a", 3)) == ANY
    assert at_path(POINT_OPEN, ("other",)) == ANY
    assert at_path(UnionType((POINT, DictType(STRING))), ("x",)) == UnionType((INTEGER, STRING))


@pytest.mark.parametrize(
    ("source", "path", "cure"),
    [
        (POINT, ("xx",), "'x'"),
        (optional(POINT), ("x",), "null"),
        (ListType(INTEGER), ("first",), "position"),
        (VectorType(3), (0,), "transform"),
        (STRING, (0,), ""),
    ],
)
def test_wrong_paths_say_what_there_is(source, path, cure):
    with pytest.raises(InvalidInput) as raised:
        at_path(source, path)
    assert raised.value.code == "unknown-field"
    assert cure in raised.value.cure


def test_unions_are_flat_and_any_takes_over():
    assert union_of((INTEGER, UnionType((NULL, INTEGER)))) == optional(INTEGER)
    assert union_of((secret(STRING), ANY)) == secret(ANY)
    assert union_of(()) == LiteralType(())
    assert without_null(optional(STRING)) == STRING
    assert without_null(NULL) == NULL


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (optional(ListType(optional(STRING))), "list of (string or null) or null"),
        (VectorType(384), "Vector[384, float32]"),
        (POINT, "object {x, y?}"),
        (POINT_OPEN, "object {x, …}"),
        (marked(STRING, "pii"), "pii string"),
        (LiteralType(("a", 1)), "one of 'a', 1"),
        (FieldType("image"), "Image"),
        (
            ObjectType({f"f{n}": Field(ANY) for n in range(20)}),
            "object {f0, f1, f2, f3, f4, f5, f6, f7, … 12 more}",
        ),
    ],
)
def test_descriptions_are_short(source, text):
    assert describe(source) == text


def test_schemas_of_others_are_read():
    assert from_schema({"type": ["string", "null"]}) == optional(STRING)
    assert from_schema({"const": "a"}) == LiteralType(("a",))
    assert from_schema({"type": "object"}) == DictType(ANY)
    assert from_schema({"oneOf": [{"type": "integer"}]}) == INTEGER


def test_what_is_not_enforced_is_refused_all_at_once():
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "minimum": 0},
            "b": {"$ref": "#/x"},
            "c": {"type": "strng"},
            "d": {"x-vector": {"dtype": "float31", "size": 0}},
        },
        "required": ["e"],
    }
    with pytest.raises(InvalidInput) as raised:
        from_schema(schema)
    assert {problem.port for problem in raised.value.problems} == {
        "properties.a.minimum",
        "properties.b.$ref",
        "properties.c.type",
        "properties.d.x-vector.dtype",
        "properties.d.x-vector.size",
        "required",
    }


def test_a_type_may_not_nest_for_ever():
    schema = {"type": "integer"}
    for _ in range(100):
        schema = {"type": "array", "items": schema}
    with pytest.raises(InvalidInput) as raised:
        from_schema(schema)
    assert raised.value.problems[0].code == "type-too-deep"


def test_extension_keys():
    assert to_schema(VectorType(2, "int8", sensitivity="pii")) == {
        "type": "array",
        "items": {"type": "integer"},
        "minItems": 2,
        "maxItems": 2,
        "x-vector": {"dtype": "int8", "size": 2},
        "x-sensitivity": "pii",
    }
    assert to_schema(ScalarType("bytes")) == {"type": "string", "contentEncoding": "base64"}
