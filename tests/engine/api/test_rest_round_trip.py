"""Publish, call, read, replay, release: through a real socket."""

from __future__ import annotations

import json
from collections import Counter

import httpx
import pytest


def invoke(client, name, body, **headers):
    return client.post(f"/v1/algorithms/{name}/invoke", json=body, headers=headers)


def test_publish_invoke_and_read_the_record(client, publish, build):
    done = publish(build.adder("first_steps", by=2, doc="Adds two."), note="start")
    assert done["version"] == 1
    assert done["created"] is True
    assert done["contract"]["kind"] == "first"

    answer = invoke(client, "first_steps", {"x": 40}, traceparent="00-" + "ab" * 16 + "-" + "cd" * 8 + "-01")
    assert answer.status_code == 200
    assert answer.json() == 42
    assert answer.headers["x-algorail-version"] == "1"
    assert answer.headers["traceparent"].startswith("00-" + "ab" * 16)

    run = client.get(f"/v1/runs/{answer.headers['x-algorail-run-id']}").json()
    assert (run["status"], run["inputs"], run["output"], run["reason"]) == (
        "succeeded",
        {"x": 40},
        42,
        "alias",
    )
    assert run["trace_id"] == "ab" * 16
    assert [(block["node"], block["inputs"], block["output"]) for block in run["blocks"]] == [
        ("sum", {"a": 40, "b": 2}, 42)
    ]
    listed = client.get("/v1/runs", params={"algorithm": "first_steps"}).json()["runs"]
    assert [item["run_id"] for item in listed] == [run["run_id"]]
    algorithm = client.get("/v1/algorithms/first_steps").json()
    assert (algorithm["latest_version"], algorithm["doc"]) == (1, "Adds two.")


def test_publishing_the_same_content_again_is_the_same_version(client, publish, build):
    first = publish(build.adder("again"))
    moved = build.adder("again", ui={"positions": {"sum": [1, 2]}})
    second = client.post("/v1/algorithms/again/versions", json={"plan": moved})
    assert second.status_code == 200
    assert second.json()["version"] == first["version"]
    assert second.json()["created"] is False
    assert publish(build.adder("again", by=5))["version"] == 2
    assert [item["version"] for item in client.get("/v1/algorithms/again/versions").json()["versions"]] == [
        2,
        1,
    ]


def test_a_version_or_alias_can_be_named(client, publish, build):
    publish(build.adder("named", by=1))
    publish(build.adder("named", by=10))
    assert invoke(client, "named", {"x": 0}).json() == 10
    assert invoke(client, "named", {"x": 0}, **{"x-algorail-version": "1"}).json() == 1
    assert invoke(client, "named", {"x": 0}, **{"x-algorail-version": "@prod"}).json() == 10
    assert invoke(client, "named", {"x": 0}, **{"x-algorail-version": "@nope"}).status_code == 404


def test_rollback_returns_to_what_the_alias_meant_before(client, publish, build):
    publish(build.adder("rolled", by=1))
    publish(build.adder("rolled", by=10))
    back = client.post("/v1/algorithms/rolled/aliases/prod/rollback")
    assert back.json()["version"] == 1
    assert invoke(client, "rolled", {"x": 0}).json() == 1


def test_a_breaking_contract_needs_consent_to_reach_an_alias(client, publish, build):
    publish(build.adder("contract"))
    breaking = build.plan(
        "contract", {"y": {"type": "integer"}}, [build.node("sum", "add", a="y", b={"value": 1})]
    )
    body = {"plan": breaking, "alias": "prod"}
    refused = client.post("/v1/algorithms/contract/versions", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "contract-breaking")
    assert client.get("/v1/algorithms/contract").json()["latest_version"] == 1
    taken = client.post("/v1/algorithms/contract/versions", json={**body, "allow_breaking": True}).json()
    assert (taken["version"], taken["contract"]["kind"]) == (2, "breaking")
    difference = client.get("/v1/algorithms/contract/versions/1/diff/2").json()
    assert difference["contract"]["kind"] == "breaking"
    assert difference["changes"]


