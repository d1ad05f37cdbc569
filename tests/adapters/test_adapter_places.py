"""Where spans of pieces stand in the original, in both frameworks' own terms."""

from __future__ import annotations

import copy

import pytest
from langchain_core.documents import Document as LangChainDocument
from langchain_text_splitters import RecursiveCharacterTextSplitter
from llama_index.core import Document as LlamaIndexDocument
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import (
    MetadataMode,
    NodeRelationship,
    ObjectType,
    RelatedNodeInfo,
    TextNode,
)

from langchain_s3_retriever import EndogenousRetriever as LangChainRetriever
from llama_index.retrievers.s3 import EndogenousRetriever as LlamaIndexRetriever
from random_bank import make_bank
from s3_retriever.adapters.places import beside, is_place, latest, place_of
from s3_retriever.documents import Document
from small_corpus import NAMES, QUESTIONS, SOURCES

KEEPER = QUESTIONS[0]
OFFSETS = ("start_index", "end_index")
OWN = ("source_id", *OFFSETS)
ORIGINAL = ("original_start_index", "original_end_index")


@pytest.fixture(scope="module")
def reading(tiny_backbone):
    return {"model": tiny_backbone, "bank": make_bank(tiny_backbone), "progress": False}


def langchain(documents, reading, **settings):
    return LangChainRetriever.from_documents(documents, **{"k": 100, **reading, **settings})


def llama_index(nodes, reading, **settings):
    return LlamaIndexRetriever.from_documents(
        nodes, **{"similarity_top_k": 100, **reading, **settings}
    )


def one_span(text, metadata, reading, **settings):
    return langchain([LangChainDocument(page_content=text, metadata=metadata)], reading, **settings)


# --- names beside names ---------------------------------------------------------------------------


def test_names_of_ours_give_way_together():
    ours = {"a": 1, "b": 2}
    assert beside({"c": 0}, ours) == {"c": 0, "a": 1, "b": 2}
    assert beside({"b": 0}, ours) == {"b": 0, "s3_a": 1, "s3_b": 2}
    assert beside({"b": 0, "s3_a": 0}, ours) == {"b": 0, "s3_a": 0, "s3_s3_a": 1, "s3_s3_b": 2}
    assert beside({"b": 0}, {"a": 1}, {"b": 2}, {}) == {"b": 0, "a": 1, "s3_b": 2}
    assert latest({"a": 1, "s3_a": 2, "s3_s3_a": 3}, "a") == 3
    assert latest({"s3_a": 2}, "a") == 2
    assert latest({}, "a") is None


@pytest.mark.parametrize(
    ("id", "place"),
    [
        ("a:0:3", ("a", 0, 3)),
        ("a:1:2:3", ("a:1", 2, 3)),
        ("a:0:4", None),
        ("a:2:2", None),
        ("a:00:3", None),
        ("a:-1:3", None),
        ("a:٠:3", None),
        ("b:0:3", None),
        ("a", None),
        ("", None),
    ],
)
def test_the_id_of_a_span_tells_its_place(id, place):
    documents = {"a": Document("a", "abc"), "a:1": Document("a:1", "abc")}
    assert place_of(id, documents) == place


@pytest.mark.parametrize(
    ("start", "end", "holds"),
    [
        (0, 4, True),
        (7, 11, True),
        (7, None, True),
        (7, "11", True),
        (7, 12, False),
        (-1, None, False),
        (-4, 0, False),
        (None, 4, False),
        ("7", None, False),
        (7.0, None, False),
        (True, None, False),
    ],
)
def test_a_place_that_cannot_be_one_is_none(start, end, holds):
    assert is_place(start, end, 4) is holds


# --- LangChain ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chunks():
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=220, chunk_overlap=60, add_start_index=True
    )
    whole = [LangChainDocument(page_content=t, metadata={"name": n}) for n, t in SOURCES.items()]
    return splitter.split_documents(whole)


