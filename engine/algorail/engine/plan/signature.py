"""The ports of a block, as far as a plan needs to know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from algorail.engine.plan.types import Type


@dataclass(frozen=True, slots=True)
class Port:
    """A typed input of a block."""

    type: Type
    required: bool = True
    default: Any = None
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """The ports of a configured block and the type of its output."""

    inputs: Mapping[str, Port]
    output: Type
