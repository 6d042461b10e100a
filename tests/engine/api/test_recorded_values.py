"""What comes back from the record over HTTP: arrays short or in full, replays, runs of a sensitive unit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import numpy as np
import pytest

from algorail.engine.api.app import create_app
from algorail.engine.plan.types import INTEGER, NUMBER, STRING, VectorType
from algorail.engine.registry.kinds import InstalledKinds
from algorail.engine.service.engine import Engine
from algorail.engine.service.settings import EngineSettings, Settings
from algorail.engine.testing.kinds import SIMPLE_KINDS, simple_kind
from algorail.engine.testing.server import RunningServer, running_server
from algorail.engine.worker.executors import executor_of

VECTOR = VectorType(None)


def _greeted(who: str) -> int:
    if who.endswith(".invalid"):
        raise ValueError(f"there is no {who}")
    return len(who) // 2


KINDS = (
    *SIMPLE_KINDS,
    simple_kind("scale", {"v": VECTOR}, VECTOR, lambda v: v * np.float32(0.5)),
    simple_kind("widen", {"v": VECTOR, "n": INTEGER}, VECTOR, lambda v, n: np.resize(v, (n,))),
    simple_kind("peak", {"v": VECTOR}, NUMBER, lambda v: float(v.max())),
    simple_kind("greet", {"who": replace(STRING, sensitivity="pii")}, INTEGER, _greeted),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), engine=EngineSettings(record_arrays="summary"))
    engine = Engine(settings, kinds=InstalledKinds(points=[], extra=KINDS))
    with running_server(settings, create_app(settings, engine=engine, executor=executor_of)) as running:
        yield running


@pytest.fixture(scope="module")
def peaks(server: RunningServer, build) -> str:
    """A published algorithm: halve a vector, repeat it to a length, take its peak."""
    nodes = [
        build.node("scaled", "scale", v="v"),
        build.node("wide", "widen", v="scaled", n="length"),
        build.node("top", "peak", v="wide"),
    ]
    schema = {"type": "array", "items": {"type": "number"}, "x-vector": {"dtype": "float32"}}
    document = build.plan("peaks", {"v": schema, "length": {"type": "integer"}}, nodes, "number")
    with httpx.Client(base_url=server.url, headers={"x-api-key": server.admin_key}) as client:
        path = "/v1/algorithms/peaks/versions"
        response = client.post(path, json={"plan": document, "alias": "prod"})
        assert response.status_code == 201, response.text
    return "peaks"


def invoke(client: httpx.Client, name: str, body: object) -> str:
    response = client.post(f"/v1/algorithms/{name}/invoke", json=body)
    assert response.status_code == 200, response.text
    return response.headers["x-algorail-run-id"]


def replay(client: httpx.Client, run_id: str, **body: object) -> httpx.Response:
    return client.post(f"/v1/runs/{run_id}/replay", json=body)


def verdicts(response: httpx.Response) -> dict[str, str]:
    assert response.status_code == 200, response.text
    return {block["node"]: block["verdict"] for block in response.json()["blocks"]}


def test_a_run_on_a_vector_can_be_run_again_from_anywhere(client, peaks):
    run_id = invoke(client, peaks, {"v": [float(n) for n in range(64)], "length": 100})
    same = {"scaled": "equal", "wide": "equal", "top": "equal"}
    assert verdicts(replay(client, run_id)) == same
    for node in same:
        assert verdicts(replay(client, run_id, from_node=node)) == same
    body = {"version": 1, "node": "top", "source_run": run_id}
    partial = client.post(f"/v1/algorithms/{peaks}/partial", json=body)
    assert partial.json()["output"] == 31.5


def test_a_large_input_is_kept_and_a_large_output_is_not(client, peaks):
    run_id = invoke(client, peaks, {"v": [float(n) for n in range(5_000)], "length": 6_000})
    assert set(verdicts(replay(client, run_id)).values()) == {"equal"}
    run = client.get(f"/v1/runs/{run_id}", params={"full": True}).json()
    assert run["inputs"]["v"] == [float(n) for n in range(5_000)]
    assert run["blocks"][0]["output"]["$record"] == "array"
    refused = replay(client, run_id, from_node="top")
    assert (refused.status_code, refused.json()["code"]) == (409, "not-on-record")
    assert "RECORD_ARRAYS=full" in refused.json()["cure"]


def test_arrays_are_shown_short_unless_all_of_them_is_asked_for(client, peaks):
    vector = [float(n) for n in range(64)]
    path = f"/v1/runs/{invoke(client, peaks, {'v': vector, 'length': 3})}"
    short = client.get(path).json()
    assert short["inputs"]["v"] == {
        "$record": "array",
        "dtype": "float32",
        "shape": [64],
        "head": vector[:8],
        "complete": True,
    }
    assert short["blocks"][1]["output"] == [0.0, 0.5, 1.0], "a few items are shown as they are"
    assert client.get(path, params={"full": True}).json()["blocks"][0]["inputs"]["v"] == vector


def test_runs_of_a_sensitive_unit_are_found_by_it_and_do_not_name_it(client, build):
    who = {"type": "string", "x-sensitivity": "pii"}
    document = build.plan("greetings", {"who": who}, [build.node("n", "greet", who="who")], unit="who")
    published = client.post("/v1/algorithms/greetings/versions", json={"plan": document, "alias": "prod"})
    assert published.status_code == 201, published.text
    run_id = invoke(client, "greetings", {"who": "ada@example.org"})
    invoke(client, "greetings", {"who": "bob@example.org"})
    page = client.get("/v1/runs", params={"unit": "ada@example.org"})
    assert [head["run_id"] for head in page.json()["runs"]] == [run_id]
    assert page.json()["runs"][0]["unit"].startswith("masked:")
    assert "ada@" not in page.text + client.get(f"/v1/runs/{run_id}").text
    refused = replay(client, run_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "not-on-record")


def test_an_error_does_not_tell_what_is_sensitive(client, build):
    who = {"type": "string", "x-sensitivity": "pii"}
    document = build.plan("refusals", {"who": who}, [build.node("n", "greet", who="who")])
    published = client.post("/v1/algorithms/refusals/versions", json={"plan": document, "alias": "prod"})
    assert published.status_code == 201, published.text
    place, body = "/v1/algorithms/refusals", {"who": "ada@home.invalid"}
    answers = [client.post(f"{place}/invoke", json=body, headers={"idempotency-key": "again"}) for _ in "ab"]
    answers.append(client.post(f"{place}/invoke", json=body, headers={"accept": "text/event-stream"}))
    url = client.post(f"{place}/runs", json=body).json()["output_url"]
    answers.append(_awaited(client, url))
    for answer in answers:
        assert "there is no [masked]" in answer.text
        assert "ada@" not in answer.text


def _awaited(client: httpx.Client, url: str) -> httpx.Response:
    deadline = time.monotonic() + 20
    while (answer := client.get(url)).status_code == 202:
        assert time.monotonic() < deadline, "the run does not end"
        time.sleep(0.02)
    return answer