def check_chunk_spans(found, chunks):
    assert {span.metadata["source_id"] for span in found} == set(map(str, range(len(chunks))))
    for span in found:
        data = span.metadata
        assert data["span_id"] == span.id
        chunk = chunks[int(data["source_id"])]
        assert data["start_index"] == chunk.metadata["start_index"]
        assert (
            span.page_content == chunk.page_content[data["s3_start_index"] : data["s3_end_index"]]
        )
        first, last = (data[name] for name in ORIGINAL)
        assert span.page_content == SOURCES[data["name"]][first:last]
        assert "end_index" not in data


def test_spans_of_a_splitters_chunks_stand_in_the_original(chunks, reading, tmp_path):
    assert any(chunk.metadata["start_index"] > 0 for chunk in chunks)
    retriever = langchain(chunks, reading)
    check_chunk_spans(retriever.invoke(KEEPER), chunks)
    retriever.save(tmp_path / "index")
    loaded = LangChainRetriever.load(tmp_path / "index", model=reading["model"], k=100)
    assert loaded.invoke(KEEPER) == retriever.invoke(KEEPER)
    check_chunk_spans(loaded.invoke(KEEPER), chunks)


LINES = (("span_id",), ("source_id",), OFFSETS)


@pytest.mark.parametrize("key", [name for line in LINES for name in line])
def test_a_key_of_the_user_stays_and_ours_move(key, reading):
    text = SOURCES["bread"]
    found = one_span(text, {key: "theirs"}, reading).invoke(KEEPER)
    moved = next(line for line in LINES if key in line)
    for span in found:
        data = span.metadata
        ours = {name for line in LINES for name in line} - set(moved)
        assert set(data) == {key, *ours, *(f"s3_{name}" for name in moved)}
        assert data[key] == "theirs"
        start, end = (latest(data, name) for name in OFFSETS)
        assert span.page_content == text[start:end]
        assert latest(data, "span_id") == span.id


@pytest.mark.parametrize(
    "place",
    [
        {"start_index": -1},
        {"start_index": "12"},
        {"start_index": None},
        {"start_index": True},
        {"start_index": 1.5},
        {"start_index": 3, "end_index": 5},
        {"end_index": 5},
    ],
)
def test_an_unknown_place_is_not_made_up(place, reading):
    for span in one_span(SOURCES["bread"], place, reading).invoke(KEEPER):
        assert not set(ORIGINAL) & set(span.metadata)


def test_results_can_be_indexed_again_and_again(chunks, reading):
    found = langchain(chunks, reading).invoke(KEEPER)
    for prefix in ("s3_", "s3_s3_"):
        before = {document.id: document for document in found}
        found = langchain(found, reading).invoke(KEEPER)
        for span in found:
            data = span.metadata
            assert data[f"{prefix}span_id"] == span.id
            earlier = before[data[f"{prefix}source_id"]]
            assert earlier.metadata.items() <= data.items()
            start, end = data[f"s3_{prefix}start_index"], data[f"s3_{prefix}end_index"]
            assert span.page_content == earlier.page_content[start:end]
            first, last = (latest(data, name) for name in ORIGINAL)
            assert span.page_content == SOURCES[data["name"]][first:last]


def test_a_splitter_run_over_results_makes_the_place_unknown(chunks, reading):
    """It writes a new `start_index` and leaves the other places, which hold no longer."""
    found = langchain(chunks, reading).invoke(KEEPER)
    splitter = RecursiveCharacterTextSplitter(chunk_size=40, chunk_overlap=0, add_start_index=True)
    pieces = [
        piece
        for document in found
        for piece in splitter.split_documents([document])
        if piece.page_content != document.page_content
    ]
    for place, piece in enumerate(pieces):
        piece.id = f"piece {place}"
    assert pieces
    for span in langchain(pieces, reading).invoke(KEEPER):
        assert not {f"s3_{name}" for name in ORIGINAL} & set(span.metadata)


def test_a_users_original_place_and_score_stay(reading):
    text = SOURCES["river"]
    own = {"start_index": 40, "original_start_index": "mine", "score": 5, "s3_score": 6}
    for span in one_span(text, own, reading, include_scores=True).invoke(KEEPER):
        data = span.metadata
        assert own.items() <= data.items()
        assert data["s3_original_start_index"] == 40 + data["s3_start_index"]
        assert data["s3_original_end_index"] == 40 + data["s3_end_index"]
        assert isinstance(data["s3_s3_score"], float)
        assert data["s3_s3_score_parts"]
        assert "score_parts" not in data


