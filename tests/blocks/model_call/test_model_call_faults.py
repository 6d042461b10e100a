"""Models that are down, slow, busy or lying: every one has its own code, and nothing wrong is passed on."""

import json

import numpy as np
import pytest

from algorail.engine.kit.errors import DeadlineExceeded, Forbidden, NotFound, Overloaded, Unavailable

NUMBER = {"type": "number"}
OIP = {"inputs": {"x": NUMBER}, "output": NUMBER}
PLAIN = {"protocol": "json", "inputs": {"x": NUMBER}, "output": NUMBER, "select": ["y"]}


def infer(data=(2.0,), shape=(1,), datatype="FP64", name="y"):
    return {"outputs": [{"name": name, "shape": list(shape), "datatype": datatype, "data": list(data)}]}


def code(harness, error, block, ctx=None, **inputs):
    with pytest.raises(error) as caught:
        harness.call(block, ctx, **(inputs or {"x": 1.0}))
    return caught.value.code


def test_a_model_that_is_down(harness):
    harness.model(harness.closed_port())
    assert code(harness, Unavailable, harness.block(**OIP, retries=0)) == "model-down"


def test_a_model_without_replicas(harness):
    harness.model()
    assert code(harness, Unavailable, harness.block(**OIP)) == "model-down"


def test_an_unknown_model_lists_the_known_ones(harness):
    harness.model("http://127.0.0.1:1", name="other")
    with pytest.raises(NotFound, match="other"):
        harness.call(harness.block(**OIP), x=1.0)


def test_the_next_address_answers_for_one_that_is_down(harness):
    with harness.Server(harness.answering(infer())) as up:
        harness.model(harness.closed_port(), up.url)
        block = harness.block(**OIP)
        assert [harness.call(block, x=1.0) for _ in range(8)] == [2.0] * 8
        assert len(up.requests) == 8


def test_a_slow_model_is_given_up_by_the_timeout_and_not_asked_twice(harness):
    with harness.Server(harness.never) as slow:
        harness.model(slow.url)
        assert code(harness, Unavailable, harness.block(**OIP, timeout=0.05)) == "model-timeout"
        assert len(slow.requests) == 1


def test_the_deadline_of_the_run_is_passed_on_and_kept(harness):
    with harness.Server(harness.never) as slow:
        harness.model(slow.url)
        block = harness.block(**OIP)
        assert code(harness, DeadlineExceeded, block, harness.Context(0.05)) == "deadline-exceeded"
        [(_, headers, _)] = slow.requests
        assert int(headers["x-deadline-ms"]) == 50
        assert headers["traceparent"] == harness.Context.traceparent
        assert code(harness, DeadlineExceeded, block, harness.Context(0)) == "deadline-exceeded"
        assert len(slow.requests) == 1


def test_a_busy_model_is_asked_again_when_it_says(harness):
    with harness.Server(harness.answering({}, 429, retry_after="0"), harness.answering(infer())) as busy:
        harness.model(busy.url)
        assert harness.call(harness.block(**OIP), x=1.0) == 2.0
        assert len(busy.requests) == 2


@pytest.mark.parametrize(("said", "seconds"), [("60", 60), ("9" * 400, 3_600)])
def test_a_busy_model_is_not_waited_for_beyond_the_deadline(harness, said, seconds):
    with harness.Server(harness.answering({"error": "full"}, 503, retry_after=said)) as busy:
        harness.model(busy.url)
        with pytest.raises(Overloaded, match="full") as caught:
            harness.call(harness.block(**OIP), harness.Context(5), x=1.0)
        assert (caught.value.code, caught.value.retry_after) == ("model-overloaded", seconds)
        assert len(busy.requests) == 1


@pytest.mark.parametrize(("status", "expected"), [(400, "model-refused"), (404, "model-refused"), (302, "model-refused"),
                                                  (500, "model-error"), (504, "model-timeout")])  # fmt: skip
def test_answers_that_say_no_are_not_repeated(harness, status, expected):
    with harness.Server(
        harness.answering({"error": "because"}, status, location="http://169.254.169.254/")
    ) as server:
        harness.model(server.url)
        with pytest.raises(Unavailable, match="because") as caught:
            harness.call(harness.block(**OIP), x=1.0)
        assert caught.value.code == expected
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [b"<html>", b"", [], {"outputs": []}, infer(name="z") | {"more": 1}, infer(shape=(2,)), infer(shape=()), infer((), (0,)),
     infer((1.0, 2.0), (2,)), infer(("a",), datatype="BYTES"), infer((None,)), infer(("2.0",)), infer((True,))],
    ids=str,
)  # fmt: skip
def test_a_lying_model_is_never_believed(harness, answer):
    with harness.Server(harness.answering(answer)) as server:
        harness.model(server.url)
        block = harness.block(**OIP, output_tensors={"": "y"})
        assert code(harness, Unavailable, block) == "model-bad-response"
        assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [{}, {"y": "2"}, {"y": None}, [1], b"nonsense", {"z": 1}])
