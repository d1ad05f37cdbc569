"""What the server answers: the same as the index, and one sentence where it cannot."""

from __future__ import annotations

import json
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from s3_retriever.adapters.spans import span_json
from s3_retriever.config import SearchFields
from s3_retriever.documents import Document, Span
from s3_retriever.engine import EndogenousIndex
from s3_retriever.serve.asked import DEEPEST, Settings
from s3_retriever.serve.document_paths import BLOCK, RANGE, blocks_of, document_paths
from s3_retriever.serve.replies import SpanReply
from served import client, told
from small_corpus import BREAD, NAMES, QUESTIONS, SOURCES

SHORT = {"max_new_tokens": 4}


@pytest.fixture(scope="module")
def web(tiny_index):
    with client(tiny_index) as made:
        yield made


def refused(reply, status):
    assert reply.status_code == status, reply.text
    ((name, sentence),) = reply.json().items()
    assert name == "error" and sentence and "\n" not in sentence
    return sentence


def test_a_search_is_that_of_the_index(web, tiny_index):
    reply = web.post("/search", json={"question": QUESTIONS[0], "k": 3})
    assert reply.status_code == 200
    found = reply.json()
    spans = tiny_index.search(QUESTIONS[0], k=3).spans
    assert [span["id"] for span in found["spans"]] == [span.id for span in spans]
    for span, own in zip(found["spans"], spans, strict=True):
        assert SOURCES[span["document"]][span["start"] : span["end"]] == span["text"]
        assert span["parts"] == pytest.approx(dict(own.parts))
    assert set(found["seconds"]) == {"read", "candidates", "scores", "hop", "spans"}


def test_settings_and_filters_of_a_search_are_heard(web):
    asked = {"question": QUESTIONS[0], "bm25": False, "order": "document", "exact": True}
    found = web.post("/search", json={**asked, "filter": {"topic": "sea"}, "k": 20}).json()
    assert {span["document"] for span in found["spans"]} == {"lighthouse", "river"}
    assert all("bm25" not in span["parts"] for span in found["spans"])
    places = [(NAMES.index(span["document"]), span["start"]) for span in found["spans"]]
    assert places == sorted(places)
    nothing = web.post("/search", json={"question": "what?", "filter": {"topic": "none"}})
    assert nothing.json()["spans"] == []


def test_a_search_may_come_as_events(web):
    headers = {"Accept": "text/event-stream"}
    reply = web.post("/search", json={"question": QUESTIONS[1]}, headers=headers)
    *places, (name, found) = told(reply)
    assert {event for event, _ in places} == {"place"} and places[-1][1] == {"place": 0}
    assert name == "done" and found["spans"]


def test_bm25_stands_beside(web):
    asked = {"question": QUESTIONS[1], "ranker": "bm25", "k": 2, "filter": {"topic": "food"}}
    found = web.post("/search", json=asked).json()
    assert {span["document"] for span in found["spans"]} == {"bread"}
    span = found["spans"][0]
    assert BREAD[span["start"] : span["end"]] == span["text"] and span["tokens"] > 0
    assert "bm25" in refused(web.post("/search", json={**asked, "ranker": "best"}), 400)


def test_heat_is_told_for_every_token_and_word(web):
    found = web.post("/search", json={"question": QUESTIONS[0], "k": 2}).json()["spans"]
    places = [{name: span[name] for name in ("document", "start", "end")} for span in found]
    heat = web.post("/heat", json={"question": QUESTIONS[0], "places": places}).json()
    assert [QUESTIONS[0][start:end] for start, end in heat["words"]] == QUESTIONS[0].split()
    for span, place in zip(found, heat["places"], strict=True):
        assert place["ends"][-1] == len(span["text"])
        assert {len(shares) for shares in place["shares"]} == {len(heat["words"])}
    away = {"document": "bread", "start": 0, "end": 10**6}
    assert "no place" in refused(
        web.post("/heat", json={"question": "what?", "places": [away]}), 400
    )


