"""Publishers, callers and rollbacks that meet."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from algorail.engine.api.app import create_app
from algorail.engine.testing.server import running_server


def test_publishers_at_once_lose_nothing(client, build):
    def publish(by):
        body = {"plan": build.adder("raced", by=by)}
        return client.post("/v1/algorithms/raced/versions", json=body)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(publish, range(1, 17)))
    published = [answer.json() for answer in answers if answer.status_code == 201]
    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert len(published) + len(refused) == 16
    assert published
    assert {problem["code"] for problem in refused} <= {"published-meanwhile", "conflict"}
    assert all(problem["cure"] for problem in refused)
    versions = client.get("/v1/algorithms/raced/versions").json()["versions"]
    assert sorted(item["version"] for item in versions) == list(range(1, len(published) + 1))
    assert {item["plan_hash"] for item in versions} == {done["plan_hash"] for done in published}


def test_one_idempotency_key_sent_many_times_is_one_run(client, publish, build):
    publish(build.adder("once_of_many"))

    def call(_):
        headers = {"idempotency-key": "same"}
        return client.post("/v1/algorithms/once_of_many/invoke", json={"x": 1}, headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(24)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({a.headers["x-algorail-run-id"] for a in answers if a.status_code == 200}) == 1
    assert len(client.get("/v1/runs", params={"algorithm": "once_of_many"}).json()["runs"]) == 1


def test_overload_is_said_before_the_run_and_passes(tmp_path, build):
    engine = build.make_engine(tmp_path, max_runs=2, max_waiting=1, admission_wait=0.2)
    slow = build.plan("slow", {"x": {"type": "integer"}}, [build.node("wait", "linger", x="x")])
    with running_server(engine.settings, create_app(engine.settings, engine=engine)) as server:
        headers = {"x-api-key": server.admin_key, "x-algorail-deadline-ms": "1500"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
            body = {"plan": slow, "alias": "prod"}
            assert client.post("/v1/algorithms/slow/versions", json=body).status_code == 201
            with ThreadPoolExecutor(6) as pool:
                path = "/v1/algorithms/slow/invoke"
                answers = list(pool.map(lambda _: client.post(path, json={"x": 1}), range(6)))
            refused = [answer for answer in answers if answer.status_code == 503]
            assert len(refused) == 4
            assert {answer.json()["code"] for answer in refused} == {"overloaded"}
            assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
            assert [answer.status_code for answer in answers if answer not in refused] == [504, 504]
            assert len(client.get("/v1/runs").json()["runs"]) == 2
            assert engine.admission.active == 0


def test_another_process_sees_a_rollback_within_two_seconds(tmp_path, build):
    first = build.make_engine(tmp_path)
    with running_server(first.settings, create_app(first.settings, engine=first)) as one:
        second = build.make_engine(tmp_path)
        with running_server(second.settings, create_app(second.settings, engine=second)) as two:
            headers = {"x-api-key": one.admin_key}
            with httpx.Client(headers=headers, timeout=30) as client:
                path = "/v1/algorithms/shared"
                for by in (1, 2):
                    body = {"plan": build.adder("shared", by=by), "alias": "prod"}
                    assert client.post(f"{one.url}{path}/versions", json=body).status_code == 201
                assert client.post(f"{two.url}{path}/invoke", json={"x": 0}).json() == 2
                client.post(f"{one.url}{path}/aliases/prod/rollback")
                moved = time.monotonic()
                while client.post(f"{two.url}{path}/invoke", json={"x": 0}).json() != 1:
                    assert time.monotonic() - moved < 2
                assert client.post(f"{one.url}{path}/invoke", json={"x": 0}).json() == 1
