"""Aliases of sub-algorithms that moved after their callers were compiled."""

from __future__ import annotations

from itertools import pairwise

import pytest

from algorail.engine.store import aliases
from algorail.engine.store.aliases import Target

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


def test_moving_an_alias_cannot_close_a_cycle(client, publish, build, invoke):
    for name in ("hen", "egg"):
        publish(build.adder(name))
    publish(_calls(build, "hen", "egg"), alias=None)
    publish(_calls(build, "egg", "hen"), alias=None)
    place = "/v1/algorithms/{}/aliases/prod"
    assert client.put(place.format("hen"), json={"version": 2}).is_success
    for target in ({"version": 2}, {"weights": {"1": 50, "2": 50}}):
        refused = client.put(place.format("egg"), json=target)
        assert refused.status_code == 422
        assert "sub-algorithm-cycle" in [problem["code"] for problem in refused.json()["problems"]]
    assert invoke("hen", 1).json() == 2


def test_a_cycle_that_got_in_is_a_clear_error(build, engine, publish, invoke):
    for name in ("left", "right"):
        publish(build.adder(name))
    publish(_calls(build, "left", "right"), alias=None)
    publish(_calls(build, "right", "left"), alias=None)
    with engine.database.write() as tx:
        for name in ("left", "right"):
            aliases.point(tx, name, "prod", Target(version=2), author="two admins at once")
    engine.router.forget("left")
    engine.router.forget("right")
    answer = invoke("left", 1)
    assert (answer.status_code, answer.json()["code"]) == (409, "sub-algorithm-cycle")
    assert answer.json()["detail"].endswith("left 2 → right 2 → left 2")


def test_an_archived_version_still_serves_what_is_pinned_to_it(build, client, publish, invoke):
    for by in (1, 2):
        publish(build.adder("old-part", by=by))
    publish(_calls(build, "pinned-to-it", "old-part", "1"), alias=None)
    assert client.post("/v1/algorithms/old-part/versions/1/archive").is_success
    assert client.put("/v1/algorithms/pinned-to-it/aliases/prod", json={"version": 1}).is_success
    assert invoke("pinned-to-it", 1).json() == 2
