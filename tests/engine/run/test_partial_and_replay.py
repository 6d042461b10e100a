"""Partial runs, replay with its diff, comparison of values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from algorail.engine.kind import Effect
from algorail.engine.kit.errors import InvalidInput, NotFound
from algorail.engine.run.compare import Difference, Tolerance, differences
from algorail.engine.run.outcome import NodeStatus
from algorail.engine.run.partial import only, onwards
from algorail.engine.run.replay import Change, ReplayDiff, replay
from algorail.engine.testing.fake_loop import run_fake
from algorail.engine.testing.fakes import kind_of
from tests.engine.run.graphs import Bench, node, plan


class World:
    """Blocks whose behaviour can change between two runs."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.offset: float = 0.0
        self.broken = False

    def embed(self, x: Any) -> Any:
        self.calls.append("embed")
        return np.array([x, x + self.offset], dtype="float32")

    def score(self, x: Any) -> Any:
        self.calls.append("score")
        if self.broken:
            raise RuntimeError("broken")
        return {"best": float(x.sum())}

    def store(self, x: Any) -> Any:
        self.calls.append("store")
        return {"stored": x["best"]}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def bench(world: World) -> Bench:
    kinds = [kind_of(world.embed), kind_of(world.score), kind_of(world.store, effect=Effect.WRITE)]
    return Bench(*kinds)


THREE = plan(node("e", "embed", x="q"), node("s", "score", x="e"), node("w", "store", x="s"))


def test_one_node_with_its_recorded_inputs(world: World, bench: Bench) -> None:
    _, source = bench.record(THREE, 1)
    world.calls.clear()
    part = only(THREE, "s", source)
    result, record = bench.record(part.plan, 1, overrides=part.overrides)
    assert result == {"best": 2.0}
    assert world.calls == ["score"]
    assert {block.node: block.status for block in record.blocks} == {
        "e": NodeStatus.PINNED,
        "s": NodeStatus.OK,
    }
    part = only(THREE, "s", source, overrides={"e": np.array([5.0])})
    assert bench.record(part.plan, 1, overrides=part.overrides)[0] == {"best": 5.0}
    part = only(THREE, "s")
    assert bench.record(part.plan, 3, overrides=part.overrides)[0] == {"best": 6.0}


def test_from_a_node_on(world: World, bench: Bench) -> None:
    _, source = bench.record(THREE, 1)
    world.calls.clear()
    part = onwards(THREE, "s", source)
    assert bench.record(part.plan, 1, overrides=part.overrides)[0] == {"stored": 2.0}
    assert world.calls == ["score", "store"]


def test_unknown_nodes_are_named(bench: Bench) -> None:
    with pytest.raises(NotFound, match="there are: e, s, w"):
        only(THREE, "zzz")
    with pytest.raises(InvalidInput, match="zzz"):
        only(THREE, "s", overrides={"zzz": 1})


def run_replay(bench: Bench, source: Any, made: Any = THREE, **options: Any) -> ReplayDiff:
    return run_fake(replay(source, bench.compile(made), **options), bench.clock)


def test_replay_of_the_same_is_the_same_and_writes_nothing(world: World, bench: Bench) -> None:
    _, source = bench.record(THREE, 1)
    world.calls.clear()
    diff = run_replay(bench, source)
    assert diff.same
    assert world.calls == ["embed", "score"]
    assert {block.node: (block.change, block.from_record) for block in diff.blocks} == {
        "e": (Change.EQUAL, False), "s": (Change.EQUAL, False), "w": (Change.EQUAL, True),
    }  # fmt: skip
    assert (diff.record.reason, diff.record.source_run) == ("replay", "run_test")


def test_replay_shows_what_changed_and_by_how_much(world: World, bench: Bench) -> None:
    _, source = bench.record(THREE, 1)
    world.offset = 0.5
    diff = run_replay(bench, source)
    changes = {block.node: block for block in diff.blocks}
    assert changes["e"].change is Change.CHANGED
    assert changes["s"].differences == (Difference("best", 2.0, 2.5, within=False),)
    assert changes["w"].change is Change.EQUAL
    assert not diff.same
    loose = run_replay(bench, source, tolerance=Tolerance(relative=0.6))
    assert {block.change for block in loose.blocks} == {Change.WITHIN, Change.EQUAL}
    assert loose.same


def test_replay_from_a_node_keeps_the_rest(world: World, bench: Bench) -> None:
    _, source = bench.record(THREE, 1)
    world.calls.clear()
    run_replay(bench, source, from_node="s")
    assert world.calls == ["score"]


def test_replay_of_a_failure_and_of_its_cure(world: World, bench: Bench) -> None:
    _, good = bench.record(THREE, 1)
    world.broken = True
    _, bad = bench.record(THREE, 1)
    worse = run_replay(bench, good)
    assert worse.output is Change.ERROR
    assert {block.node: block.change for block in worse.blocks} == {
        "e": Change.EQUAL, "s": Change.ERROR, "w": Change.REMOVED,
    }  # fmt: skip
    world.broken = False
    better = run_replay(bench, bad)
    changes = {block.node: block for block in better.blocks}
    assert changes["s"].change is Change.RECOVERED
    assert changes["w"].error is not None
    assert changes["w"].error.code == "replay-would-write"
    assert "store" not in world.calls[-2:]
    assert run_replay(bench, bad, overrides={"w": 1}).record.output == 1


def test_replay_through_another_plan(bench: Bench) -> None:
    _, source = bench.record(plan(node("e", "embed", x="q"), node("s", "score", x="e")), 1)
    other = plan(node("e", "embed", x="q"), node("t", "score", x="e"))
    diff = run_replay(bench, source, other)
    assert {block.node: block.change for block in diff.blocks} == {
        "e": Change.EQUAL, "t": Change.ADDED, "s": Change.REMOVED,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (1, 1.0, []),
        (1, True, [("", False)]),
        (float("nan"), float("nan"), []),
        (1.0, 1.0 + 1e-9, [("", True)]),
        (1.0, float("inf"), [("", False)]),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, [("a[1].b", False)]),
        ({"a": 1}, {"b": 1}, [("a", False), ("b", False)]),
        ([1], [1, 2], [("", False)]),
        ("a", "b", [("", False)]),
        (np.array([1.0, 2.0]), [1.0, 2.0], []),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-8]), [("", True)]),
        (np.array([1.0, 2.0]), np.array([1.0]), [("", False)]),
        (np.array([1.0]), "text", [("", False)]),
    ],
)
def test_differences(before: Any, after: Any, expected: list[tuple[str, bool]]) -> None:
    assert [(one.path, one.within) for one in differences(before, after)] == expected
