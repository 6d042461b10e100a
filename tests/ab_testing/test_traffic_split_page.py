"""The page on traffic splits and the examples in the code say what really comes out."""

import doctest
import importlib
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "traffic-split.md"


def test_page():
    failed, ran = doctest.testfile(str(PAGE), module_relative=False)
    assert (failed, ran > 10) == (0, True)


@pytest.mark.parametrize("name", ["hashing", "weights", "assignment"])
def test_docstrings(name):
    failed, ran = doctest.testmod(importlib.import_module(f"algorail.ab_testing.assign.{name}"))
    assert failed == 0
    assert ran