def test_a_split_is_sticky_and_says_why(client, publish, build):
    fast = {"record": {"mode": "async"}}
    publish(build.adder("split", by=1, **fast))
    publish(build.adder("split", by=2, **fast))
    put = client.put("/v1/algorithms/split/aliases/prod", json={"weights": {"1": 80, "2": 20}})
    assert put.json()["weights"] == {"1": 80, "2": 20}

    def versions() -> dict[str, str]:
        found = {}
        for unit in map(str, range(100)):
            answer = invoke(client, "split", {"x": 0}, **{"x-algorail-unit": unit})
            assert answer.headers["x-algorail-variant"] == answer.headers["x-algorail-version"]
            found[unit] = answer.headers["x-algorail-version"]
        return found

    before = versions()
    assert 8 <= Counter(before.values())["2"] <= 32
    assert versions() == before
    client.put("/v1/algorithms/split/aliases/prod", json={"weights": {"1": 50, "2": 50}})
    after = versions()
    assert not [unit for unit in before if before[unit] == "2" and after[unit] == "1"]
    client.post(
        "/v1/algorithms/split/versions", json={"plan": build.adder("split", by=3), "alias": "durable"}
    )
    client.put("/v1/algorithms/split/aliases/durable", json={"weights": {"3": 1}})
    run_id = invoke(client, "split", {"x": 0}, **{"x-algorail-version": "@durable"}).headers[
        "x-algorail-run-id"
    ]
    run = client.get(f"/v1/runs/{run_id}").json()
    assert run["reason"] == "split:no-unit"
    assert run["labels"] == {"split.epoch": "2", "split.propensity": "1"}


def test_the_unit_may_be_an_input_field(client, publish, build):
    fields = {"x": {"type": "integer"}, "who": {"type": "string"}}
    for by in (1, 2):
        nodes = [build.node("sum", "add", a="x", b={"value": by})]
        publish(build.plan("by_field", fields, nodes, unit="who"))
    client.put("/v1/algorithms/by_field/aliases/prod", json={"weights": {"1": 1, "2": 1}})
    by_field = [invoke(client, "by_field", {"x": 0, "who": f"u{n}"}).json() for n in range(40)]
    by_header = [
        invoke(client, "by_field", {"x": 0, "who": "other"}, **{"x-algorail-unit": f"u{n}"}).json()
        for n in range(40)
    ]
    assert by_field == by_header
    assert set(by_field) == {1, 2}


