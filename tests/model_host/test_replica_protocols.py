"""The replica's application, called in this process with a real model behind it."""

import asyncio
import json

import httpx
import numpy as np
import pytest

from algorail.model_host.serve.app import Limits, ReplicaApp
from algorail.model_host.serve.runtimes import load
from algorail.model_host.spec import Manifest, Tensor


@pytest.fixture(scope="module")
def model(digits):
    return load(digits.folder)


def ask(model, method, path, *, body=None, headers=None, limits=None, drain=False):
    manifest, runtime = model

    async def go():
        app = ReplicaApp(manifest, runtime, version="3", limits=limits)
        app.draining = drain
        try:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://replica"
            ) as client:
                content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
                return await client.request(method, path, content=content, headers=headers)
        finally:
            app.close()

    return asyncio.run(go())


def tensor(data, shape=(1, 64), datatype="FP32", name="pixels", **rest):
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": data, **rest}


ROW = [0.5] * 64


@pytest.mark.parametrize("path", ["/v2/models/digits/infer", "/v2/models/digits/versions/3/infer"])
def test_a_batch_is_inferred_on_both_paths(model, digits, path):
    rows = digits.images[:5]
    answer = ask(
        model, "POST", path, body={"id": "a1", "inputs": [tensor(rows.reshape(-1).tolist(), (5, 64))]}
    )
    assert answer.status_code == 200
    found = answer.json()
    assert (found["id"], found["model_name"], found["model_version"]) == ("a1", "digits", "3")
    label, probabilities = found["outputs"]
    assert (label["name"], label["datatype"], label["shape"]) == ("label", "INT64", [5])
    assert label["data"] == digits.model.predict(rows).tolist()
    assert (probabilities["shape"], len(probabilities["data"])) == ([5, 10], 50)


def test_nested_data_and_narrower_types_are_taken(model):
    nested = ask(model, "POST", "/v2/models/digits/infer", body={"inputs": [tensor([ROW, ROW], (2, 64))]})
    narrow = ask(
        model, "POST", "/v2/models/digits/infer", body={"inputs": [tensor([1] * 64, datatype="INT8")]}
    )
    assert (nested.status_code, narrow.status_code) == (200, 200)


def test_only_the_outputs_asked_for_are_sent(model):
    body = {"inputs": [tensor(ROW)], "outputs": [{"name": "label"}]}
    assert [
        part["name"] for part in ask(model, "POST", "/v2/models/digits/infer", body=body).json()["outputs"]
    ] == ["label"]


BAD = {
    "malformed": b'{"inputs": [',
    "not an object": b"[]",
    "no inputs": {},
    "unknown field": {"inputs": [tensor(ROW)], "input": 1},
    "not utf-8": b'{"inputs": "\xff"}',
    "too short": {"inputs": [tensor(ROW[:-1])]},
    "too long": {"inputs": [tensor([*ROW, 0.0])]},
    "wrong width": {"inputs": [tensor(ROW[:32], (1, 32))]},
    "wrong rank": {"inputs": [tensor(ROW, (64,))]},
    "no rows": {"inputs": [tensor([], (0, 64))]},
    "negative": {"inputs": [tensor(ROW, (-1, 64))]},
    "huge shape": {"inputs": [tensor(ROW, (2**60, 64))]},
    "bool shape": {"inputs": [tensor(ROW, (True, 64))]},
    "ragged": {"inputs": [tensor([ROW, ROW[:-1]], (2, 64))]},
    "nested against shape": {"inputs": [tensor([ROW], (2, 64))]},
    "unknown datatype": {"inputs": [tensor(ROW, datatype="FLOAT")]},
    "lossy datatype": {"inputs": [tensor(ROW, datatype="FP64")]},
    "text for numbers": {"inputs": [tensor(["a"] * 64, datatype="BYTES")]},
    "strings": {"inputs": [tensor(["0.5"] * 64)]},
    "bools": {"inputs": [tensor([True] * 64)]},
    "nulls": {"inputs": [tensor([None] * 64)]},
    "scalar data": {"inputs": [tensor(0.5)]},
    "NaN": b'{"inputs":[{"name":"pixels","shape":[1,64],"datatype":"FP32","data":[NaN]}]}',
    "1e999": {"inputs": [tensor(ROW)]},
    "too large for float32": {"inputs": [tensor([1e300] * 64)]},
    "int8 overflow": {"inputs": [tensor([300] * 64, datatype="INT8")]},
    "wrong name": {"inputs": [tensor(ROW, name="pixel")]},
    "twice": {"inputs": [tensor(ROW), tensor(ROW)]},
    "one too many": {"inputs": [tensor(ROW), tensor(ROW, name="other")]},
    "unknown output": {"inputs": [tensor(ROW)], "outputs": [{"name": "y"}]},
}
BAD["1e999"] = json.dumps(BAD["1e999"]).replace("0.5", "1e999").encode()


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_every_mistake_of_the_caller_is_400(model, body):
    answer = ask(model, "POST", "/v2/models/digits/infer", body=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]


