"""The whole interface on PostgreSQL: publish, call, split, idempotency, record, replay, two processes."""

from __future__ import annotations

import httpx

from algorail.engine.api.app import create_app
from algorail.engine.testing.server import running_server


def test_the_interface_on_postgresql(tmp_path, build, postgres_database):
    homes = [tmp_path / "one", tmp_path / "two"]
    engines = [build.make_engine(home, database_url=postgres_database) for home in homes]
    apps = [create_app(engine.settings, engine=engine) for engine in engines]
    with (
        running_server(engines[0].settings, apps[0]) as one,
        running_server(engines[1].settings, apps[1]) as two,
        httpx.Client(headers={"x-api-key": one.admin_key}, timeout=30) as client,
    ):
        path = "/v1/algorithms/on_pg"
        for by in (1, 2):
            body = {"plan": build.adder("on_pg", by=by), "alias": "prod"}
            assert client.post(f"{one.url}{path}/versions", json=body).status_code == 201
        client.put(f"{one.url}{path}/aliases/prod", json={"weights": {"1": 50, "2": 50}})
        answers = {
            unit: [
                client.post(f"{url}{path}/invoke", json={"x": 0}, headers={"x-algorail-unit": unit}).json()
                for url in (one.url, two.url)
            ]
            for unit in map(str, range(20))
        }
        assert all(first == second for first, second in answers.values())
        assert {first for first, _ in answers.values()} == {1, 2}

        keyed = {"idempotency-key": "k"}
        first = client.post(f"{one.url}{path}/invoke", json={"x": 1}, headers=keyed)
        second = client.post(f"{two.url}{path}/invoke", json={"x": 1}, headers=keyed)
        assert first.headers["x-algorail-run-id"] == second.headers["x-algorail-run-id"]

        run_id = first.headers["x-algorail-run-id"]
        run = client.get(f"{two.url}/v1/runs/{run_id}").json()
        assert run["blocks"][0]["inputs"]["a"] == 1
        replayed = client.post(f"{two.url}/v1/runs/{run_id}/replay", json={}).json()
        assert [block["verdict"] for block in replayed["blocks"]] == ["equal"]
        assert len(client.get(f"{two.url}/v1/runs", params={"limit": 10}).json()["runs"]) == 10
        assert client.get(f"{two.url}/readyz").json()["status"] == "ready"
