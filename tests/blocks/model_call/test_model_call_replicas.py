"""The block against the real thing: two replicas of a scikit-learn model, one of which is killed on the way."""

import asyncio
import os
import signal
from typing import Annotated, TypedDict

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from algorail.blocks.model_call import KIND, model_call
from algorail.engine import Vector
from algorail.engine.kit.errors import ConfigInvalid, Unavailable
from algorail.engine.plan.annotations import dim, type_of
from algorail.engine.plan.types import ListType, to_schema
from algorail.model_host.deploy.local import LocalHost, LocalSettings
from algorail.model_host.package import save_sklearn

Pixels = Annotated[Vector, dim(64)]


class Prediction(TypedDict):
    label: int
    probabilities: Annotated[Vector, dim(10, "float64")]


@pytest.mark.integration
def test_no_call_is_lost_when_a_replica_is_killed(harness):
    images, labels = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=100).fit(images[:400] / 16, labels[:400])
    save_sklearn(model, harness.home / "digits", name="digits", inputs={"pixels": "float64[64]"})
    one = {"inputs": {"pixels": to_schema(type_of(Pixels))}, "output": to_schema(type_of(Prediction))}
    label = one | {"output": {"type": "integer"}, "output_tensors": {"": "label"}, "batch": True}

    async def go():
        async with LocalHost(harness.home, LocalSettings(backoff=0.01, grace=5)) as host:
            endpoint = await host.deploy("digits", harness.home / "digits", replicas=2)
            call = harness.block(**one, model="digits")
            pixels = (images[7] / 16).astype("float32")
            found = await call(harness.Context(), pixels=pixels)
            assert found["label"] == model.predict(images[7:8] / 16)[0]
            assert found["probabilities"].shape == (10,)
            many = harness.block(**label, model="digits")
            rows = [row.astype("float32") for row in images[:20] / 16]
            assert await many(harness.Context(), pixels=rows) == model.predict(images[:20] / 16).tolist()
            plain = harness.block(**one, model="digits", protocol="json")
            assert (await plain(harness.Context(), pixels=pixels))["label"] == found["label"]

            os.kill(endpoint.pids[0], signal.SIGKILL)
            calls = [call(harness.Context(), pixels=pixels) for _ in range(20)]
            assert {answer["label"] for answer in await asyncio.gather(*calls)} == {found["label"]}

            wrong = harness.block(
                **one | {"inputs": {"pixels": to_schema(type_of(list[float]))}}, model="digits"
            )
            with pytest.raises(Unavailable, match="shape") as caught:
                await wrong(harness.Context(), pixels=[0.0] * 63)
            assert caught.value.code == "model-refused"

    harness.runner.run(go())


def test_the_factory_types_the_ports():
    block = model_call("digits", inputs={"pixels": Pixels}, output=Prediction, retries=1)
    config = harness_config(block)
    ports = KIND.signature(config)
    assert ports.inputs["pixels"].type == type_of(Pixels)
    assert ports.output == type_of(Prediction)
    assert config.retries == 1
    batch = harness_config(model_call("digits", inputs={"pixels": Pixels}, output=int, batch=True))
    assert KIND.signature(batch).output == ListType(type_of(int))


def harness_config(block):
    import msgspec

    return msgspec.convert(block.config, KIND.config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "either model or url"),
        ({"model": "m", "url": "http://a"}, "either model or url"),
        ({"model": "m"}, "at least one input"),
        ({"model": "m", "protocol": "json", "inputs": {"x": {}}, "path": "x"}, "start with"),
        ({"model": "m", "protocol": "json", "inputs": {"x": {}}, "path": "/../admin"}, "plain path"),
        ({"model": "m", "inputs": {"x": {"type": "number"}}, "version": ".."}, "version == '..'"),
        ({"model": "m", "protocol": "json", "inputs": {"x": {}}, "stream": True}, "only openai_chat"),
        ({"model": "m", "protocol": "openai_chat", "batch": True}, "one conversation"),
        ({"model": "m", "protocol": "openai_chat", "timeout": 0}, "timeout == 0"),
        ({"model": "m", "protocol": "openai_chat", "retries": 99}, "retries == 99"),
        ({"model": "m", "inputs": {"x": {"type": "object"}}}, "no tensor"),
        ({"model": "m", "inputs": {"x": {"type": "number"}}, "tensors": {"y": {}}}, "no input 'y'"),
    ],
)
def test_a_wrong_configuration_is_said(harness, fields, message):
    with pytest.raises(ConfigInvalid, match=message):
        KIND.signature(harness.config(**fields))


@pytest.mark.parametrize(
    "url", ["ftp://host", "http://user:pass@host", "http://", "http://host/?a=1", "file:///etc/passwd"]
)
def test_odd_addresses_in_the_settings_are_refused(harness, url):
    harness.set(allow=[url])
    with pytest.raises(ConfigInvalid, match="url =="):
        harness.block(inputs={"x": {"type": "number"}}, output={"type": "number"})


def test_vectors_travel_as_they_are(harness):
    answer = {"outputs": [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [1.5, 2]}]}
    with harness.Server(harness.answering(answer)) as server:
        harness.model(server.url)
        schema = to_schema(type_of(Annotated[Vector, dim(2)]))
        block = harness.block(inputs={"x": schema}, output=schema)
        strided = np.arange(4, dtype="float32")[::2]
        found = harness.call(block, x=strided)
        assert (found.tolist(), found.dtype.name) == ([1.5, 2.0], "float32")
        assert server.requests[0][2]["inputs"][0]["data"] == [0.0, 2.0]
