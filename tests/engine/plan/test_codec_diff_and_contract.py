"""Reading and writing plans, what counts as a change, and what breaks a caller."""

from __future__ import annotations

import msgspec
import pytest

from algorail.engine.kit.errors import LimitExceeded, PlanInvalid
from algorail.engine.plan.codec import (
    MAX_BYTES,
    content_hash,
    from_dict,
    from_json,
    from_yaml,
    to_dict,
    to_json,
    to_yaml,
)
from algorail.engine.plan.contract import contract_change
from algorail.engine.plan.diff import diff
from algorail.engine.plan.document import Input, Value
from algorail.engine.plan.picture import mermaid, svg
from algorail.engine.plan.types import (
    ANY,
    INTEGER,
    NUMBER,
    STRING,
    Field,
    LiteralType,
    ObjectType,
    marked,
    optional,
)
from algorail.engine.plan.yaml_text import dump_yaml, load_yaml

TEXT = """\
schema: algorail/plan@1
name: greet
inputs:
  name:
    type: string
  k:
    type: integer
    default: 5
output:
  type: string
nodes:
- id: said
  kind: shout@1
  inputs:
    text:
      ref: name
  retry:
    attempts: 2
result:
  ref: said
ui:
  positions:
    said:
    - 0
    - 10
"""
PLAN = from_yaml(TEXT)


def test_yaml_is_written_as_it_was_read():
    assert to_yaml(PLAN) == TEXT
    assert from_json(to_json(PLAN)) == PLAN


def test_the_hash_is_fixed_for_ever():
    expected = "8d8022735c825cc5bb33b8eaf8b9ee64239c6e2894daa62f55a36bbca024ff0a"
    assert content_hash(PLAN) == expected
    assert content_hash(msgspec.structs.replace(PLAN, ui={})) == expected


@pytest.mark.parametrize("change", [{"doc": "x"}, {"name": "other"}, {"timeout": 1.0}, {"result": Value(1)}])
def test_everything_else_changes_the_hash(change):
    assert content_hash(msgspec.structs.replace(PLAN, **change)) != content_hash(PLAN)


def test_one_and_one_point_zero_are_two_values():
    hashes = {
        content_hash(msgspec.structs.replace(PLAN, result=Value(value))) for value in (1, 1.0, True, "1")
    }
    assert len(hashes) == 4


def test_all_problems_of_shape_at_once():
    document = {
        "name": 3,
        "inputs": {"a": {"type": "strin"}},
        "output": {"type": "string"},
        "nodes": [
            {"id": "x", "kinds": "k@1", "inputs": {"p": {"reff": "a"}, "q": 3, "r": {"op": "+", "args": 1}}},
            {
                "id": "y",
                "kind": "k@1",
                "retry": {"attempts": "3", "often": 1},
                "timeout": True,
                "record": "half",
            },
            7,
        ],
        "reslt": {"ref": "x"},
    }
    with pytest.raises(PlanInvalid) as raised:
        from_dict(document)
    places = {(problem.node, problem.port) for problem in raised.value.problems}
    assert places == {
        ("", "name"), ("", "inputs.a.type"), ("", "reslt"), ("", ""), ("x", "nodes[0].kinds"), ("x", "nodes[0]"),
        ("x", "nodes[0].inputs.p"), ("x", "nodes[0].inputs.q"), ("x", "nodes[0].inputs.r.args"),
        ("y", "nodes[1].retry.attempts"), ("y", "nodes[1].retry.often"), ("y", "nodes[1].timeout"),
        ("y", "nodes[1].record"), ("", "nodes[2]"),
    }  # fmt: skip
    cures = {problem.port: problem.cure for problem in raised.value.problems}
    assert cures["reslt"] == "did you mean 'result'?"


def test_another_schema_is_refused():
    with pytest.raises(PlanInvalid, match="algorail/plan@1"):
        from_dict({**to_dict(PLAN), "schema": "algorail/plan@9"})


def test_limits_of_documents():
    document = to_dict(PLAN)
    with pytest.raises(PlanInvalid, match="2001 nodes"):
        from_dict({**document, "nodes": document["nodes"] * 2_001})
    with pytest.raises(LimitExceeded):
        from_yaml(b" " * (MAX_BYTES + 1))
    binding = {"ref": "name"}
    for _ in range(60):
        binding = {"list": [binding]}
    with pytest.raises(PlanInvalid, match="nest 32 deep"):
        from_dict({**document, "result": binding})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1\nb: *x", "line 1, column 4: anchors and aliases"),
        ("a: !!python/object/apply:os.system [ls]", "the tag"),
        ("a: !x 1", "the tag"),
        ("a: 1\na: 2", "line 2, column 1: the key 'a' stands twice"),
        ("[" * 5_000, "nests more than 100 deep"),
        ("a: [", "expected"),
        ("- 1", "must be an object"),
        ("a: 1\n---\nb: 2", "another document"),
    ],
)
def test_hostile_and_broken_yaml(text, message):
    with pytest.raises(PlanInvalid) as raised:
        from_yaml(text)
    assert message in str(raised.value)


