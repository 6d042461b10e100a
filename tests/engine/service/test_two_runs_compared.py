import numpy as np
import pytest

from algorail.engine.run.outcome import BlockRecord, ErrorInfo, NodeStatus, RunRecord, RunStatus
from algorail.engine.service.comparing import compare_runs, verdict


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (1, 1, "equal"),
        ({"a": [1, "x"]}, {"a": [1, "x"]}, "equal"),
        (0.1 + 0.2, 0.3, "close"),
        ([1.0, {"b": 2.0}], [1.0, {"b": 2.0 + 1e-9}], "close"),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-9]), "close"),
        (np.array([1.0, 2.0]), np.array([1.0, 2.1]), "changed"),
        (1.0, 1.1, "changed"),
        ([1, 2], [1, 2, 3], "changed"),
        ({"a": 1}, {"b": 1}, "changed"),
        ("1", 1, "changed"),
        (True, 1.0000001, "changed"),
    ],
)
def test_values_are_compared_with_a_tolerance_for_numbers_only(before, after, expected):
    assert verdict(before, after) == expected


def block(node, output=None, status=NodeStatus.OK, error=None):
    return BlockRecord(node, "k@1", status, 0, 1_000, output=output, error=error)


def run(*blocks):
    return RunRecord("run_1", "echo", 1, "", RunStatus.SUCCEEDED, 0, 1, {}, blocks=list(blocks))


def test_every_block_of_either_run_has_a_verdict():
    failed = block("d", status=NodeStatus.FAILED, error=ErrorInfo("boom", "it broke", "d"))
    before = run(block("a", 1), block("b", 2), block("c", 3), block("d", 4), block("p", 5))
    after = run(block("a", 1), block("b", 20), failed, block("e", 6))
    found = {entry["node"]: entry["verdict"] for entry in compare_runs(before, after, pinned=["p"])}
    assert found == {"a": "equal", "b": "changed", "c": "gone", "d": "error", "e": "new", "p": "equal"}


def test_how_long_each_took_stands_beside_the_verdict():
    (entry,) = compare_runs(run(block("a", 1)), run(block("a", 1)))
    assert (entry["before_ns"], entry["after_ns"]) == (1_000, 1_000)
