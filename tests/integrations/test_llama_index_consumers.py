"""What takes a retriever in LlamaIndex, with a tiny random model.

What a consumer needs of a model that makes sense is scripted; see `test_default_model_llama_index`.
"""

from __future__ import annotations

import json
import re

import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.chat_engine import CondensePlusContextChatEngine
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.postprocessor import LongContextReorder, SimilarityPostprocessor
from llama_index.core.query_engine import (
    CitationQueryEngine,
    RetrieverQueryEngine,
    SubQuestionQueryEngine,
)
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.retrievers import QueryFusionRetriever, RouterRetriever
from llama_index.core.selectors import EmbeddingSingleSelector
from llama_index.core.tools import QueryEngineTool, RetrieverTool
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

from llama_index.retrievers.s3 import EndogenousRetriever
from llama_index.retrievers.s3.llm import EndogenousLLM
from s3_retriever.errors import InputError
from s3_retriever.evaluate.rankers.embedders import unit
from scripted import Scripted
from small_corpus import QUESTIONS, SOURCES
from vector_store import shared_minilm

KEEPER, DOUGH, DAM = QUESTIONS


@pytest.fixture(scope="module")
def retriever(tiny_index):
    return EndogenousRetriever(tiny_index, similarity_top_k=2)


@pytest.fixture(scope="module")
def llm(retriever):
    return retriever.as_llm(max_new_tokens=8)


class Embedding(BaseEmbedding):
    """MiniLM as LlamaIndex has it."""

    def _get_text_embedding(self, text):
        return unit(shared_minilm().question(text)).tolist()

    _get_query_embedding = _get_text_embedding

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)


def key(results):
    return [(result.node.node_id, result.score) for result in results]


@pytest.mark.parametrize("mode", ["compact", "tree_summarize"])
def test_query_engine(retriever, llm, mode):
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm, response_mode=mode)
    response = engine.query(KEEPER)
    assert response.response.strip()
    assert key(response.source_nodes) == key(retriever.retrieve(KEEPER))
    assert "Tomas Ferreira" in " ".join(source.text for source in response.source_nodes)


@pytest.mark.parametrize("mode", ["compact", "tree_summarize"])
async def test_query_engine_streams(retriever, llm, mode):
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm, response_mode=mode, streaming=True)
    pieces = list(engine.query(KEEPER).response_gen)
    assert len(pieces) > 1
    assert "".join(pieces).strip()
    response = await engine.aquery(KEEPER)
    assert "".join([piece async for piece in response.async_response_gen()]) == "".join(pieces)


def test_citations_lead_back_to_the_source(retriever, llm):
    engine = CitationQueryEngine.from_args(
        None, retriever=retriever, llm=llm, citation_chunk_size=32, citation_chunk_overlap=0
    )
    response = engine.query(KEEPER)
    assert response.response.strip()
    assert len(response.source_nodes) > len(retriever.retrieve(KEEPER))
    for number, cited in enumerate(response.source_nodes, start=1):
        place = cited.node.metadata
        span = SOURCES[place["source_id"]][place["start_index"] : place["end_index"]]
        label, text = cited.node.text.split("\n", maxsplit=1)
        assert label == f"Source {number}:"
        assert text.strip() in span
        assert cited.node.ref_doc_id == place["source_id"]


@pytest.mark.parametrize("mode", ["reciprocal_rerank", "relative_score", "simple"])
async def test_fusion_leaves_our_results_alone(retriever, llm, mode):
    held = retriever.retrieve(KEEPER)
    before = key(held)
    other = EndogenousRetriever(retriever.index, scoring="coactivation", similarity_top_k=2)
    fusion = QueryFusionRetriever(
        [retriever, other], llm=llm, mode=mode, num_queries=2, similarity_top_k=10, use_async=False
    )
    for fused in (fusion.retrieve(KEEPER), await fusion.aretrieve(KEEPER)):
        ids = [result.node.node_id for result in fused]
        assert len(set(ids)) == len(ids)
        assert {id for id, _ in before} <= set(ids)
    assert key(held) == before
    assert key(retriever.retrieve(KEEPER)) == before


def test_router_picks_by_description(retriever, llm):
    tools = [
        RetrieverTool.from_defaults(
            retriever.as_retriever(filters={"topic": topic}), description=description
        )
        for topic, description in (("sea", "lighthouses and ships"), ("food", "bread and baking"))
    ]
    selector = EmbeddingSingleSelector.from_defaults(Embedding())
    router = RouterRetriever(selector=selector, retriever_tools=tools, llm=llm)
    assert {result.node.ref_doc_id for result in router.retrieve(DOUGH)} == {"bread"}
    assert "lighthouse" in {result.node.ref_doc_id for result in router.retrieve(KEEPER)}