def test_drafts_are_guarded_by_their_etag(client, build):
    path = "/v1/algorithms/sketch/draft"
    made = client.put(path, json={"plan": {"name": "sketch", "nodes": []}})
    tag = made.headers["etag"]
    assert client.get(path).json()["revision"] == 1
    assert client.put(path, json={"plan": {}}).status_code == 428
    patched = client.patch(path, json={"plan": {"doc": "new"}}, headers={"if-match": tag})
    assert patched.json()["plan"] == {"name": "sketch", "nodes": [], "doc": "new"}
    late = client.put(path, json={"plan": {}}, headers={"if-match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "draft-changed")
    assert client.delete(path, headers={"if-match": patched.headers["etag"]}).status_code == 204
    assert client.get(path).status_code == 404


def test_the_same_idempotency_key_means_the_same_run(client, publish, build):
    publish(build.adder("once"))
    first = invoke(client, "once", {"x": 1}, **{"idempotency-key": "k1"})
    second = invoke(client, "once", {"x": 1}, **{"idempotency-key": "k1"})
    assert first.headers["x-algorail-run-id"] == second.headers["x-algorail-run-id"]
    assert (second.json(), second.headers["idempotency-replayed"]) == (2, "true")
    other = invoke(client, "once", {"x": 2}, **{"idempotency-key": "k1"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


def test_a_failed_run_is_recorded_and_remembered(client, publish, build):
    publish(build.plan("fails", {"x": {"type": "integer"}}, [build.node("risky", "fragile", x="x")]))
    first = invoke(client, "fails", {"x": 3}, **{"idempotency-key": "f"})
    assert first.status_code == 502
    problem = first.json()
    assert (problem["node"], problem["run_id"]) == ("risky", first.headers["x-algorail-run-id"])
    assert client.get(f"/v1/runs/{problem['run_id']}").json()["status"] == "failed"
    again = invoke(client, "fails", {"x": 3}, **{"idempotency-key": "f"})
    assert (again.status_code, again.json()["run_id"]) == (502, problem["run_id"])


def test_an_answer_of_the_wrong_type_is_the_algorithms_fault(client, publish, build):
    publish(build.plan("liar", {"x": {"type": "integer"}}, [build.node("said", "lie", x="x")]))
    answer = invoke(client, "liar", {"x": 1})
    assert (answer.status_code, answer.json()["code"]) == (502, "output-invalid")


def test_a_stream_sends_deltas_then_the_result(client, publish, build):
    publish(build.plan("talks", {"t": {"type": "string"}}, [build.node("said", "talk", text="t")], "string"))
    path = "/v1/algorithms/talks/invoke"
    with client.stream(
        "POST", path, json={"t": "one two"}, headers={"accept": "text/event-stream"}
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-algorail-run-id"]
        events = [event.split("\n") for event in answer.read().decode().strip().split("\n\n")]
    assert [lines[0] for lines in events] == ["event: delta", "event: delta", "event: result"]
    assert json.loads(events[0][1].removeprefix("data: ")) == {"node": "said", "delta": "one"}
    assert json.loads(events[2][1].removeprefix("data: ")) == "ONE TWO"


def test_a_deadline_ends_the_run(client, publish, build):
    publish(build.plan("slow", {"x": {"type": "integer"}}, [build.node("wait", "linger", x="x")]))
    answer = invoke(client, "slow", {"x": 1}, **{"x-algorail-deadline-ms": "50"})
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline-exceeded")
    assert client.get(f"/v1/runs/{answer.json()['run_id']}").json()["status"] == "failed"


def test_a_client_that_goes_away_cancels_its_run(client, publish, build, server):
    publish(build.plan("left", {"x": {"type": "integer"}}, [build.node("wait", "linger", x="x")]))
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/algorithms/left/invoke", json={"x": 1}, timeout=0.3)
    answer = httpx.post(
        f"{server.url}/v1/algorithms/left/invoke",
        json={"x": 1},
        headers={"x-api-key": server.admin_key, "x-algorail-deadline-ms": "500"},
    )
    assert answer.status_code == 504
    statuses = Counter(
        r["status"] for r in client.get("/v1/runs", params={"algorithm": "left"}).json()["runs"]
    )
    assert statuses == {"cancelled": 1, "failed": 1}


def test_replay_compares_versions_block_by_block(client, publish, build):
    publish(build.adder("replayed", by=1))
    run_id = invoke(client, "replayed", {"x": 1}).headers["x-algorail-run-id"]
    same = client.post(f"/v1/runs/{run_id}/replay", json={}).json()
    assert [(block["node"], block["verdict"]) for block in same["blocks"]] == [("sum", "equal")]
    publish(build.adder("replayed", by=2))
    other = client.post(f"/v1/runs/{run_id}/replay", json={"version": 2}).json()
    assert [(b["verdict"], b["before"], b["after"]) for b in other["blocks"]] == [("changed", 2, 3)]
    replayed = client.get(f"/v1/runs/{other['run_id']}").json()
    assert (replayed["reason"], replayed["source_run"]) == ("replay", run_id)


def test_replay_never_writes_again(client, publish, build):
    nodes = [build.node("saved", "write", x="x"), build.node("sum", "add", a="saved", b={"value": 0})]
    publish(build.plan("writes", {"x": {"type": "integer"}}, nodes))
    answer = invoke(client, "writes", {"x": 7})
    written = list(build.written)
    replayed = client.post(f"/v1/runs/{answer.headers['x-algorail-run-id']}/replay", json={}).json()
    assert [(b["node"], b["status"], b["verdict"]) for b in replayed["blocks"]] == [
        ("saved", "pinned", "equal"),
        ("sum", "ok", "equal"),
    ]
    assert build.written == written


def test_partial_runs_take_the_rest_from_a_recorded_run(client, publish, build):
    nodes = [
        build.node("one", "add", a="x", b={"value": 1}),
        build.node("two", "add", a="one", b={"value": 10}),
    ]
    publish(build.plan("parts", {"x": {"type": "integer"}}, nodes))
    run_id = invoke(client, "parts", {"x": 1}).headers["x-algorail-run-id"]
    path = "/v1/algorithms/parts/partial"
    only = client.post(path, json={"version": 1, "node": "two", "source_run": run_id}).json()
    assert (only["output"], [b["status"] for b in only["blocks"]]) == (12, ["pinned", "ok"])
    pinned = {"version": 1, "from_node": "two", "overrides": {"one": 100}}
    assert client.post(path, json=pinned).json()["output"] == 110
    refused = client.post(path, json={**pinned, "version": "@prod"})
    assert (refused.status_code, refused.json()["code"]) == (422, "overrides-on-alias")


def test_versions_in_use_cannot_be_archived(client, publish, build):
    publish(build.adder("shelf", by=1))
    publish(build.adder("shelf", by=2))
    in_use = client.post("/v1/algorithms/shelf/versions/2/archive")
    assert (in_use.status_code, in_use.json()["code"]) == (409, "version-in-use")
    assert client.post("/v1/algorithms/shelf/versions/1/archive").json()["archived"]
    gone = invoke(client, "shelf", {"x": 1}, **{"x-algorail-version": "1"})
    assert (gone.status_code, gone.json()["code"]) == (410, "archived")
    assert client.delete("/v1/algorithms/shelf").status_code == 204
    assert invoke(client, "shelf", {"x": 1}).status_code == 410


def test_sub_algorithms_run_and_cycles_are_refused(client, publish, build):
    publish(build.adder("inner", by=5))
    call = {
        **build.node("inside", "sub_algorithm", x="x"),
        "config": {"algorithm": "inner", "version": "@prod"},
    }
    publish(build.plan("outer", {"x": {"type": "integer"}}, [call]))
    assert invoke(client, "outer", {"x": 1}).json() == 6
    publish(build.adder("inner", by=7))
    assert invoke(client, "outer", {"x": 1}).json() == 8
    back = {
        **build.node("inside", "sub_algorithm", x="x"),
        "config": {"algorithm": "outer", "version": "@prod"},
    }
    looped = build.plan("inner", {"x": {"type": "integer"}}, [back])
    refused = client.post("/v1/algorithms/inner/versions", json={"plan": looped})
    assert refused.status_code == 422
    assert "sub-algorithm-cycle" in [problem["code"] for problem in refused.json()["problems"]]


def test_health_metrics_catalogue_and_audit(client, publish, build):
    publish(build.adder("watched"))
    invoke(client, "watched", {"x": 1})
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["status"] == "ready"
    metrics = client.get("/metrics").text
    assert (
        'algorail_run_duration_seconds_count{algorithm="watched",status="succeeded",variant="",version="1"} 1.0'
        in metrics
    )
    kinds = {item["kind"]: item for item in client.get("/v1/blocks").json()["blocks"]}
    assert kinds["add@1"]["ports"]["inputs"]["a"]["type"] == "integer"
    actions = [entry["action"] for entry in client.get("/v1/audit", params={"limit": 2}).json()["entries"]]
    assert actions == ["alias.point", "publish"]
