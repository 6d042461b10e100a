"""Whatever a caller sends: a problem document that says what and how to mend it, never a 5xx."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DEEP = b"[" * 100_000
KEYS = json.dumps({f"k{n}": n for n in range(20_000)}).encode()


@pytest.fixture(scope="module", autouse=True)
def target(client, build):
    fields = {"x": {"type": "integer"}, "t": {"type": "string", "default": ""}}
    document = build.plan("target", fields, [build.node("sum", "add", a="x", b={"value": 1})])
    document["record"] = {"mode": "async"}
    body = {"plan": document, "alias": "prod"}
    assert client.post("/v1/algorithms/target/versions", json=body).status_code == 201


BODIES = [
    (b"", 422, "invalid-json"),
    (b"{", 422, "invalid-json"),
    (b"{}", 422, "invalid-input"),
    (b"[]", 422, "invalid-input"),
    (b"null", 422, "invalid-input"),
    (b'{"x": NaN}', 422, "invalid-json"),
    (b'{"x": Infinity}', 422, "invalid-json"),
    (b'{"x": 1e999}', 422, "not-finite"),
    (b'{"x": true}', 422, "invalid-input"),
    (b'{"x": 1.5}', 422, "invalid-input"),
    (b'{"x": "1"}', 422, "invalid-input"),
    (b'{"x": 123456789012345678901234567890}', 422, None),
    (b'{"x": 1, "y": 2}', 422, "invalid-input"),
    (b'{"x": 1, "t": "\\ud800"}', 422, None),
    (b'{"x": 1, "t": "\xff"}', 422, "invalid-json"),
    (DEEP, 422, "too-deep"),
    (KEYS, 422, "too-many-keys"),
    (b" " * 5_000_000, 413, "body-too-large"),
]


@pytest.mark.parametrize(("body", "status", "code"), BODIES, ids=[repr(item[0][:24]) for item in BODIES])
def test_bodies_of_an_invocation(client, body, status, code):
    answer = client.post(
        "/v1/algorithms/target/invoke", content=body, headers={"content-type": "application/json"}
    )
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"]) == (status, status)
    assert code is None or problem["code"] == code
    assert problem["detail"]


@pytest.mark.parametrize(("body", "status", "code"), BODIES, ids=[repr(item[0][:24]) for item in BODIES])
@pytest.mark.parametrize("path", ["/v1/validate", "/v1/keys", "/v1/algorithms/target/versions"])
def test_bodies_of_management_routes(client, path, body, status, code):
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {413, 422}
    assert answer.headers["content-type"] == "application/problem+json"


HEADERS = [
    ({"x-algorail-version": "latest"}, "version-malformed"),
    ({"x-algorail-version": "99"}, "version-not-found"),
    ({"x-algorail-version": "@../x"}, "version-malformed"),
    ({"x-algorail-version": "-1"}, "version-malformed"),
    ({"x-algorail-deadline-ms": "0"}, "header-malformed"),
    ({"x-algorail-deadline-ms": "1e3"}, "header-malformed"),
    ({"x-algorail-deadline-ms": "999999999"}, "header-malformed"),
    ({"x-algorail-unit": "u" * 300}, "header-malformed"),
    ({"idempotency-key": "k" * 300}, "header-malformed"),
    ({"content-type": "text/plain"}, "media-type-unsupported"),
]


@pytest.mark.parametrize(("headers", "code"), HEADERS, ids=lambda value: str(value)[:40])
def test_headers_of_an_invocation(client, headers, code):
    answer = client.post("/v1/algorithms/target/invoke", content=b'{"x": 1}', headers=headers)
    assert answer.json()["code"] == code
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    "path",
    [
        "/v1/algorithms/%00/invoke",
        "/v1/algorithms/target%00/invoke",
        "/v1/algorithms/..%2f..%2fetc/versions",
        "/v1/algorithms/Target/versions",
        "/v1/algorithms/ta%20rget",
        "/v1/algorithms/target/versions/0x1",
        "/v1/runs/%F0%9F%98%80",
        "/v1/runs/../../etc/passwd",
        "/v1/runs?limit=0",
        "/v1/runs?limit=many",
        "/v1/runs?cursor=%00",
        "/v1/runs?since=-1",
        "/v1/bundles/" + "z" * 500,
        "/v1/audit?before=99999999999999999999999",
        "//v1/runs",
    ],
)
def test_odd_paths_and_parameters(client, path):
    answer = client.get(path)
    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert answer.json()["code"]


def test_a_body_that_lies_about_its_length(server):
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /v1/algorithms/target/invoke HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: {server.admin_key}\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(f"{head}Content-Length: 99999999999\r\n\r\n".encode())
        assert b"413" in raw.recv(4096).split(b"\r\n")[0]


def test_plans_that_do_not_hold_together_list_every_problem(client, build):
    nodes = [
        build.node("a", "add", a="nowhere", b="x"),
        build.node("a", "nosuch", x="a"),
        build.node("b", "add", a="b"),
    ]
    answer = client.post(
        "/v1/validate", json={"plan": build.plan("broken", {"x": {"type": "string"}}, nodes)}
    )
    assert answer.status_code == 200
    problems = answer.json()["problems"]
    assert answer.json()["valid"] is False
    assert len(problems) >= 3
    refused = client.post("/v1/algorithms/broken/versions", json={"plan": build.plan("broken", {}, nodes)})
    assert refused.status_code == 422
    assert client.get("/v1/algorithms/broken").status_code == 404


def test_bundles_that_are_none_are_refused(client):
    for body in (b"", b"PK\x05\x06" + b"\0" * 18, b"not a zip"):
        answer = client.post("/v1/bundles", content=body, headers={"content-type": "application/zip"})
        assert (answer.status_code, answer.json()["code"]) == (422, "bundle-invalid")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SHAPED = st.fixed_dictionaries({"x": JSON | st.integers(-(10**20), 10**20)}, optional={"t": JSON})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | (JSON | SHAPED).map(lambda value: json.dumps(value).encode()))
def test_no_body_makes_an_invocation_fail_inside(client, body):
    answer = client.post("/v1/algorithms/target/invoke", content=body)
    assert answer.status_code in {200, 422}
