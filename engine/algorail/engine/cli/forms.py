"""The forms in which a published plan is shown: code, documents, pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from algorail.engine.dsl import to_python
from algorail.engine.plan import codec, picture
from algorail.engine.plan.document import Plan

_WRITERS: Mapping[str, Callable[[Plan], str]] = {
    "python": to_python,
    "yaml": codec.to_yaml,
    "json": codec.to_json,
    "mermaid": picture.mermaid,
    "svg": picture.svg,
}


def written(document: Mapping[str, Any], form: str) -> str:
    """A plan's document in a form: `python`, `yaml`, `json`, `mermaid` or `svg`."""
    return _WRITERS[form](codec.from_dict(dict(document)))