def test_plain_json_takes_one_row_or_many(model, digits):
    one = ask(model, "POST", "/v1/models/digits/predict", body={"pixels": digits.images[7].tolist()})
    many = ask(
        model, "POST", "/v1/models/digits/predict", body={"instances": [{"pixels": ROW}, {"pixels": ROW}]}
    )
    assert one.json()["label"] == digits.model.predict(digits.images[7:8])[0]
    assert len(one.json()["probabilities"]) == 10
    assert len(many.json()["predictions"]) == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"{", {}, {"pixels": ROW[:-1]}, {"pixels": ["x"] * 64}, {"pixels": [True] * 64}, {"pixels": ROW, "more": 1},
     {"instances": []}, {"instances": [{}]}, {"instances": [{"pixels": ROW}], "x": 1}, {"pixels": [1e300] * 64}],
)  # fmt: skip
def test_plain_mistakes_are_400_and_say_where(model, body):
    answer = ask(model, "POST", "/v1/models/digits/predict", body=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/v2/models/other/infer", 404), ("POST", "/v2/models/digits/versions/4/infer", 404), ("GET", "/v2/models/x", 404),
     ("POST", "/v1/models/other/predict", 404), ("GET", "/nothing", 404), ("GET", "/v2/models/digits/infer", 405),
     ("POST", "/v2/health/ready", 405), ("GET", "/v2/models/", 404)],
)  # fmt: skip
def test_what_does_not_exist_is_said(model, method, path, status):
    answer = ask(model, method, path)
    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)


def test_metadata_and_schema(model):
    metadata = ask(model, "GET", "/v2/models/digits").json()
    assert metadata["inputs"] == [{"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}]
    schema = ask(model, "GET", "/v1/models/digits").json()
    assert schema["input"]["properties"]["pixels"]["minItems"] == 64


@pytest.mark.parametrize(
    "path", ["/v2/health/ready", "/readyz", "/v2/models/digits/ready", "/v2/models/digits/versions/3/ready"]
)
def test_a_draining_replica_is_alive_but_not_ready(model, path):
    assert ask(model, "GET", path).status_code == 200
    assert ask(model, "GET", path, drain=True).status_code == 503
    assert ask(model, "GET", "/v2/health/live", drain=True).status_code == 200
    assert ask(model, "GET", "/healthz", drain=True).status_code == 200


def test_a_deadline_that_passed_is_504_and_a_bad_one_400(model):
    late = ask(
        model, "POST", "/v1/models/digits/predict", body={"pixels": ROW}, headers={"X-Deadline-Ms": "0"}
    )
    odd = ask(
        model, "POST", "/v1/models/digits/predict", body={"pixels": ROW}, headers={"X-Deadline-Ms": "soon"}
    )
    assert (late.status_code, odd.status_code) == (504, 400)


def test_limits_of_body_and_rows(model):
    big = ask(model, "POST", "/v1/models/digits/predict", body={"pixels": ROW}, limits=Limits(max_body=100))
    many = ask(
        model,
        "POST",
        "/v1/models/digits/predict",
        body={"instances": [{"pixels": ROW}] * 3},
        limits=Limits(max_rows=2),
    )
    assert (big.status_code, many.status_code) == (413, 400)


def test_metrics_count_answers(model):
    manifest, runtime = model

    async def go():
        app = ReplicaApp(manifest, runtime)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://replica") as client:
            await client.post("/v1/models/digits/predict", content=json.dumps({"pixels": ROW}))
            await client.post("/v2/models/digits/infer", content=b"{")
            metrics = (await client.get("/metrics")).text
        app.close()
        return metrics

    metrics = asyncio.run(go())
    assert (
        'algorail_model_requests_total{model="digits",protocol="v1",status="200",version="1"} 1.0' in metrics
    )
    assert (
        'algorail_model_requests_total{model="digits",protocol="v2",status="400",version="1"} 1.0' in metrics
    )
    assert 'algorail_model_requests_in_flight{model="digits",version="1"} 0.0' in metrics


class Lying:
    def __init__(self, found):
        self.found = found

    def predict(self, inputs):
        if isinstance(self.found, Exception):
            raise self.found
        return {"y": self.found}


@pytest.mark.parametrize("found", [np.zeros(2), np.zeros((1, 3)), np.array([np.nan]), ValueError("boom")])
def test_a_model_that_lies_or_fails_is_500_and_said(found):
    manifest = Manifest(
        name="liar",
        kind="class",
        format="code",
        inputs={"x": Tensor("float64")},
        outputs={"y": Tensor("float64")},
        files={},
    )
    answer = ask((manifest, Lying(found)), "POST", "/v1/models/liar/predict", body={"x": 1})
    assert answer.status_code == 500
    assert answer.json()["code"] in ("model-lies", "model-failed")