def test_an_answer_streams_its_place_spans_pieces_and_end(web):
    reply = web.post("/answer", json={"question": QUESTIONS[0], "k": 2, **SHORT})
    heard = told(reply)
    names = [name for name, _ in heard]
    assert names[0] == "place" and names[-1] == "done" and names.count("spans") == 1
    end = heard[-1][1]
    assert end["answer"].strip() == "".join(d["text"] for n, d in heard if n == "piece").strip()
    assert end["citations"] == [data for name, data in heard if name == "citation"]
    assert end["spans"] == next(d for n, d in heard if n == "spans")["spans"]
    assert len(end["spans"]) == 2 and end["prompt_tokens"] > 0
    assert {"read", "search", "answer", "hop"} <= set(end["seconds"])


def test_an_answer_may_come_whole(web):
    asked = {"question": QUESTIONS[0], "stream": False, **SHORT}
    reply = web.post("/answer", json=asked)
    assert reply.status_code == 200 and reply.json()["spans"]


def test_an_answer_that_does_not_fit_is_told_as_an_error(tiny_index):
    with client(tiny_index, limits={"new_tokens": 5000}) as web:
        heard = told(web.post("/answer", json={"question": "what?", "max_new_tokens": 5000}))
    name, problem = heard[-1]
    assert name == "error" and problem["status"] == 400 and "window of 4096" in problem["error"]


def test_documents_are_listed_and_shown_in_ranges(web):
    every = web.get("/documents").json()
    assert [entry["id"] for entry in every["documents"]] == [*NAMES] and every["total"] == 4
    some = web.get("/documents", params={"offset": 1, "limit": 2, "contains": "R"}).json()
    assert some["total"] == 2 and [entry["id"] for entry in some["documents"]] == ["river"]
    part = web.get("/documents/bread", params={"start": 10, "end": 42}).json()
    assert part["text"] == BREAD[10:42] and part["characters"] == len(BREAD)
    beyond = web.get("/documents/bread", params={"start": 10**9}).json()
    assert beyond["text"] == "" and beyond["start"] == beyond["end"] == len(BREAD)
    assert "nobody" in refused(web.get("/documents/nobody"), 404)
    assert "start" in refused(web.get("/documents/bread", params={"start": "x"}), 422)


def test_a_long_document_comes_in_blocks(tiny_backbone, tiny_index):
    text = "".join(f"Line {n}: {'tide ' * (n % 9)}\n" for n in range(400)) + "x" * 3 * BLOCK
    starts = blocks_of(text)
    sizes = [stop - start for start, stop in zip(starts, [*starts[1:], len(text)], strict=True)]
    assert starts[0] == 0 and sum(sizes) == len(text) and max(sizes) <= BLOCK
    assert all(text[start - 1] == "\n" for start in starts[1:3])


def test_a_reply_holds_a_bounded_range(tiny_backbone, tiny_index):
    made = EndogenousIndex.empty(model=tiny_backbone, bank=tiny_index.bank)
    with client(made) as web:
        assert web.post("/search", json={"question": "what?"}).json()["spans"] == []
        assert web.get("/documents").json() == {"total": 0, "documents": []}
    long = SimpleNamespace(documents={"long": Document("long", "Day by day. " * 20_000)})
    with TestClient(FastAPI()) as web:
        web.app.include_router(document_paths(SimpleNamespace(index=long)))
        part = web.get("/documents/long", params={"start": 50, "blocks": True}).json()
    assert part["end"] == 50 + RANGE and len(part["text"]) == RANGE and len(part["blocks"]) > 60


def test_ids_may_be_paths(tiny_backbone, tiny_index):
    name = "/home/ada/ä notes/50%?.md"
    made = EndogenousIndex.build(
        [Document(name, "A short note.", {"tags": ["a", "b"], "deep": {"er": 1}})],
        model=tiny_backbone,
        bank=tiny_index.bank,
        progress=False,
    )
    with client(made) as web:
        shown = web.get(f"/documents/{quote(name, safe='')}", params={"blocks": True}).json()
        assert shown["id"] == name and shown["text"] == "A short note." and shown["blocks"] == [0]
        assert web.get("/about").json()["metadata"] == {"tags": ["a", "b"]}


