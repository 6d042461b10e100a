"""The example on each page of `docs/blocks` is an algorithm that works."""

import importlib.util
import re
from pathlib import Path

import pytest

from algorail.engine.dsl import Algorithm

PAGES = Path(__file__).parents[2] / "docs" / "blocks"


@pytest.mark.parametrize(
    "page", ["transform", "expression", "condition", "db_lookup", "http_call", "sub_algorithm"]
)
def test_the_example_makes_a_plan(page, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", (PAGES / f"{page}.md").read_text(), re.DOTALL)
    file = tmp_path / f"{page}_example.py"
    file.write_text(example)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (algorithm,) = [item for item in vars(module).values() if isinstance(item, Algorithm)]
    assert algorithm.plan.nodes
