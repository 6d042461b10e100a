"""The OpenAPI documents: what they say is what the server does, and clients can be generated from them."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from algorail.engine.api.policy import POLICIES


@pytest.fixture(scope="module")
def schema(client, build):
    body = {"plan": build.adder("described", record={"mode": "async"}), "alias": "prod"}
    assert client.post("/v1/algorithms/described/versions", json=body).status_code == 201
    return schemathesis.openapi.from_dict(client.get("/openapi.json").json())


@pytest.mark.slow
def test_no_described_request_makes_the_server_fail(schema, server):
    """Schemathesis: every operation, valid and broken requests; no 5xx and only described answers."""
    failures = []
    # Archives are not generated from a schema; test_bad_input sends broken ones.
    for operation in schema.exclude(path="/v1/bundles", method="POST").get_all_operations():
        _exercise(operation.ok(), server, failures)
    assert not failures, "\n".join(failures)


def _exercise(operation, server, failures):
    @settings(
        max_examples=25,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def check(case):
        # A deadline of a few milliseconds is answered with 504, rightly.
        case.headers.pop("X-Algorail-Deadline-Ms", None)
        response = case.call(base_url=server.url, headers={"x-api-key": server.admin_key})
        if response.status_code >= 500:
            failures.append(f"{case.method} {case.formatted_path}: {response.status_code}")
        if response.status_code >= 400:
            assert response.headers["content-type"][0] == "application/problem+json", case.formatted_path

    check()


def test_every_operation_of_the_policy_table_is_described(client):
    described = {
        (method.upper(), path)
        for path, operations in client.get("/openapi.json").json()["paths"].items()
        for method in operations
    }
    assert described == set(POLICIES)


def test_a_generated_client_calls_an_algorithm(client, server, publish, build, tmp_path, monkeypatch):
    fields = {"x": {"type": "integer", "description": "First."}, "y": {"type": "number", "default": 0.5}}
    point = {
        "type": "object",
        "properties": {"x": {"type": "integer"}, "y": {"type": "number"}, "tag": {"type": "string"}},
        "required": ["x", "y", "tag"],
        "additionalProperties": False,
    }
    document = build.plan("make-point", fields, [build.node("made", "point", x="x", y="y")])
    publish({**document, "output": point})
    contract = tmp_path / "contract.json"
    contract.write_text(json.dumps(client.get("/v1/algorithms/make-point/openapi.json").json()))
    command = [
        sys.executable,
        "-m",
        "openapi_python_client",
        "generate",
        "--path",
        str(contract),
        "--meta",
        "none",
    ]
    subprocess.run(
        [*command, "--output-path", str(tmp_path / "point_client")], check=True, capture_output=True
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    api = importlib.import_module("point_client.api.default.make_point")
    models = importlib.import_module("point_client.models")
    package = importlib.import_module("point_client")
    with package.AuthenticatedClient(base_url=server.url, token=server.admin_key) as connected:
        answer = api.sync(client=connected, body=models.MakePointInputs(x=3))
        assert (answer.x, answer.y, answer.tag) == (3, 0.5, "p")
        refused = api.sync_detailed(
            client=connected, body=models.MakePointInputs(x=3), x_algorail_version="99"
        )
        assert refused.status_code == 404
