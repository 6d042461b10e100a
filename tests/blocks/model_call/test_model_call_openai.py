"""OpenAI-compatible servers: chat, streams of tokens, embeddings."""

import json

import pytest

from algorail.blocks.model_call import call
from algorail.engine.kit.errors import Unavailable

STRING = {"type": "string"}


def chat(text):
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}


def streaming(*chunks):
    async def answer(server, send):
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return answer


def event(text):
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


def test_a_prompt_with_parameters(harness):
    with harness.Server(harness.answering(chat("42"))) as server:
        harness.model(server.url, model="big-1")
        block = harness.block(
            protocol="openai_chat", params={"temperature": 0},
            inputs={"prompt": STRING, "system": STRING, "max_tokens": {"type": "integer"}},
        )  # fmt: skip
        assert harness.call(block, prompt="6 x 7?", system="Be brief.", max_tokens=5) == "42"
        path, _, body = server.requests[0]
        assert path == "/v1/chat/completions"
        assert body == {
            "model": "big-1",
            "temperature": 0,
            "max_tokens": 5,
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "6 x 7?"}],
        }


def test_a_structured_answer_is_read_and_checked(harness):
    output = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    with harness.Server(
        harness.answering(chat('{"n": 42}')), harness.answering(chat('{"n": "x"}'))
    ) as server:
        harness.model(server.url)
        block = harness.block(protocol="openai_chat", output=output)
        assert harness.call(block, prompt="?") == {"n": 42}
        with pytest.raises(Unavailable) as caught:
            harness.call(block, prompt="?")
        assert caught.value.code == "model-bad-response"


def test_tokens_are_passed_on_as_they_come_and_joined(harness):
    whole = event("Hel") + event("lo, ") + event("wörld") + b'data: {"choices": []}\n\ndata: [DONE]\n\n'
    chunks = [whole[:30], whole[30:31], whole[31:150], whole[150:]]
    with harness.Server(streaming(*chunks)) as server:
        harness.model(server.url)
        ctx = harness.Context()
        assert (
            harness.call(harness.block(protocol="openai_chat", stream=True), ctx, prompt="Hi")
            == "Hello, wörld"
        )
        assert ctx.deltas == ["Hel", "lo, ", "wörld"]
        assert server.requests[0][2]["stream"] is True


def test_a_stream_that_breaks_is_not_begun_again(harness):
    async def breaking(server, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": event("Hel"), "more_body": True})

    with harness.Server(breaking) as server:
        harness.model(server.url)
        ctx = harness.Context()
        with pytest.raises(Unavailable) as caught:
            harness.call(harness.block(protocol="openai_chat", stream=True, timeout=5), ctx, prompt="Hi")
        assert (caught.value.code, ctx.deltas, len(server.requests)) == ("model-down", ["Hel"], 1)


@pytest.mark.parametrize("chunk", [event("more and more"), b"data: a line without an end"])
def test_a_stream_that_never_ends_is_cut(harness, monkeypatch, chunk):
    monkeypatch.setattr(call, "MAX_RESPONSE", 1_000)

    with harness.Server(streaming(*[chunk] * 100)) as server:
        harness.model(server.url)
        with pytest.raises(Unavailable, match="answered more than 1000 bytes"):
            harness.call(harness.block(protocol="openai_chat", stream=True), prompt="Hi")


@pytest.mark.parametrize("answer", [{"choices": []}, {"error": {}}, chat(None), chat(7)])
def test_a_chat_without_text_is_refused(harness, answer):
    with harness.Server(harness.answering(answer)) as server:
        harness.model(server.url)
        with pytest.raises(Unavailable) as caught:
            harness.call(harness.block(protocol="openai_chat"), prompt="?")
        assert caught.value.code == "model-bad-response"


def test_embeddings_of_one_and_many_come_back_in_order(harness):
    data = [{"index": 1, "embedding": [3.0, 4.0]}, {"index": 0, "embedding": [1.0, 2.0]}]
    with harness.Server(harness.answering({"data": data}), harness.answering({"data": data[1:]})) as server:
        harness.model(server.url)
        many = harness.block(protocol="openai_embeddings", batch=True)
        assert [vector.tolist() for vector in harness.call(many, text=["a", "b"])] == [[1, 2], [3, 4]]
        assert server.requests[0][2] == {"model": "m", "input": ["a", "b"], "encoding_format": "float"}
        one = harness.block(protocol="openai_embeddings")
        assert harness.call(one, text="a").tolist() == [1, 2]
        with pytest.raises(Unavailable, match="1 embeddings, asked for 2"):
            harness.call(many, text=["a", "b"])
