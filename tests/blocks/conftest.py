"""What tests of blocks share: the context of a call, and services that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from algorail.engine.testing.fakes import FakeServices


@dataclass
class Context:
    """What a block may know of the run that calls it."""

    left: float | None = None
    traceparent: str = ""
    run_id: str = "run_1"
    node_id: str = "node"
    attempt: int = 1
    emitted: list[Any] = field(default_factory=list)

    def remaining(self) -> float | None:
        return self.left

    def effect_key(self) -> str:
        return f"{self.run_id}.{self.node_id}"

    def emit(self, delta: Any) -> None:
        self.emitted.append(delta)


@pytest.fixture
def context() -> Callable[..., Context]:
    """Makes contexts: `context(left=0.5)`."""
    return Context


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Callable[..., FakeServices]]:
    """Makes services, whose pools are closed at the end of the test."""
    made: list[FakeServices] = []

    def make(**options: Any) -> FakeServices:
        made.append(FakeServices(home=tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