def test_score_and_place_have_prefixes_of_their_own(reading):
    for own, names in (
        ({"score": 1}, {"score", "s3_score", "s3_score_parts", *OWN}),
        ({"source_id": 1}, {"source_id", "s3_source_id", "score", "score_parts", *OFFSETS}),
    ):
        (span, *_) = one_span(SOURCES["river"], own, reading, include_scores=True).invoke(KEEPER)
        assert set(span.metadata) == {*names, "span_id"}


# --- LlamaIndex -----------------------------------------------------------------------------------


def whole_documents():
    return [
        LlamaIndexDocument(doc_id=name, text=text, metadata={"name": name, "shelf": {"row": 3}})
        for name, text in SOURCES.items()
    ]


@pytest.fixture(scope="module")
def nodes():
    splitter = SentenceSplitter(chunk_size=48, chunk_overlap=12)
    return splitter.get_nodes_from_documents(whole_documents())


def check_node_spans(found, nodes):
    by_id = {node.node_id: node for node in nodes}
    assert {result.node.metadata["source_id"] for result in found} == set(by_id)
    for result in found:
        node = result.node
        data = node.metadata
        indexed = by_id[data["source_id"]]
        assert node.ref_doc_id == indexed.ref_doc_id
        assert node.text == SOURCES[node.ref_doc_id][node.start_char_idx : node.end_char_idx]
        assert node.text == indexed.text[data["start_index"] : data["end_index"]]
        source = node.relationships[NodeRelationship.SOURCE]
        assert source == indexed.relationships[NodeRelationship.SOURCE]
        assert source.node_type is ObjectType.DOCUMENT
        parent = node.relationships[NodeRelationship.PARENT]
        assert (parent.node_id, parent.node_type) == (indexed.node_id, ObjectType.TEXT)
        assert parent.metadata == indexed.metadata
        assert set(node.relationships) == {NodeRelationship.SOURCE, NodeRelationship.PARENT}
        assert data == {**indexed.metadata, **{name: data[name] for name in OWN}}
        assert "_index" not in node.get_content(metadata_mode=MetadataMode.LLM)


def test_spans_of_a_splitters_nodes_stand_in_the_original(nodes, reading, tmp_path):
    assert len(nodes) > len(NAMES)
    retriever = llama_index(nodes, reading)
    check_node_spans(retriever.retrieve(KEEPER), nodes)
    retriever.persist(tmp_path / "index")
    loaded = LlamaIndexRetriever.from_persist_dir(
        tmp_path / "index", model=reading["model"], similarity_top_k=100
    )
    assert loaded.retrieve(KEEPER) == retriever.retrieve(KEEPER)
    check_node_spans(loaded.retrieve(KEEPER), nodes)


def test_nodes_found_can_be_indexed_again(nodes, reading):
    found = [result.node for result in llama_index(nodes, reading).retrieve(KEEPER)]
    indexed = {node.node_id: node for node in found}
    for result in llama_index(found, reading).retrieve(KEEPER):
        node = result.node
        data = node.metadata
        assert node.text == SOURCES[node.ref_doc_id][node.start_char_idx : node.end_char_idx]
        earlier = indexed[data["s3_source_id"]]
        assert node.text == earlier.text[data["s3_start_index"] : data["s3_end_index"]]
        assert node.relationships[NodeRelationship.PARENT].node_id == earlier.node_id
        assert "_index" not in node.get_content(metadata_mode=MetadataMode.LLM)


@pytest.mark.parametrize(
    ("start", "end", "known"),
    [(40, "right", 40), (40, None, 40), (40, 41, None), (None, None, None), (-1, None, None)],
)
def test_an_offset_that_cannot_be_one_is_left_open(start, end, known, reading):
    text = SOURCES["bread"]
    node = TextNode(
        id_="piece",
        text=text,
        start_char_idx=start,
        end_char_idx=start + len(text) if end == "right" else end,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="book")},
    )
    for result in llama_index([node], reading).retrieve(KEEPER):
        span = result.node
        data = span.metadata
        assert span.relationships[NodeRelationship.SOURCE] == RelatedNodeInfo(node_id="book")
        assert span.text == text[data["start_index"] : data["end_index"]]
        if known is None:
            assert (span.start_char_idx, span.end_char_idx) == (None, None)
        else:
            assert span.start_char_idx == known + data["start_index"]
            assert span.end_char_idx == known + data["end_index"]


