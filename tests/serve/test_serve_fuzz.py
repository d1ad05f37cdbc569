"""Whatever is sent, the server answers with a status below 500 and JSON."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from served import client, told

MANY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
WORDS = st.text(max_size=60) | st.sampled_from(["who?", "<|im_end|>", "\x00", "🗼", "﷐"])
FILTERS = st.dictionaries(
    st.sampled_from(["topic", "year", "$and", "$or", "$not", "shelf"]),
    JSON | st.dictionaries(st.sampled_from(["$in", "gte", "exists", "not", "eq", "nin"]), JSON),
    max_size=3,
)
PATHS = ("/search", "/answer", "/heat", "/v1/chat/completions")


def one_of(*right):
    """Something right most of the time, else anything."""
    return st.one_of(*right, *right, JSON)


SEARCH = st.fixed_dictionaries(
    {"question": one_of(WORDS)},
    optional={
        "filter": one_of(FILTERS),
        "k": one_of(st.integers(-2, 120)),
        "token_budget": one_of(st.integers(-1, 10**7)),
        "scoring": one_of(st.sampled_from(["attention", "coactivation", "dense"])),
        "bm25": one_of(st.booleans()),
        "exact": one_of(st.booleans()),
        "second_hop": one_of(st.booleans()),
        "bias_tokens": one_of(st.integers(-1, 5000)),
        "order": one_of(st.sampled_from(["score", "document"])),
        "ranker": st.none() | one_of(st.sampled_from(["bm25", "none"])),
    },
)
ANSWER = st.fixed_dictionaries(
    {"question": one_of(WORDS), "max_new_tokens": st.integers(-1, 3)},
    optional={
        "filter": one_of(FILTERS),
        "temperature": one_of(st.floats(0, 2)),
        "stream": one_of(st.booleans()),
        "token_budget": one_of(st.integers(1, 300)),
    },
)
PLACE = st.fixed_dictionaries(
    {
        "document": one_of(st.sampled_from(["bread", "river", "no"])),
        "start": one_of(st.integers(-1, 500)),
        "end": one_of(st.integers(-1, 500)),
    }
)
HEAT = st.fixed_dictionaries(
    {"question": one_of(WORDS), "places": one_of(st.lists(PLACE, max_size=3))}
)
SAID = st.fixed_dictionaries(
    {
        "role": one_of(st.sampled_from(["user", "assistant", "system", "developer"])),
        "content": one_of(WORDS),
    }
)
CHAT = st.fixed_dictionaries(
    {
        "model": st.just("MODEL"),
        "messages": one_of(st.lists(SAID, max_size=4)),
        "max_tokens": st.integers(1, 3),
    },
    optional={
        "stream": one_of(st.booleans()),
        "temperature": one_of(st.floats(0, 2)),
        "stop": one_of(st.text(max_size=3), st.lists(st.text(max_size=3), max_size=3)),
        "n": one_of(st.just(1)),
    },
)


@pytest.fixture(scope="module")
def web(tiny_index):
    with client(tiny_index) as made:
        yield made


def answered(reply):
    """Below 500, and JSON or events whose errors are below 500 too."""
    assert reply.status_code < 500, reply.text
    if reply.headers["content-type"].startswith("text/event-stream"):
        for name, data in told(reply):
            assert name != "error" or data["status"] < 500, data
            assert "error" not in data or data == "[DONE]" or name == "error", data
    else:
        assert isinstance(reply.json(), dict)


@MANY
@given(path=st.sampled_from(PATHS), body=st.binary(max_size=60) | st.text().map(str.encode))
def test_any_bytes(web, path, body):
    answered(web.post(path, content=body, headers={"Content-Type": "application/json"}))


@MANY
@given(path=st.sampled_from(PATHS), body=JSON)
def test_any_json(web, path, body):
    answered(web.post(path, content=_text(body), headers={"Content-Type": "application/json"}))


@MANY
@given(asked=SEARCH)
def test_any_search(web, asked):
    answered(_posted(web, "/search", asked))


@MANY
@given(asked=ANSWER)
def test_any_answer(web, asked):
    answered(_posted(web, "/answer", asked))


@MANY
@given(asked=HEAT)
def test_any_heat(web, asked):
    answered(_posted(web, "/heat", asked))


@MANY
@given(asked=CHAT)
def test_any_conversation(web, tiny_index, asked):
    answered(_posted(web, "/v1/chat/completions", {**asked, "model": tiny_index.backbone.name}))


@MANY
@given(id=st.text(min_size=1, max_size=20), start=WORDS | st.integers(), end=st.integers())
def test_any_document(web, id, start, end):
    id = quote(id.encode("utf-8", "replace"), safe="")
    answered(web.get(f"/documents/{id}", params={"start": str(start), "end": end}))
    answered(web.get("/documents", params={"offset": str(start), "limit": end, "contains": id}))


@MANY
@given(
    headers=st.dictionaries(
        st.sampled_from(["Authorization", "Content-Type", "Host", "Accept", "Content-Length"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20),
    )
)
def test_any_headers(tiny_index, headers):
    with client(tiny_index, token="t") as guarded:
        assert guarded.get("/about", headers=headers).status_code < 500


def _posted(web, path, asked):
    return web.post(path, content=_text(asked), headers={"Content-Type": "application/json"})


def _text(value):
    return json.dumps(value).encode()
