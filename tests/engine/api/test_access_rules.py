"""Default-deny: every route has a policy, and every route × verb × role obeys it."""

from __future__ import annotations

import re
import stat

import pytest

from algorail.engine.api.policy import POLICIES, declared, policy_of
from algorail.engine.api.routing import PolicedRoute
from algorail.engine.service.principal import Scope

_VALUES = {
    "name": "guarded",
    "version": "1",
    "other": "1",
    "alias": "prod",
    "run_id": "run_0",
    "key_id": "key_0",
}


def concrete(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda found: _VALUES.get(found[1], "x"), path)


def test_the_table_and_the_routes_are_the_same(server):
    assert set(declared(server.app)) == set(POLICIES)


def test_a_route_without_a_policy_cannot_be_made():
    with pytest.raises(LookupError, match="no policy is declared for GET /v1/backdoor"):
        PolicedRoute("/v1/backdoor", lambda: None, methods=["GET"])
    with pytest.raises(LookupError):
        policy_of("PATCH", "/healthz")


@pytest.fixture(scope="module")
def keys(client):
    made = {}
    for scope in Scope:
        answer = client.post("/v1/keys", json={"name": f"a {scope.label}", "scope": scope.label})
        made[scope] = answer.json()["key"]
    return made


@pytest.mark.parametrize(("method", "path"), sorted(POLICIES), ids=lambda value: value)
def test_every_role_on_every_route(anyone, keys, method, path):
    needed = POLICIES[method, path].scope
    url = concrete(path)
    statuses = {None: anyone.request(method, url).status_code}
    for scope, key in keys.items():
        statuses[scope] = anyone.request(method, url, headers={"x-api-key": key}).status_code
    assert anyone.request(method, url, headers={"x-api-key": "ark_wrong"}).status_code == statuses[None]
    for scope, status in statuses.items():
        if needed is None:
            assert status < 400
        elif scope is None:
            assert status == 401
        elif scope < needed:
            assert status == 403
        else:
            assert status not in {401, 403}
            assert status < 500


def test_other_methods_are_refused_with_the_possible_ones(client):
    for _, path in sorted(POLICIES):
        possible = {method for method, other in POLICIES if concrete(other) == concrete(path)}
        for method in {"GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"} - possible:
            answer = client.request(method, concrete(path))
            assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed"), (method, path)
            assert possible <= set(answer.headers["allow"].split(", "))


def test_teams_do_not_see_one_another(client, anyone, build):
    def key_of(team: str) -> dict[str, str]:
        body = {"name": team, "scope": "operator", "team": team}
        return {"x-api-key": client.post("/v1/keys", json=body).json()["key"]}

    red, blue = key_of("red"), key_of("blue")
    body = {"plan": build.adder("red_only"), "alias": "prod"}
    assert anyone.post("/v1/algorithms/red_only/versions", json=body, headers=red).status_code == 201
    answer = anyone.post("/v1/algorithms/red_only/invoke", json={"x": 1}, headers=red)
    run_id = answer.headers["x-algorail-run-id"]
    assert anyone.get(f"/v1/runs/{run_id}", headers=red).status_code == 200
    for method, path in POLICIES:
        if "{name}" in path or "{run_id}" in path:
            url = path.replace("{name}", "red_only").replace("{run_id}", run_id)
            status = anyone.request(method, concrete(url), headers=blue).status_code
            assert status in {404, 403} or (status == 422 and path.endswith("invoke")), (method, path, status)
    invoked = anyone.post("/v1/algorithms/red_only/invoke", json={"x": 1}, headers=blue)
    assert invoked.status_code == 404
    assert anyone.get("/v1/algorithms", headers=blue).json()["algorithms"] == []
    assert anyone.get("/v1/runs", headers=blue).json()["runs"] == []
    for page in ("/v1/audit", "/metrics"):  # they name the algorithms of all teams
        refused = anyone.get(page, headers=blue)
        assert (refused.status_code, refused.json()["code"]) == (403, "team-bound")
    stolen = build.plan(
        "thief",
        {"x": {"type": "integer"}},
        [{**build.node("s", "sub_algorithm", x="x"), "config": {"algorithm": "red_only", "version": "1"}}],
    )
    assert anyone.post("/v1/validate", json={"plan": stolen}, headers=blue).json()["valid"] is False
    assert anyone.post("/v1/validate", json={"plan": stolen}, headers=red).json()["valid"] is True


def test_a_revoked_key_stops_working_at_once_here(client, anyone):
    made = client.post("/v1/keys", json={"name": "short", "scope": "viewer"}).json()
    headers = {"x-api-key": made["key"]}
    assert anyone.get("/v1/runs", headers=headers).status_code == 200
    assert client.delete(f"/v1/keys/{made['id']}").status_code == 204
    assert anyone.get("/v1/runs", headers=headers).status_code == 401
    shown = client.get("/v1/keys").text
    assert made["key"] not in shown
    assert made["id"] in shown


def test_the_admin_key_is_private_to_its_user(engine, server):
    file = engine.settings.home / "admin.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    stored = (engine.settings.home / "algorail.db").read_bytes()
    assert server.admin_key.encode() not in stored


def test_foreign_host_names_are_refused(anyone):
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""):
        answer = anyone.get("/healthz", headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "host-not-allowed"), host
    for host in ("localhost", "localhost:1234", "[::1]:80", "127.0.0.1"):
        assert anyone.get("/healthz", headers={"host": host}).status_code == 200, host


def test_every_answer_has_security_headers_and_no_cors(client):
    for answer in (client.get("/healthz"), client.get("/nope"), client.post("/v1/keys", content=b"{")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_different_keys_in_one_request_are_refused(anyone, server):
    headers = {"authorization": f"Bearer {server.admin_key}", "x-api-key": "ark_other"}
    assert anyone.get("/v1/runs", headers=headers).status_code == 401
    assert anyone.get("/v1/runs", headers={"authorization": "Basic eA=="}).status_code == 401
