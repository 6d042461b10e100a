"""Every example of the guide runs, in order, as one program."""

from __future__ import annotations

import re
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "dsl.md"


def test_the_guide_runs():
    examples = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(examples) > 4
    namespace = {"__name__": "guide"}
    for example in examples:
        exec(compile(example, str(GUIDE), "exec", dont_inherit=True), namespace)
