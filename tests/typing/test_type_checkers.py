"""mypy, pyright and Jedi understand algorithms: types hold, mistakes are found, completion completes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jedi
import pytest

ROOT = Path(__file__).parents[2]
CHECKED = Path(__file__).parent / "algorithms_checked.py"
LINES = CHECKED.read_text().splitlines()
REFUSED = {number for number, line in enumerate(LINES, start=1) if line.endswith("# refused")}


@pytest.mark.slow
def test_mypy_finds_exactly_the_mistakes(tmp_path):
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--cache-dir", str(tmp_path), str(CHECKED)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = re.findall(r"algorithms_checked\.py:(\d+): error", answer.stdout)
    assert {int(line) for line in found} == REFUSED, answer.stdout


@pytest.mark.slow
def test_pyright_finds_exactly_the_mistakes():
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(CHECKED)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    reports = json.loads(answer.stdout)["generalDiagnostics"]
    found = {item["range"]["start"]["line"] + 1 for item in reports if item["severity"] == "error"}
    assert found == REFUSED, reports


COMPLETED = {
    "inner(question)": "score",
    "find(question)[0]": "score",
    "compose(find(question)[0], tone='x')": "startswith",
    "options(inner, retry=3)(question)": "score",
    "when(True, then=inner(question), otherwise=1)": "score",
    "each(inner, [question])[0]": "score",
    "first_of(inner(question), inner(question))": "score",
    "switch(question, {'a': inner(question)}, default=inner(question))": "score",
    "sub_algorithm(inner)(question)": "score",
    "plan_of(inner)": "nodes",
}
HEAD = CHECKED.read_text().partition("@algorithm(unit")[0].replace("async def", "def")


@pytest.mark.parametrize("expression", COMPLETED)
def test_jedi_completes_results_inside_an_algorithm(expression):
    body = f"@algorithm\ndef mine(question: str) -> Hit:\n    value = {expression}\n    value."
    source = HEAD + body
    script = jedi.Script(
        source, path=str(CHECKED), project=jedi.Project(ROOT, added_sys_path=[str(ROOT / "engine")])
    )
    names = {item.name for item in script.complete(len(source.splitlines()), len("    value."))}
    assert COMPLETED[expression] in names


def test_jedi_shows_the_parameters_of_a_block():
    source = HEAD + "find("
    shown = jedi.Script(source, path=str(CHECKED)).get_signatures(len(source.splitlines()), len("find("))
    assert [item.name for item in shown[0].params] == ["question", "k"]
