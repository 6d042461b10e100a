"""The README is short, its code runs, and its pictures and excerpts are those of the example."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_has_at_most_700_words():
    words = [word for word in README.split() if re.search(r"\w", word)]
    assert len(words) <= 700


def test_its_code_runs():
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False, verbose=False)
    assert result.attempted >= 6
    assert result.failed == 0


def test_the_excerpt_is_the_example():
    (excerpt,) = re.findall(r"^```python\n(@algorithm.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert excerpt in (ROOT / "examples" / "read_digit" / "algorithm.py").read_text(encoding="utf-8")


def test_the_two_commands_stand_on_top():
    head = README.partition("##")[0]
    assert "make demo" in head
    assert "make test" in head


def test_what_it_names_is_there():
    for target in re.findall(r"^    make ([a-z]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), (
            target
        )