def test_sub_questions(retriever):
    whole = "Who was the last keeper of the lighthouse, and when was the dam built?"
    asked = [{"sub_question": KEEPER, "tool_name": "a"}, {"sub_question": DAM, "tool_name": "b"}]
    generator = Scripted(
        retriever.index.backbone, json.dumps({"items": asked}), "Ferreira.", "1934.", "Both."
    )
    llm = EndogenousLLM(generator)
    engine = retriever.as_query_engine(llm=llm)
    parts = SubQuestionQueryEngine.from_defaults(
        [QueryEngineTool.from_defaults(engine, name=name, description=name) for name in "ab"],
        llm=llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm=llm),
        response_synthesizer=get_response_synthesizer(llm=llm),
        use_async=False,
        verbose=False,
    )
    response = parts.query(whole)
    assert response.response == "Both."
    _, first, second, last = generator.prompts
    assert KEEPER in first and DAM in second
    assert "Ferreira." in last and "1934." in last
    ids = [source.node.node_id for source in response.source_nodes]
    for question in (KEEPER, DAM):
        assert {id for id, _ in key(retriever.retrieve(question))} <= set(ids)


def test_chat_engine_condenses_and_answers(retriever):
    generator = Scripted(retriever.index.backbone, "Tomas Ferreira.", DAM, "In 1934,\nit says.")
    chat = CondensePlusContextChatEngine.from_defaults(retriever, llm=EndogenousLLM(generator))
    first = chat.chat(KEEPER)
    assert first.response == "Tomas Ferreira."
    assert key(first.source_nodes) == key(retriever.retrieve(KEEPER))
    second = chat.stream_chat("And the dam?")
    assert list(second.response_gen) == ["In 1934,\n", "it says."]
    assert key(second.source_nodes) == key(retriever.retrieve(DAM))
    assert len(chat.chat_history) == 4
    _, condensed, last = generator.prompts
    assert KEEPER in condensed and "And the dam?" in condensed
    assert all(source.text in last for source in second.source_nodes)


def test_postprocessors_in_an_engine(retriever, llm):
    found = retriever.as_retriever(similarity_top_k=6).retrieve(KEEPER)
    cutoff = found[3].score
    engine = retriever.as_retriever(similarity_top_k=6).as_query_engine(
        llm=llm,
        node_postprocessors=[
            SimilarityPostprocessor(similarity_cutoff=cutoff),
            LongContextReorder(),
        ],
    )
    used = engine.query(KEEPER).source_nodes
    assert sorted(key(used)) == sorted(key(result for result in found if result.score >= cutoff))


class Names(BaseEventHandler):
    seen: list = []  # noqa: RUF012  # a pydantic field

    def handle(self, event, **kwargs):
        self.seen.append(event.class_name())


def test_instrumentation_of_a_query(retriever, llm):
    root, handler = get_dispatcher(), Names()
    root.add_event_handler(handler)
    try:
        retriever.as_query_engine(llm=llm).query(KEEPER)
    finally:
        root.event_handlers.remove(handler)
    order = ["QueryStartEvent", "RetrievalStartEvent", "RetrievalEndEvent", "SynthesizeStartEvent"]
    places = [handler.seen.index(name) for name in order]
    assert places == sorted(places)
    assert re.search("LLMCompletionEndEvent|LLMChatEndEvent", " ".join(handler.seen))


def test_older_callbacks(retriever):
    debug = LlamaDebugHandler(print_trace_on_end=False)
    watched = EndogenousRetriever(retriever.index, callback_manager=CallbackManager([debug]))
    watched.retrieve(KEEPER)
    ((start, end),) = debug.get_event_pairs(CBEventType.RETRIEVE)
    assert start.payload["query_str"] == KEEPER
    assert end.payload["nodes"]


def test_as_retriever_changes_what_is_given(retriever):
    food = retriever.as_retriever(filters={"topic": "food"}, token_budget=30)
    assert food.index is retriever.index
    assert food.similarity_top_k == 2
    assert {result.node.ref_doc_id for result in food.retrieve(KEEPER)} == {"bread"}
    again = food.as_retriever(similarity_top_k=1)
    assert len(again.retrieve(KEEPER)) == 1
    assert again.filters == {"topic": "food"}
    assert key(retriever.as_retriever().retrieve(DAM)) == key(retriever.retrieve(DAM))
    with pytest.raises(InputError, match="similarity_top_k"):
        retriever.as_retriever(similarity_topk=3)


def test_filters_and_ids_survive_files(retriever, tiny_backbone, tmp_path):
    retriever.persist(tmp_path / "index")
    loaded = EndogenousRetriever.from_persist_dir(
        tmp_path / "index", model=tiny_backbone, similarity_top_k=2
    )
    sea = MetadataFilters(filters=[MetadataFilter(key="topic", value="sea")])
    for filters in (None, sea, {"year": {"gte": 1950}}, lambda metadata: metadata["year"] < 1950):
        ours, theirs = (r.as_retriever(filters=filters) for r in (retriever, loaded))
        assert len(theirs.retrieve(KEEPER)) == 2
        assert theirs.retrieve(KEEPER) == ours.retrieve(KEEPER)