def test_plain_answers_are_checked_as_well(harness, answer):
    with harness.Server(harness.answering(answer)) as server:
        harness.model(server.url)
        assert code(harness, Unavailable, harness.block(**PLAIN)) == "model-bad-response"


def test_a_vector_of_the_wrong_size_is_refused(harness):
    output = {"type": "array", "items": {"type": "number"}, "x-vector": {"size": 3, "dtype": "float32"}}
    from algorail.engine.plan.types import VectorType, to_schema

    output = to_schema(VectorType(3, "float32"))
    with harness.Server(
        harness.answering(infer((1.0, 2.0), (1, 2))), harness.answering(infer((1.0, 2.0, 3.0), (1, 3)))
    ) as server:
        harness.model(server.url)
        block = harness.block(inputs={"x": NUMBER}, output=output)
        assert code(harness, Unavailable, block) == "model-bad-response"
        found = harness.call(block, x=1.0)
        assert (found.dtype, found.tolist()) == (np.dtype("float32"), [1, 2, 3])


def test_an_answer_cut_short_is_down_not_data(harness):
    with harness.Server(harness.hang_up) as server:
        harness.model(server.url)
        assert code(harness, Unavailable, harness.block(**OIP, retries=0, timeout=5)) == "model-down"


def test_an_address_that_keeps_failing_is_left_alone_then_probed(harness):
    answers = [harness.answering({}, 500)] * 4 + [harness.answering(infer())]
    with harness.Server(*answers) as server:
        harness.model(server.url)
        block = harness.block(**OIP)
        assert [code(harness, Unavailable, block) for _ in range(5)] == ["model-error"] * 3 + [
            "model-down"
        ] * 2
        assert len(server.requests) == 3
        harness.services.clock.time += 1.1
        assert code(harness, Unavailable, block) == "model-error"
        harness.services.clock.time += 1.1
        assert code(harness, Unavailable, block) == "model-down"
        harness.services.clock.time += 1.1
        assert [harness.call(block, x=1.0) for _ in range(3)] == [2.0] * 3


def test_a_url_must_be_allowed_by_the_operator(harness):
    with harness.Server(harness.answering({"y": 3.0})) as server:
        plain = PLAIN | {"model": "", "url": server.url, "path": "/score"}
        assert code(harness, Forbidden, harness.block(**plain)) == "model-url-forbidden"
        assert server.requests == []
        harness.set(allow=[server.url])
        assert harness.call(harness.block(**plain), x=1.0) == 3.0
        assert server.requests[0][0] == "/score"


def test_a_secret_is_sent_and_never_shown(harness):
    with harness.Server(harness.answering({"y": 3.0})) as server:
        harness.set(models={"m": {"urls": [server.url], "api_key": "vendor"}}, secrets={"vendor": "s3cret"})
        assert harness.call(harness.block(**PLAIN), x=1.0) == 3.0
        assert server.requests[0][1]["authorization"] == "Bearer s3cret"


def test_the_endpoint_file_is_read_again_when_it_changes(harness):
    from algorail.model_host.endpoints import EndpointEntry, put_endpoint, remove_endpoint
    from algorail.model_host.spec import Tensor

    with (
        harness.Server(harness.answering(infer())) as one,
        harness.Server(harness.answering(infer((5.0,)))) as two,
    ):
        put_endpoint(harness.home, "m", EndpointEntry(urls=[one.url], inputs={"x": Tensor("float32")}))
        block = harness.block(**OIP)
        assert harness.call(block, x=1.0) == 2.0
        assert one.requests[0][2] == {
            "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}]
        }
        put_endpoint(harness.home, "m", EndpointEntry(urls=[two.url]))
        assert harness.call(block, x=1.0) == 5.0
        remove_endpoint(harness.home, "m")
        assert code(harness, NotFound, block) == "model-not-found"


def test_shapes_and_names_on_the_wire(harness):
    answer = {"outputs": [{"name": "out", "shape": [2], "datatype": "INT64", "data": [1, 0]}]}
    with harness.Server(harness.answering(answer)) as server:
        harness.model(server.url, model="remote")
        block = harness.block(
            inputs={"image": {"type": "array", "items": {"type": "array", "items": NUMBER}}, "name": {"type": "string"}},
            output={"type": "integer"}, batch=True, version="7",
            tensors={"image": {"name": "pixels", "datatype": "FP32"}},
        )  # fmt: skip
        image = [[0.0, 1.0], [2.0, 3.0]]
        assert harness.call(block, image=[image, image], name=["a", "b"]) == [1, 0]
        path, _, body = server.requests[0]
        assert path == "/v2/models/remote/versions/7/infer"
        assert json.loads(json.dumps(body["inputs"])) == [
            {"name": "pixels", "shape": [2, 2, 2], "datatype": "FP32", "data": [0.0, 1.0, 2.0, 3.0] * 2},
            {"name": "name", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]},
        ]
