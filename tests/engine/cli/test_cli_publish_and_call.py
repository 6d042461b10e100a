"""From a file to an answer and its trace, by the commands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

YAML = """\
schema: algorail/plan@1
name: twice
inputs:
  x: {type: integer}
output: {type: integer}
nodes:
  - id: doubled
    kind: expression@1
    config: {cel: x * 2, inputs: {x: {type: integer}}, output: {type: integer}}
    inputs: {x: {ref: x}}
result: {ref: doubled}
"""

WRONG = """\
from algorail.engine import algorithm, block

@block
def number(text: str) -> int:
    return len(text)

@algorithm
def wrong(x: str, y: int) -> str:
    one = number(text=y)
    two = number(text=one)
    return two
"""


def newest(algorail, algorithm):
    return algorail("runs", algorithm, "--limit", "1", "--json").json[0]["run_id"]


def test_a_file_is_published_with_the_algorithm_that_it_calls(algorail, support):
    first = algorail("publish", "support.py:greet", "--note", "hello")
    assert first.code == 0, first.err
    assert "✓ loud version 1 published" in first.out
    assert "✓ greet version 1 published" in first.out
    assert first.out.index("loud") < first.out.index("greet")
    assert "alias  @prod" in first.out
    again = algorail("publish", str(support) + ":greet", "--json")
    assert again.json["created"] is False
    assert again.json["version"] == 1
    assert again.json["contract"] == {"kind": "same", "changes": []}
    (version,) = algorail("versions", "greet", "--json").json
    assert version["note"] == "hello"
    (called,) = algorail("versions", "loud", "--json").json
    assert called["bundle"]


def test_a_plan_in_yaml_and_in_json_is_published(algorail, tmp_path):
    Path("twice.yaml").write_text(YAML)
    assert "✓ twice version 1 published" in algorail("publish", "twice.yaml").out
    assert algorail("export", "twice", "--json", "--out", "twice.json").code == 0
    assert "already there" in algorail("publish", "twice.json").out
    assert algorail("invoke", "twice", "x=21", "--json").json == 42


def test_publishing_without_an_alias_moves_no_traffic(greet):
    Path("support.py").write_text(Path("support.py").read_text().replace("Good day", "Good evening"))
    done = greet("publish", "support.py:greet", "--alias", "", "--json")
    assert done.json["version"] == 2
    assert not done.json["alias"]
    assert greet("invoke", "greet", "name=Ada", "--json").json["text"] == "Good day, ADA"
    assert greet("invoke", "greet", "name=Ada", "-v", "2", "--json").json["text"] == "Good evening, ADA"


def test_validate_says_how_much_holds_together(algorail, support):
    done = algorail("validate", "support.py:greet")
    assert done.code == 0
    assert done.out.splitlines() == ["✓ loud: 1 node, every port fits", "✓ greet: 2 nodes, every port fits"]


def test_validate_knows_that_algorithms_of_the_file_come_with_it(algorail, support):
    text = (
        support.read_text()
        .replace("def loud", "def never_published")
        .replace("loud(name", "never_published(name")
    )
    support.write_text(text)
    done = algorail("validate", "support.py:greet", "--json")
    assert done.code == 0
    assert done.json["valid"] is True
    assert done.json["problems"] == []


def test_validate_shows_every_problem_with_its_cure(algorail):
    Path("wrong.py").write_text(WRONG)
    done = algorail("validate", "wrong.py")
    assert done.code == 1
    assert "plan-invalid" in done.err
    assert done.err.count("→ ") >= 3
    for place in ("one.text", "two.text", "result"):
        assert f"• {place}" in done.err
    document = algorail("validate", "wrong.py", "--json")
    assert document.code == 1
    assert document.json["valid"] is False
    assert len(document.json["problems"]) == 3
    assert algorail("publish", "wrong.py").code == 1
    assert algorail("versions", "wrong").code == 1


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["name=Ada", "polite=false"], ""),
        (["--data", '{"name": "Ada", "polite": false}'], ""),
        (["--data", "@inputs.json"], ""),
        (["--data", "-"], '{"name": "Ada", "polite": false}'),
        (["--data", '{"name": "Bob", "polite": false}', "name=Ada"], ""),
    ],
)
def test_inputs_come_from_words_text_files_and_standard_input(greet, words, stdin):
    Path("inputs.json").write_text('{"name": "Ada", "polite": false}')
    done = greet("invoke", "greet", *words, "--json", stdin=stdin)
    assert done.json == {"text": "ADA", "polite": False}


def test_invoke_tells_the_version_and_how_to_see_more(greet):
    done = greet("invoke", "greet", "name=Ada", "--unit", "customer-7")
    assert '"text": "Good ' in done.out
    run = newest(greet, "greet")
    assert f"see every block: algorail trace {run}" in done.out
    assert greet("trace", run, "--json").json["unit"] == "customer-7"


def test_a_stream_prints_parts_and_the_answer(algorail, support):
    assert algorail("publish", "support.py:spelled").code == 0
    done = algorail("invoke", "spelled", "text=abc", "--stream")
    assert done.code == 0
    assert done.out == 'abc\n"abc"\n'


def test_a_stream_that_fails_says_why(algorail, support):
    assert algorail("publish", "support.py:loud").code == 0
    done = algorail("invoke", "loud", "name=nobody", "--stream")
    assert done.code == 1
    assert "there is nobody" in done.err


def test_a_trace_shows_every_block_of_sub_algorithms_too(greet):
    greet("invoke", "greet", "name=Ada", "-v", "1")
    run = newest(greet, "greet")
    tree = greet("trace", run).out
    assert tree.startswith("greet v1 succeeded")
    assert run in tree
    assert 'inputs  {"name": "Ada", "polite": true}' in tree
    assert "✓ heard sub_algorithm@1" in tree
    assert re.search(r"│   ├── loud v\d+ succeeded", tree)
    assert "│   │   ├── ✓ capitals shout@1" in tree
    assert tree.index("✓ heard") < tree.index("✓ text")
    assert "│   │   │   ├── text ← Ada" in tree
    assert "│   │   │   └── → ADA" in tree
    assert 'output  {"text": "Good day, ADA", "polite": true}' in tree
    blocks = greet("trace", run, "--json").json["blocks"]
    assert {block["node"] for block in blocks} == {"heard", "text"}


def test_a_trace_of_a_failed_run_shows_every_try(algorail, support):
    algorail("publish", "support.py:loud")
    failed = algorail("invoke", "loud", "name=nobody")
    assert failed.code == 1
    assert "block-failed" in failed.err
    tree = algorail("trace", newest(algorail, "loud")).out
    assert re.match(r"loud v\d+ failed", tree)
    assert "✗ capitals shout@1" in tree
    assert f"see every block: algorail trace {newest(algorail, 'loud')}" in failed.err
    assert "try 1: " in tree
    assert "there is nobody" in tree


def test_long_values_are_cut_at_the_edge_unless_asked_for(greet):
    name = "x" * 300
    greet("invoke", "greet", f"name={name}")
    run = newest(greet, "greet")
    assert name not in greet("trace", run).out
    assert max(map(len, greet("trace", run).out.splitlines())) <= 100
    assert name in "".join(line.strip("│ ") for line in greet("trace", run, "--full").out.splitlines())


def test_runs_are_filtered(greet):
    greet("invoke", "greet", "name=Ada", "-v", "1")
    greet("invoke", "greet", "name=nobody", "-v", "1")
    listed = greet("runs", "greet").out
    assert listed.startswith("greet: runs")
    failed = greet("runs", "greet", "--status", "failed", "--json").json
    assert {item["status"] for item in failed} == {"failed"}
    assert len(greet("runs", "--limit", "1", "--json").json) == 1
    assert greet("runs", "greet", "--version", "77", "--json").json == []
    assert "none yet" in greet("runs", "greet", "--version", "77").out


def test_a_replay_shows_what_differs(greet):
    greet("invoke", "greet", "name=Ada", "-v", "1")
    run = newest(greet, "greet")
    same = greet("replay", run)
    assert "✓ all 2 blocks answered the same" in same.out
    Path("support.py").write_text(Path("support.py").read_text().replace("Good day", "Welcome"))
    version = greet("publish", "support.py:greet", "--alias", "", "--json").json["version"]
    other = greet("replay", run, "--version", str(version))
    assert f"through version {version}" in other.out
    assert "• 1 of 2 blocks differ: text" in other.out
    document = greet("replay", run, "-v", str(version), "--from", "text", "--json").json
    assert {item["node"]: item["verdict"] for item in document["blocks"]} == {
        "heard": "equal",
        "text": "changed",
    }


def test_explain_tells_the_path_and_shows_the_code(greet):
    told = greet("explain", "greet", "-v", "1")
    assert "critical path: heard → text" in told.out
    assert "async def run" not in told.out
    assert "async def run(inputs, ctx):" in greet("explain", "greet", "-v", "1", "--code").out
    assert {"text", "code"} <= greet("explain", "greet", "--json").json.keys()


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("--python", "def greet("),
        ("--yaml", "schema: algorail/plan@1"),
        ("--json", '"schema"'),
        ("--mermaid", "flowchart"),
        ("--svg", "<svg"),
    ],
)
def test_every_form_is_exported(greet, form, says):
    assert says in greet("export", "greet", form).out
    done = greet("export", "greet", form, "--out", "greet.txt")
    assert done.out.strip() == "wrote greet.txt"
    assert says in Path("greet.txt").read_text()


def test_what_is_exported_is_the_same_version(greet):
    newest = greet("versions", "loud", "--json").json[0]
    for form in ("yaml", "json"):
        file = f"loud.{form}"
        greet("export", "loud", "-v", str(newest["version"]), f"--{form}", "-o", file)
        again = greet("publish", file, "--json").json
        assert again["plan_hash"] == newest["plan_hash"]
        assert again["created"] is False
    assert json.loads(Path("loud.json").read_text())["bundle"] == newest["bundle"]


def test_two_forms_at_once_are_refused(greet):
    done = greet("export", "greet", "--yaml", "--svg")
    assert done.code == 1
    assert "choose one form, got yaml, svg" in done.err
