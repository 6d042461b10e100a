"""The strict boundary: what comes in, what is refused and how it is said."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from algorail.engine.kit.errors import InvalidInput, LimitExceeded
from algorail.engine.plan.document import Input
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    BYTES,
    INTEGER,
    NUMBER,
    STRING,
    DictType,
    Field,
    ListType,
    LiteralType,
    ObjectType,
    UnionType,
    VectorType,
    marked,
    optional,
)
from algorail.engine.plan.values import compile_validator, decode, encode, input_decoder


def problems(call, *args):
    with pytest.raises(InvalidInput) as raised:
        call(*args)
    return {problem.port: problem for problem in raised.value.problems}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "invalid-json"),
        (b"{", "invalid-json"),
        (b"[1,]", "invalid-json"),
        (b"NaN", "invalid-json"),
        (b"-Infinity", "invalid-json"),
        (b"1e999", "not-finite"),
        (b"-1e999", "not-finite"),
        (b'"\\ud800"', "invalid-json"),
        (b'"\\ud800 and more"', "invalid-json"),
        (b'{"\\udfff": 1}', "invalid-json"),
        (b'"\xff"', "invalid-json"),
        (b'"\xed\xa0\x80"', "invalid-json"),
        (b"\xef\xbb\xbf1", "invalid-json"),
        (b"[" * 65 + b"]" * 65, "too-deep"),
        (b"[" * 200_000 + b"]" * 200_000, "too-deep"),
        (b'{"a":' * 66 + b"1" + b"}" * 66, "too-deep"),
    ],
)
def test_what_is_not_strict_json_is_refused(raw, code):
    with pytest.raises(InvalidInput) as raised:
        decode(raw)
    assert raised.value.problems[0].code == code


def test_limits_of_size():
    assert decode(b"[" * 64 + b"]" * 64) is not None
    many = json.dumps({str(number): 0 for number in range(10_001)}).encode()
    with pytest.raises(InvalidInput, match="too many keys"):
        decode(many)
    with pytest.raises(LimitExceeded, match="4194305 bytes"):
        decode(b" " * (4 * 1024 * 1024 + 1))
    assert len(decode(json.dumps([0] * 50_000).encode())) == 50_000


@pytest.mark.parametrize(
    ("source", "value", "code"),
    [
        (INTEGER, True, "wrong-type"),
        (NUMBER, False, "wrong-type"),
        (INTEGER, 1.0, "wrong-type"),
        (INTEGER, 2**63, "integer-too-large"),
        (NUMBER, -(2**63) - 1, "integer-too-large"),
        (ANY, [2**64], "integer-too-large"),
        (NUMBER, math.nan, "not-finite"),
        (ANY, {"a": math.inf}, "not-finite"),
        (STRING, "\ud800", "lone-surrogate"),
        (ANY, {"\ud800": 1}, "lone-surrogate"),
        (ANY, object(), "wrong-type"),
        (BOOLEAN, 1, "wrong-type"),
        (STRING, None, "wrong-type"),
        (BYTES, "no base64!", "wrong-type"),
        (VectorType(2), [1.0], "wrong-type"),
        (VectorType(2), [1.0, True], "wrong-type"),
        (VectorType(2), [1e39, 0.0], "wrong-type"),
        (VectorType(1, "uint8"), [256], "wrong-type"),
        (VectorType(1, "int32"), [0.5], "wrong-type"),
        (VectorType(1), np.zeros(1), "wrong-type"),
        (VectorType(1), np.zeros((1, 1), dtype="float32"), "wrong-type"),
    ],
)
def test_wrong_values(source, value, code):
    with pytest.raises(InvalidInput) as raised:
        compile_validator(source)(value)
    assert [problem.code for problem in raised.value.problems] == [code]


def test_plain_forms():
    array = compile_validator(VectorType(2))([1, 0.1])
    assert array.dtype == np.float32
    assert array.tolist() == [1.0, float(np.float32(0.1))]
    given = np.array([1, 2], dtype="float32")
    assert compile_validator(VectorType(2))(given) is given
    assert compile_validator(BYTES)("YWI=") == b"ab"
    assert compile_validator(optional(VectorType(1)))(None) is None
    assert type(compile_validator(NUMBER)(3)) is int


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_vectors_reach_to_the_ends_of_their_dtype(dtype):
    validate, largest = compile_validator(VectorType(2, dtype)), float(np.finfo(dtype).max)
    assert validate([largest, -largest]).tolist() == [largest, -largest]
    assert compile_validator(VectorType(dtype=dtype))([]).shape == (0,)
    for wrong in ([math.nan, 0], [math.inf, 0], [10**400, 0], ["1", 0], [None, 0], [True, 0]):
        with pytest.raises(InvalidInput):
            validate(wrong)
    if dtype != "float64":
        with pytest.raises(InvalidInput):
            validate([largest * 1.1, 0])


def test_validators_do_not_change_their_argument():
    source = ObjectType({"v": Field(VectorType(1)), "k": Field(ListType(INTEGER), False, [1])})
    value = {"v": [1.0]}
    validate = compile_validator(source)
    one, two = validate(value), validate(value)
    assert value == {"v": [1.0]}
    one["k"].append(2)
    assert two["k"] == [1]


INPUTS = {
    "question": Input(type=STRING),
    "k": Input(type=INTEGER, required=False, default=5),
    "user": Input(type=ObjectType({"age": Field(INTEGER), "email": Field(marked(STRING, "pii"))})),
    "tags": Input(type=ListType(UnionType((STRING, INTEGER))), required=False, default=[]),
    "extra": Input(type=DictType(ANY), required=False, default=None),
}


def test_inputs_get_their_defaults():
    read = input_decoder(INPUTS)
    body = b'{"question": "why", "user": {"age": 3, "email": "a@b"}}'
    assert read(body) == {
        "question": "why",
        "user": {"age": 3, "email": "a@b"},
        "k": 5,
        "tags": [],
        "extra": None,
    }
    read(body)["tags"].append(1)
    assert read(body)["tags"] == []


def test_all_problems_of_the_inputs_at_once():
    body = b'{"questoin": "x", "k": true, "user": {"age": "3", "email": 7}, "tags": ["a", null, 1.5]}'
    found = problems(input_decoder(INPUTS), body)
    assert found.keys() == {"question", "questoin", "k", "user.age", "user.email", "tags[1]", "tags[2]"}
    assert found["questoin"].cure == "did you mean 'question'?"
    assert found["k"].expected == "integer"
    assert found["k"].got == "boolean True"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ListType(INTEGER), ["4929 1234"]),
        (DictType(INTEGER), {"card": "4929 1234"}),
        (ObjectType({"card": Field(INTEGER)}), {"card": "4929 1234"}),
        (ObjectType({}, closed=False), {"card": ["4929 1234", {1}]}),
        (UnionType((INTEGER, ListType(INTEGER))), ["4929 1234"]),
        (ANY, ["4929 1234", {"4929 1234"}]),
    ],
)
def test_what_stands_inside_of_something_sensitive_is_not_repeated_either(kind, value):
    found = problems(compile_validator(marked(kind, "pii")), value)
    assert found
    assert "4929" not in str([*found.values()])


def test_sensitive_values_are_not_repeated_in_messages():
    found = problems(compile_validator(marked(STRING, "secret")), 123456)
    assert "123456" not in str(found[""])


def test_inputs_must_be_an_object():
    assert problems(input_decoder(INPUTS), b"[]")[""].code == "wrong-type"


def test_the_number_of_problems_is_bounded():
    with pytest.raises(InvalidInput) as raised:
        compile_validator(ListType(INTEGER))(["x"] * 10_000)
    assert len(raised.value.problems) == 100


def nested(depth, inner):
    for _ in range(depth):
        inner = [inner]
    return inner


def test_depth_of_anything():
    validate = compile_validator(ANY)
    assert validate(nested(64, 1)) == nested(64, 1)
    for deep in (nested(64, []), nested(65, 1)):
        with pytest.raises(InvalidInput) as raised:
            validate(deep)
        assert [problem.code for problem in raised.value.problems] == ["too-deep"]


def test_types_may_nest_deeper_than_python_lets_code_nest():
    source, value, wrong = VectorType(1), [1.0], ["x"]
    for level in range(40):
        if level % 2:
            source, value, wrong = (
                ObjectType({"a": Field(optional(source), False)}),
                {"a": value},
                {"a": wrong},
            )
        else:
            source, value, wrong = ListType(source), [value], [wrong]
    validate = compile_validator(source)
    assert encode(validate(value)) == encode(value)
    with pytest.raises(InvalidInput) as raised:
        validate(wrong)
    assert [problem.port.count("a") for problem in raised.value.problems] == [20]


def test_names_of_fields_are_never_code():
    names = ["'", '"', "\\", "a\nraise SystemExit", "{v}", "value", "c0", "check", "Rejected", ""]
    source = ObjectType(
        {name: Field(LiteralType((name,)), number % 2 == 0) for number, name in enumerate(names)}
    )
    validate = compile_validator(source)
    assert validate({name: name for name in names}) == {name: name for name in names}
    assert validate({name: name for name in names[::2]}) == {name: name for name in names[::2]}
    with pytest.raises(InvalidInput) as raised:
        validate(dict.fromkeys(names, "other"))
    assert len(raised.value.problems) == len(names)


def test_one_and_true_are_different_literals():
    for allowed, other in ((1, True), (True, 1), (0, False)):
        validate = compile_validator(LiteralType((allowed,)))
        assert validate(allowed) is allowed
        with pytest.raises(InvalidInput):
            validate(other)


def test_options_of_one_kind_are_tried_in_turn():
    cat = ObjectType({"kind": Field(LiteralType(("cat",))), "lives": Field(INTEGER)})
    dog = ObjectType({"kind": Field(LiteralType(("dog",))), "ears": Field(VectorType(2))})
    validate = compile_validator(UnionType((cat, dog, BYTES)))
    assert validate({"kind": "cat", "lives": 9})["lives"] == 9
    assert validate({"kind": "dog", "ears": [1, 2]})["ears"].tolist() == [1.0, 2.0]
    assert validate("YWI=") == b"ab"
    for wrong in ({"kind": "dog", "lives": 9}, {}, None, "?"):
        with pytest.raises(InvalidInput):
            validate(wrong)


def test_open_objects_keep_other_fields_and_look_into_them():
    source = ObjectType({"a": Field(INTEGER), "b": Field(INTEGER, False)}, closed=False)
    validate = compile_validator(source)
    assert validate({"a": 1, "z": [None]}) == {"a": 1, "z": [None]}
    assert problems(validate, {"a": 1, "z": {"y": math.nan}}).keys() == {"z.y"}
    assert problems(validate, {"a": 1, "b": None}).keys() == {"b"}


def test_keys_keep_the_order_they_came_in():
    source = ObjectType({"a": Field(BYTES), "b": Field(INTEGER, False, 1), "c": Field(STRING)})
    assert list(compile_validator(source)({"c": "x", "a": "YWI="})) == ["c", "a", "b"]


def test_encode():
    value = {
        "v": np.array([0.1, 1], dtype="float32"),
        "n": np.float32(0.5),
        "b": b"ab",
        "i": np.int64(3),
        "none": None,
        "deep": [{"x": [1, 2.5]}],
    }
    assert json.loads(encode(value)) == {
        "v": [0.1, 1.0], "n": 0.5, "b": "YWI=", "i": 3, "none": None, "deep": [{"x": [1, 2.5]}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"a": [1.0, math.nan]}, "not-finite"),
        ([math.inf], "not-finite"),
        (np.array([1, np.nan], dtype="float32"), "not-finite"),
        (np.float64("nan"), "not-finite"),
        ("\ud800", "lone-surrogate"),
        ({"x": object()}, "not-json"),
        (np.array(["a"]), "not-json"),
    ],
)
def test_encode_refuses_what_json_cannot_say(value, code):
    with pytest.raises(InvalidInput) as raised:
        encode(value)
    assert raised.value.code == code