def test_yaml_has_no_surprises():
    text = b"a: no\nb: 1_000\nc: 2020-01-01\nd: 1e5\ne: .inf\nf: 012\ng:\nh: true\ni: 0x10\nj: -1.5"
    assert load_yaml(text) == {
        "a": "no", "b": "1_000", "c": "2020-01-01", "d": 1e5, "e": ".inf", "f": "012", "g": None, "h": True,
        "i": "0x10", "j": -1.5,
    }  # fmt: skip
    tricky = [
        "no",
        "1e5",
        "1.5",
        "null",
        "~",
        "",
        "true",
        "2020-01-01",
        "a: b",
        "# x",
        "\x85\u2028",
        "=",
        "<<",
    ]
    assert load_yaml(dump_yaml(tricky).encode()) == tricky


def test_a_difference_has_its_place():
    text = (
        TEXT.replace("attempts: 2", "attempts: 4")
        .replace("default: 5", "default: 6")
        .replace("name: greet", "name: hi")
    )
    found = diff(PLAN, from_yaml(text))
    assert [str(change) for change in found.changes] == [
        "~ name: 'greet' → 'hi'",
        "~ inputs.k.default: 5 → 6",
        "~ said: retry.attempts: 2 → 4",
    ]
    assert found.nodes("changed") == ("said",)


def test_added_and_removed_nodes():
    found = diff(PLAN, from_yaml(TEXT.replace("id: said", "id: told")))
    assert found.nodes("added") == ("told",)
    assert found.nodes("removed") == ("said",)
    assert "+ node told" in str(found)
    assert not diff(PLAN, PLAN)


def with_contract(output=STRING, **inputs):
    return msgspec.structs.replace(PLAN, inputs=inputs, output=output)


ROW = ObjectType({"a": Field(INTEGER)})
WIDER = ObjectType({"a": Field(INTEGER), "b": Field(STRING)})


@pytest.mark.parametrize(
    ("before", "after", "level"),
    [
        (with_contract(a=Input(type=INTEGER)), with_contract(a=Input(type=INTEGER)), "same"),
        (with_contract(a=Input(type=INTEGER)), with_contract(a=Input(type=NUMBER)), "compatible"),
        (with_contract(a=Input(type=NUMBER)), with_contract(a=Input(type=INTEGER)), "breaking"),
        (with_contract(a=Input(type=ANY)), with_contract(a=Input(type=INTEGER)), "breaking"),
        (with_contract(), with_contract(a=Input(type=INTEGER)), "breaking"),
        (with_contract(), with_contract(a=Input(type=INTEGER, required=False, default=1)), "compatible"),
        (with_contract(a=Input(type=INTEGER)), with_contract(), "breaking"),
        (
            with_contract(a=Input(type=INTEGER, required=False, default=1)),
            with_contract(a=Input(type=INTEGER)),
            "breaking",
        ),
        (
            with_contract(a=Input(type=INTEGER, required=False, default=1)),
            with_contract(a=Input(type=INTEGER, required=False, default=2)),
            "compatible",
        ),
        (with_contract(ROW), with_contract(WIDER), "compatible"),
        (with_contract(WIDER), with_contract(ROW), "breaking"),
        (with_contract(STRING), with_contract(optional(STRING)), "breaking"),
        (with_contract(optional(STRING)), with_contract(STRING), "compatible"),
        (with_contract(INTEGER), with_contract(ANY), "breaking"),
        (with_contract(ANY), with_contract(INTEGER), "compatible"),
        (with_contract(STRING), with_contract(LiteralType(("a",))), "compatible"),
        (with_contract(STRING), with_contract(marked(STRING, "pii")), "compatible"),
    ],
)
def test_contract_changes(before, after, level):
    change = contract_change(before, after)
    assert change.level == level
    assert bool(change.items) == (level != "same")
    assert bool(change.breaking) == (level == "breaking")


def test_pictures_escape_what_they_show():
    evil = '<script>"x"</script>'
    plan = msgspec.structs.replace(
        PLAN, name=evil, nodes=(msgspec.structs.replace(PLAN.nodes[0], kind=evil),)
    )
    for picture in (svg(plan), mermaid(plan)):
        assert "<script" not in picture
        assert '"x"' not in picture
