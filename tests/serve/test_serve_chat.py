"""The interface of OpenAI, by which chat clients reach the index."""

from __future__ import annotations

import json

import pytest

from s3_retriever.answering.prompt import INSTRUCTION
from s3_retriever.serve.chat_asked import ChatAsked
from served import client, told
from small_corpus import QUESTIONS

KEEPER = [{"role": "user", "content": QUESTIONS[0]}]


@pytest.fixture(scope="module")
def web(tiny_index):
    with client(tiny_index) as made:
        yield made


@pytest.fixture
def ask(web, tiny_index):
    def asked(**more):
        body = {"model": tiny_index.backbone.name, "messages": KEEPER, "max_tokens": 4, **more}
        return web.post("/v1/chat/completions", json=body)

    return asked


def problem(reply, status):
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error["message"]


def test_a_completion_is_grounded_in_the_index(ask, tiny_index):
    reply = ask().json()
    wanted = tiny_index.answer(QUESTIONS[0], max_new_tokens=4)
    assert reply["object"] == "chat.completion" and reply["model"] == tiny_index.backbone.name
    (choice,) = reply["choices"]
    assert choice["message"] == {"role": "assistant", "content": wanted.text}
    assert [span["id"] for span in reply["spans"]] == [span.id for span in wanted.spans]
    usage = reply["usage"]
    assert usage["prompt_tokens"] == wanted.prompt_tokens
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream_ends_as_chat_clients_expect(ask):
    reply = ask(stream=True, stream_options={"include_usage": True})
    heard = [data for _, data in told(reply)]
    assert heard[-1] == "[DONE]"
    first, *pieces, last, usage = heard[:-1]
    assert first["choices"][0]["delta"]["role"] == "assistant" and first["spans"]
    text = "".join(piece["choices"][0]["delta"]["content"] for piece in pieces)
    assert text.strip() == ask().json()["choices"][0]["message"]["content"]
    assert last["choices"][0]["finish_reason"] in ("stop", "length")
    assert usage["choices"] == [] and usage["usage"]["prompt_tokens"] > 0
    assert len({chunk["id"] for chunk in heard[:-1]}) == 1


def test_a_conversation_is_read_and_its_last_question_searched_for(ask, tiny_index, monkeypatch):
    asked = []
    own = tiny_index.stream_answer
    monkeypatch.setattr(
        tiny_index, "stream_answer", lambda q, **more: asked.append((q, more)) or own(q, **more)
    )
    said = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": [{"type": "text", "text": QUESTIONS[1]}]},
    ]
    reply = ask(messages=said, temperature=0.5, stop="x", max_completion_tokens=2)
    assert reply.status_code == 200
    ((question, more),) = asked
    assert question == QUESTIONS[1] and more["temperature"] == 0.5 and more["stop"] == ("x",)
    assert more["system"] == f"{INSTRUCTION}\n\nBe brief." and more["max_new_tokens"] == 2
    assert more["history"] == said[1:3]
    without = ask(messages=said[-1:]).json()["usage"]["prompt_tokens"]
    assert reply.json()["usage"]["prompt_tokens"] > without


def test_models_are_named(web, tiny_index):
    name = tiny_index.backbone.name
    (entry,) = web.get("/v1/models").json()["data"]
    assert entry["id"] == name and web.get(f"/v1/models/{name}").json() == entry
    assert name in problem(web.get("/v1/models/other/model"), 404)


def test_what_is_no_conversation_is_refused_in_its_shape(ask, web):
    assert "other" in problem(ask(model="other"), 404)
    assert "messages" in problem(ask(messages=[]), 422)
    last = [*KEEPER, {"role": "assistant", "content": "He."}]
    assert "user" in problem(ask(messages=last), 400)
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    assert "image_url" in problem(ask(messages=picture), 400)
    assert "n:" in problem(ask(n=2), 422)
    assert "empty" in problem(ask(messages=[{"role": "user", "content": " "}]), 400)
    kind = {"Content-Type": "application/json"}
    assert "JSON" in problem(web.post("/v1/chat/completions", content=b"{", headers=kind), 400)


def test_an_error_while_it_streams_is_told(ask, tiny_index, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no more tea")

    monkeypatch.setattr(tiny_index, "stream_answer", broken)
    (_, error), (_, end) = told(ask(stream=True))
    assert "no more tea" in error["error"]["message"] and end == "[DONE]"
    assert "no more tea" not in json.dumps(ChatAsked.model_json_schema())
