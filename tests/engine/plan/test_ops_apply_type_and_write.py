"""Operators: the function, the source and the typing rule of each agree, and nothing grows without bound."""

from __future__ import annotations

import pytest

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan.check_bindings import type_of_value
from algorail.engine.plan.ops import HELPERS, OPERATORS, operator_named
from algorail.engine.plan.types import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    DictType,
    Field,
    ListType,
    ObjectType,
    VectorType,
    marked,
    optional,
)
from algorail.engine.plan.values import compile_validator

EXAMPLES = [
    ("==", (1, 1.0), True), ("!=", ("a", "b"), True), ("<", (1, 2.5), True), ("<=", ("a", "b"), True),
    (">", (1, 2), False), (">=", (2, 2), True), ("and", (True, False, True), False), ("or", (False, True), True),
    ("not", (True,), False), ("+", (1, 2), 3), ("+", ("a", "b"), "ab"), ("+", ([1], [2]), [1, 2]),
    ("-", (1, 2), -1), ("*", (3, 0.5), 1.5), ("/", (1, 2), 0.5), ("//", (7, 2), 3), ("%", (7, 2), 1),
    ("neg", (3,), -3), ("in", (1, [1, 2]), True), ("in", ("a", {"a": 1}), True), ("in", ("a", "cat"), True),
    ("not in", (3, [1, 2]), True), ("[]", ([1, 2], 1), 2), ("[]", ({"a": 5}, "a"), 5),
    ("get", ({"a": 5}, "a", 0), 5), ("len", ("abc",), 3), ("abs", (-2,), 2), ("round", (2.6,), 3),
    ("round", (2.345, 1), 2.3), ("min", (3, 1, 2), 1), ("max", (3, 1.5), 3), ("str", (True,), "true"),
    ("str", (1.5,), "1.5"), ("float", (3,), 3.0), ("coalesce", (None, 4), 4),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "expected"), EXAMPLES)
def test_function_source_and_type_agree(name, args, expected):
    found = operator_named(name)
    names = [f"a{index}" for index in range(len(args))]
    source = found.source(names)
    written = eval(source, {**HELPERS, **dict(zip(names, args, strict=True))})
    assert found.apply(*args) == written == expected
    assert type(found.apply(*args)) is type(written) is type(expected)
    compile_validator(found.result([type_of_value(arg) for arg in args]))(expected)


def test_every_operator_has_an_example():
    assert {name for name, _, _ in EXAMPLES} == OPERATORS.keys()
    assert all(each.summary and each.arity[0] <= each.arity[1] for each in OPERATORS.values())


@pytest.mark.parametrize(
    ("name", "args", "code"),
    [
        ("*", ("a", 3), "type-mismatch"),
        ("*", ([1], 3), "type-mismatch"),
        ("*", (True, 3), "type-mismatch"),
        ("*", (2**40, 2**40), "integer-too-large"),
        ("+", (2**63 - 1, 1), "integer-too-large"),
        ("*", (1e300, 1e300), "not-finite"),
        ("+", ("x" * 600_000, "x" * 600_000), "too-long"),
        ("/", (1, 0), "division-by-zero"),
        ("%", (1, 0), "division-by-zero"),
        ("[]", ([1], 5), "no-such-item"),
        ("[]", ("abc", 0), "type-mismatch"),
        ("len", (3,), "type-mismatch"),
        ("in", (1, 2), "type-mismatch"),
        ("round", (1.5, 10_000), "wrong-value"),
        ("float", (2**60,), "type-mismatch"),
        ("str", (None,), "type-mismatch"),
        ("neg", ("a",), "type-mismatch"),
        ("min", (1, "a"), "type-mismatch"),
    ],
)
def test_bounded_and_clear_when_wrong(name, args, code):
    with pytest.raises(InvalidInput) as raised:
        OPERATORS[name].apply(*args)
    assert raised.value.code == code


def test_there_is_no_power_and_no_repetition():
    with pytest.raises(InvalidInput) as raised:
        operator_named("**")
    assert raised.value.code == "unknown-operator"
    for args in ((STRING, INTEGER), (ListType(INTEGER), INTEGER)):
        with pytest.raises(InvalidInput):
            OPERATORS["*"].result(args)


ROW = ObjectType({"a": Field(INTEGER), "b": Field(STRING)})


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("+", (INTEGER, INTEGER), INTEGER),
        ("+", (INTEGER, NUMBER), NUMBER),
        ("/", (INTEGER, INTEGER), NUMBER),
        ("<", (STRING, STRING), BOOLEAN),
        ("[]", (ROW, type_of_value("b")), STRING),
        ("[]", (ListType(ROW), INTEGER), ROW),
        ("get", (DictType(INTEGER), STRING, INTEGER), INTEGER),
        ("round", (NUMBER,), INTEGER),
        ("round", (NUMBER, INTEGER), NUMBER),
        ("coalesce", (optional(STRING), STRING), STRING),
        ("coalesce", (optional(STRING), optional(STRING)), optional(STRING)),
        ("len", (VectorType(3),), INTEGER),
        ("+", (marked(STRING, "pii"), STRING), marked(STRING, "pii")),
        ("==", (marked(STRING, "secret"), marked(STRING, "pii")), marked(BOOLEAN, "secret")),
    ],
)
def test_typing_rules(name, args, expected):
    assert OPERATORS[name].result(args) == expected


@pytest.mark.parametrize(
    ("name", "args", "cure"),
    [
        ("+", (optional(INTEGER), INTEGER), "coalesce"),
        ("<", (INTEGER, STRING), ""),
        ("==", (INTEGER, STRING), ""),
        ("==", (VectorType(3), VectorType(3)), ""),
        ("and", (BOOLEAN, INTEGER), ""),
        ("in", (STRING, ListType(INTEGER)), ""),
        ("[]", (ListType(INTEGER), STRING), ""),
        ("[]", (ROW, type_of_value("c")), "choose from a, b"),
    ],
)
def test_wrong_types(name, args, cure):
    with pytest.raises(InvalidInput) as raised:
        OPERATORS[name].result(args)
    assert cure in raised.value.cure
