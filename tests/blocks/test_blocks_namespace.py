"""`from algorail.blocks import …` gives the functions, whatever was imported before, and loads nothing unused."""

import subprocess
import sys
from importlib import import_module

import pytest

import algorail.blocks


@pytest.mark.parametrize("name", sorted(algorail.blocks._FUNCTIONS))
def test_the_name_is_the_function(name):
    module = import_module(f"algorail.blocks.{name}")
    assert getattr(algorail.blocks, name) is getattr(module, name)
    assert module.KIND.name == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_here"):
        algorail.blocks.nothing_here  # noqa: B018  # the access is the test


def test_nothing_is_loaded_before_it_is_used():
    code = "import sys, algorail.blocks; print([m for m in ('faiss', 'httpx', 'sqlalchemy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
