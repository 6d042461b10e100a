"""Expressions: what they give, how they are typed, and what is refused with which cure."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorail.engine.kit.errors import ConfigInvalid, InvalidInput, LimitExceeded
from algorail.engine.lang.cel import MAX_LENGTH, compile_cel
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    BYTES,
    INTEGER,
    NUMBER,
    STRING,
    DictType,
    Field,
    FieldType,
    ListType,
    LiteralType,
    ObjectType,
    ScalarType,
    VectorType,
    marked,
    optional,
)

HIT = ObjectType({"score": Field(NUMBER), "id": Field(STRING), "note": Field(STRING, required=False)})
VARS = {
    "score": NUMBER,
    "k": INTEGER,
    "label": STRING,
    "on": BOOLEAN,
    "raw": BYTES,
    "hit": HIT,
    "hits": ListType(HIT),
    "counts": DictType(INTEGER),
    "vector": VectorType(3),
    "maybe": optional(NUMBER),
    "kind": LiteralType(("a", "b")),
    "free": ANY,
    "wanted": ListType(STRING),
    "email": marked(STRING, "pii"),
    "token": FieldType("secret"),
}
VALUES = {
    "score": 1,
    "k": 3,
    "label": "seven",
    "on": True,
    "raw": b"a\0b",
    "hit": {"score": 1, "id": "a"},
    "hits": [{"score": 0.5, "id": "a"}, {"score": 2, "id": "b", "note": "x"}],
    "counts": {"x": 2},
    "vector": np.array([1, 2, 3], dtype=np.float32),
    "maybe": None,
    "kind": "a",
    "free": {"deep": [1, {"y": np.float32(2)}]},
    "wanted": ["b", "c"],
    "email": "me@example.com",
    "token": "reference",
}


@pytest.mark.parametrize(
    ("text", "type", "value"),
    [
        ("score > 0.7 && label == 'seven'", BOOLEAN, True),
        ("k + 1", INTEGER, 4),
        ("double(k) / 2.0", NUMBER, 1.5),
        ("label + '!'", STRING, "seven!"),
        ("raw", BYTES, b"a\0b"),
        ("raw + b'c'", BYTES, b"a\0bc"),
        ("on ? label : 'no'", STRING, "seven"),
        ("hit.score * 2.0", NUMBER, 2.0),
        ("hit.id", STRING, "a"),
        ("hit", HIT, {"score": 1, "id": "a"}),
        ("hits[1].id", STRING, "b"),
        ("hits.exists(h, h.score > 1.5)", BOOLEAN, True),
        ("hits.all(h, has(h.note))", BOOLEAN, False),
        ("hits.exists_one(h, h.id in wanted)", BOOLEAN, True),
        ("hits.exists(h, wanted.exists(w, w == h.id))", BOOLEAN, True),
        ("has(hit.note)", BOOLEAN, False),
        ("counts.x", INTEGER, 2),
        ("'x' in counts", BOOLEAN, True),
        ("size(hits)", INTEGER, 2),
        ("vector[2]", NUMBER, 3.0),
        ("maybe == null || maybe > 0.5", BOOLEAN, True),
        ("kind == 'b'", BOOLEAN, False),
        ("free.deep[1].y > 1.0", BOOLEAN, True),
        ("label.matches('^s.*n$')", BOOLEAN, True),
        ("[k, 1]", ListType(INTEGER), [3, 1]),
        ("{'k': k}", DictType(INTEGER), {"k": 3}),
        ("null", ScalarType("null"), None),
        ("label.startsWith('s') || 1 / 0 > 0", BOOLEAN, True),
    ],
)
def test_value_and_type(text, type, value):
    program = compile_cel(text, VARS)
    assert program.type == type
    assert program(VALUES) == value
    assert program(**VALUES) == value


def test_an_array_passes_as_it_is():
    program = compile_cel("vector", VARS)
    assert program.type == VectorType(3)
    assert program(VALUES) is VALUES["vector"]


@pytest.mark.parametrize(
    ("text", "code", "says", "cure"),
    [
        ("score > 1", "cel-type", "line 1, column 7", "1.0"),
        ("k == 1.0", "cel-type", "(int, double)", "double("),
        ("label > 1", "cel-type", "(string, int)", "convert"),
        ("k ? 1 : 2", "cel-type", "? :", "boolean"),
        ("lable", "cel-undefined", "'lable'", "did you mean 'label'"),
        ("hit.scoer", "cel-undefined", "hit has no field 'scoer'", "did you mean 'score'"),
        ("siz(hits)", "cel-undefined", "'siz'", "did you mean 'size'"),
        ("label.lower()", "cel-undefined", "'lower'", "(?i)"),
        ("True", "cel-undefined", "'True'", "true"),
        ("len(hits)", "cel-undefined", "'len'", "size"),
        ("on and k", "cel-syntax", "line 1, column 4", "&&"),
        ("not on", "cel-syntax", "'on'", "!"),
        ("k +", "cel-syntax", "end of the expression", ""),
        ("", "cel-syntax", "end of the expression", ""),
        ("k\n + nope", "cel-undefined", "line 2, column 4", ""),
        ("hits.map(h, h.id)", "cel-forbidden", "map() and filter()", "exists()"),
        ("hits.filter(h, true)", "cel-forbidden", "map() and filter()", "transform"),
        ("label.matches(label)", "cel-forbidden", "constant", "string"),
        ("'a\\u0000b'", "cel-forbidden", "U+0000", "remove"),
        ("token", "cel-forbidden", "secret", "reference"),
        ("timestamp('2020-01-01T00:00:00Z')", "cel-type", "timestamp", "string("),
        ("type(k)", "cel-type", "type", ""),
        ("(" * 50 + "1" + ")" * 50, "cel-limit", "deeply", ""),
        ("+".join(["k"] * 100), "cel-limit", "deeply", ""),
        ("x" * (MAX_LENGTH + 1), "cel-limit", "1000", "split"),
        (
            "hits.all(h, " + " && ".join(["h.id in wanted"] * 5) + ")",
            "cel-forbidden",
            "more than 4",
            "transform",
        ),
        ("hits.all(h, ", "cel-syntax", "end of the expression", ""),
    ],
)
def test_refused_with_place_and_cure(text, code, says, cure):
    with pytest.raises(ConfigInvalid) as caught:
        compile_cel(text, VARS)
    assert caught.value.code == code
    assert says in str(caught.value.problems[0])
    assert cure in caught.value.problems[0].cure


def test_all_problems_at_once():
    with pytest.raises(ConfigInvalid) as caught:
        compile_cel("nope + nada", VARS)
    assert [
        "'nope'" in problem.message or "'nada'" in problem.message for problem in caught.value.problems
    ] == [True] * 2


@pytest.mark.parametrize(
    ("text", "says", "cure"),
    [
        ("k / 0", "divide by zero", ""),
        ("hits[7].id", "index=7", ""),
        ("counts.nope", "nope", "has("),
        ("maybe > 0.5", "null", "!= null"),
        ("free.deep[0] + 0.5", "int, double", "double("),
        ("9223372036854775807 + k", "overflow", ""),
        ("int(label)", "convert", ""),
    ],
)
def test_an_expression_without_a_value_is_a_failure(text, says, cure):
    with pytest.raises(InvalidInput) as caught:
        compile_cel(text, VARS)(VALUES)
    assert caught.value.code == "cel-failed"
    assert says in caught.value.message
    assert cure in caught.value.cure


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("label == 'a'", {"label": "a\0b"}),
        ("counts.x == 1", {"counts": {"x\0y": 1, "x": 1}}),
        ("label", {}),
        ("hit.id == 'a'", {"hit": {"score": 1.0}}),
        ("hit.id == 'a'", {"hit": None}),
        ("score > 0.5", {"score": "x"}),
        ("label + ''", {"label": "\ud800"}),
        ("free == 1", {"free": object()}),
        ("free == 1", {"free": np.zeros((2, 2))}),
        ("free == 1", {"free": 2**70}),
        ("k + 1", {"k": 2**70}),
    ],
)
def test_values_that_do_not_fit_are_refused(text, values):
    with pytest.raises(InvalidInput):
        compile_cel(text, VARS)(values)


def test_a_value_that_nests_deeply_is_refused_before_the_library_sees_it():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidInput, match="64 deep"):
        compile_cel("size(free)", VARS)(free=deep)


def test_loops_end():
    long = list(range(10_001))
    program = compile_cel("all.all(x, x >= 0)", {"all": ListType(INTEGER)})
    assert program(all=long[:9_000]) is True
    with pytest.raises(LimitExceeded) as caught:
        program(all=long)
    assert caught.value.code == "cel-limit"
    nested = compile_cel("all.all(x, all.all(y, x + y >= 0))", {"all": ListType(INTEGER)})
    with pytest.raises(LimitExceeded):
        nested(all=long[:9_000])


@pytest.mark.parametrize(
    "outer", [list(range(1_001)), "x" * 65_000, {str(n): n for n in range(600)}, [["x"] * 600] * 2]
)
def test_what_a_loop_searches_in_every_round_is_small(outer):
    program = compile_cel(
        "items.exists(i, size(string(i) + string(size(outer))) < 0)", {"items": ListType(ANY), "outer": ANY}
    )
    assert program(items=[1], outer=[1]) is False
    with pytest.raises(LimitExceeded, match="outer is too large"):
        program(items=[1], outer=outer)


def test_free_variables_and_scopes():
    assert compile_cel("hit.score > 0.5 && on", VARS).free_variables == {"hit", "on"}
    assert compile_cel("hits.exists(label, label.id == 'a')", VARS).free_variables == {"hits"}
    assert compile_cel("1 + 1", VARS).free_variables == frozenset()


def test_only_what_is_read_is_needed():
    assert compile_cel("hit.id == 'a'", VARS)({"hit": {"id": "a", "other": object()}}) is True


@pytest.mark.parametrize(
    ("text", "sensitivity"),
    [("email", "pii"), ("email + 'x'", "pii"), ("email.endsWith('com')", ""), ("label", "")],
)
def test_sensitivity_follows_the_value(text, sensitivity):
    assert compile_cel(text, VARS).type.sensitivity == sensitivity


def test_compiled_once():
    assert compile_cel("k + 2", {"k": INTEGER}) is compile_cel("k + 2", {"k": INTEGER})
    assert compile_cel("k + 2", {"k": INTEGER}) is not compile_cel("k + 2", {"k": INTEGER, "j": INTEGER})


def test_threads_share_a_program():
    program = compile_cel("hits.exists(h, h.score > limit)", {"hits": ListType(HIT), "limit": NUMBER})
    wrong = []

    def work(limit):
        for _ in range(200):
            if program(hits=VALUES["hits"], limit=limit) is not (limit < 2):
                wrong.append(limit)

    threads = [threading.Thread(target=work, args=(limit,)) for limit in (0.1, 1.9, 2.0, 3.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@given(st.text(max_size=60))
def test_any_text_compiles_or_is_refused(text):
    try:
        program = compile_cel(text, {"a": INTEGER, "b": STRING})
    except ConfigInvalid:
        return
    assert program.free_variables <= {"a", "b"}


@given(st.integers(-(2**31), 2**31), st.integers(-(2**31), 2**31))
def test_arithmetic_is_that_of_integers(a, b):
    vars = {"a": INTEGER, "b": INTEGER}
    assert compile_cel("a * 2 + b", vars)(a=a, b=b) == a * 2 + b
    assert compile_cel("a < b", vars)(a=a, b=b) is (a < b)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
def test_text_passes_unchanged(text):
    assert compile_cel("b + ''", {"b": STRING})(b=text) == text