def test_it_tells_what_it_is(web, tiny_index):
    told = web.get("/about").json()
    assert told["model"] == tiny_index.backbone.name and told["documents"] == 4
    assert told["metadata"]["topic"] == ["sea", "food", "music"]
    assert [ranker["name"] for ranker in told["rankers"]] == ["bm25"]
    assert told["settings"]["search"]["k"] == tiny_index.config.k
    assert web.get("/queue").json() == {"waiting": 0, "at_work": 0}


def test_its_description_names_every_path_and_field(web):
    described = web.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/search",
        "/heat",
        "/answer",
        "/documents",
        "/documents/{id}",
        "/about",
        "/queue",
        "/v1/models",
        "/v1/models/{name}",
        "/v1/chat/completions",
    }
    for path in described["paths"].values():
        for method in path.values():
            assert method["summary"] and "422" in method["responses"]
    schemas = described["components"]["schemas"]
    assert {"SearchAsked", "AnswerReply", "Refusal", "ChatReply"} <= set(schemas)
    assert "HTTPValidationError" not in json.dumps(described)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, ""),
        (b"[" * 100_000, 400, ""),
        (b"[]", 422, "object"),
        (b"{}", 422, "question"),
        (b'{"question": 3}', 422, "question"),
        (b'{"question": "\\ud800"}', 400, "half a character"),
        (b'{"question": " "}', 400, "empty"),
        (b'{"question": "what?", "k": 0}', 422, "k"),
        (b'{"question": "what?", "k": 1e999}', 422, "k"),
        (b'{"question": "what?", "wrong": 1}', 422, "wrong"),
        (b'{"question": "what?", "scoring": "best"}', 400, "best"),
        (b'{"question": "what?", "filter": {"year": {"above": 1}}}', 400, "above"),
    ],
)
def test_what_cannot_be_asked_gets_a_status_and_a_sentence(web, body, status, says):
    reply = web.post("/search", content=body, headers={"Content-Type": "application/json"})
    assert says in refused(reply, status)


def test_deep_filters_long_questions_and_large_bodies_are_refused(web):
    deep: dict = {"topic": "sea"}
    for _ in range(DEEPEST):
        deep = {"$not": deep}
    assert "deep" in refused(web.post("/search", json={"question": "what?", "filter": deep}), 400)
    assert "2,001" in refused(web.post("/search", json={"question": "w" * 2001}), 413)
    assert "larger" in refused(web.post("/search", json={"question": "w" * 300_000}), 413)
    many = (b"w" * 50_000 for _ in range(10))
    kind = {"Content-Type": "application/json"}
    assert "larger" in refused(web.post("/search", content=many, headers=kind), 413)


def test_paths_methods_and_kinds_that_are_not_there(web):
    refused(web.get("/nothing"), 404)
    refused(web.get("/search"), 405)
    refused(web.post("/search", content=b"{}", headers={"Content-Type": "text/plain"}), 415)


def test_no_other_name_and_no_request_without_the_token(tiny_index, web):
    assert refused(web.get("/about", headers={"Host": "evil.example"}), 403)
    assert web.get("/about", headers={"Host": "localhost:8000"}).status_code == 200
    assert web.get("/about", headers={"Host": "[::1]:8000"}).status_code == 200
    with client(tiny_index, token="geheim ü", hosts=None) as guarded:
        for wrong in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Basic geheim"}):
            reply = guarded.get("/about", headers=wrong)
            assert "token" in refused(reply, 401) and reply.headers["www-authenticate"] == "Bearer"
        right = {"Authorization": "Bearer geheim ü".encode(), "Host": "shelf.example"}
        assert guarded.get("/about", headers=right).status_code == 200


def test_every_setting_of_a_search_may_be_asked_for():
    """Weights are the index's own affair."""
    assert {*Settings.model_fields, "order", "weighing"} == {*SearchFields.model_fields}
    assert {*SpanReply.model_fields} >= {*span_json(Span("d", 0, 1, "a", 0.0, {}, 1, header="b"))}