def test_what_has_no_source_is_the_source(reading):
    alone = TextNode(id_="alone", text=SOURCES["bread"], start_char_idx=40, metadata={"a": 1})
    for result in llama_index([*whole_documents(), alone], reading).retrieve(KEEPER):
        node = result.node
        text = {**SOURCES, "alone": alone.text}[node.ref_doc_id]
        assert node.text == text[node.start_char_idx : node.end_char_idx]
        assert node.metadata["source_id"] == node.ref_doc_id
        assert set(node.relationships) == {NodeRelationship.SOURCE}
        assert node.relationships[NodeRelationship.SOURCE].node_type is ObjectType.DOCUMENT


@pytest.mark.parametrize("key", OWN)
def test_a_key_of_the_user_stays_in_a_node(key, reading):
    node = TextNode(text=SOURCES["bread"], metadata={key: "theirs"})
    moved = OFFSETS if key in OFFSETS else (key,)
    for result in llama_index([node], reading).retrieve(KEEPER):
        ours = set(OWN) - set(moved)
        assert set(result.node.metadata) == {key, *ours, *(f"s3_{name}" for name in moved)}
        assert result.node.metadata[key] == "theirs"
        shown = result.node.get_content(metadata_mode=MetadataMode.LLM)
        assert f"{key}: theirs" in shown
        assert "s3_" not in shown


def test_a_filter_sees_the_metadata_as_it_was_handed_in(nodes, reading):
    seen = []
    llama_index(nodes, reading, filters=lambda data: seen.append(data) or True).retrieve(KEEPER)
    assert seen == [node.metadata for node in nodes]


# --- copies ---------------------------------------------------------------------------------------


def test_langchain_metadata_is_the_callers_own(reading):
    own = {"shelf": {"rows": [1, {"deep": 2}]}}
    document = LangChainDocument(page_content=SOURCES["bread"], metadata=own)
    kept = copy.deepcopy(own)
    retriever = langchain([document], reading, include_scores=True)
    own["shelf"]["rows"][1]["deep"] = 99
    document.metadata["shelf"] = None
    expected = retriever.invoke(KEEPER)
    assert all(kept.items() <= span.metadata.items() for span in expected)
    for span in retriever.invoke(KEEPER):
        assert type(span.metadata["shelf"]) is dict
        span.metadata["shelf"]["rows"][1]["deep"] = -1
        span.metadata["shelf"]["rows"].append(5)
        span.metadata["score_parts"].clear()
        span.metadata.clear()
    assert retriever.invoke(KEEPER) == expected


def test_llama_index_metadata_is_the_callers_own(reading):
    own = {"shelf": {"rows": [1, {"deep": 2}]}}
    kept = copy.deepcopy(own)
    book = RelatedNodeInfo(node_id="book", metadata=copy.deepcopy(own))
    relationships = {NodeRelationship.SOURCE: book}
    node = TextNode(text=SOURCES["bread"], metadata=own, relationships=relationships)
    retriever = llama_index([node], reading)
    own["shelf"]["rows"][1]["deep"] = 99
    node.metadata["shelf"] = None
    book.metadata.clear()
    expected = retriever.retrieve(KEEPER)
    for result in expected:
        assert kept.items() <= result.node.metadata.items()
        assert [info.metadata for info in result.node.relationships.values()] == [kept, kept]
    for result in retriever.retrieve(KEEPER):
        infos = result.node.relationships.values()
        result.node.metadata["shelf"]["rows"][1]["deep"] = -1
        assert [info.metadata for info in infos] == [kept, kept]
        for data in (result.node.metadata, *(info.metadata for info in infos)):
            assert type(data["shelf"]) is dict
            data["shelf"]["rows"].append(5)
            data.clear()
        result.node.excluded_llm_metadata_keys.clear()
    assert retriever.retrieve(KEEPER) == expected
