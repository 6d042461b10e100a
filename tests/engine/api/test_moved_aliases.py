"""Aliases of sub-algorithms that moved after their callers were compiled."""

from __future__ import annotations

from itertools import pairwise

import pytest

X = {"x": {"type": "integer"}}


def _calls(build, name: str, other: str, version: str = "@prod"):
    call = build.node("inside", "sub_algorithm", x="x")
    return build.plan(name, X, [{**call, "config": {"algorithm": other, "version": version}}])


@pytest.fixture
def invoke(client):
    def invoked(name: str, x: int):
        return client.post(f"/v1/algorithms/{name}/invoke", json={"x": x})

    return invoked


@pytest.mark.parametrize("levels", [1, 2])
def test_a_replay_does_not_write_where_an_alias_points_to_a_writer_by_now(
    client, publish, build, invoke, levels
):
    names = [f"quiet{levels}-{level}" for level in range(levels + 1)]
    publish(build.adder(names[0]))
    for below, name in pairwise(names):
        publish(_calls(build, name, below))
    run_id = invoke(names[-1], 1).headers["x-algorail-run-id"]
    publish(build.plan(names[0], X, [build.node("saved", "write", x="x")]))
    written = list(build.written)
    replayed = client.post(f"/v1/runs/{run_id}/replay", json={}).json()
    assert [(block["node"], block["status"]) for block in replayed["blocks"]] == [("inside", "pinned")]
    assert build.written == written
