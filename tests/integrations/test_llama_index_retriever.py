"""The LlamaIndex retriever, with a tiny random model and BM25, which finds the words."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from copy import copy

import pytest
from llama_index.core import Document, QueryBundle
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.retrieval import (
    RetrievalEndEvent,
    RetrievalStartEvent,
)
from llama_index.core.postprocessor import LongContextReorder, SimilarityPostprocessor
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import MetadataMode, NodeRelationship, TextNode
from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from llama_index.retrievers.s3 import EndogenousRetriever
from random_bank import make_bank
from s3_retriever.errors import InputError
from small_corpus import BY_WORDS, METADATAS, NAMES, QUESTIONS, SOURCES, TEXTS

KEEPER, DOUGH, DAM = QUESTIONS


@pytest.fixture(scope="module")
def retriever(tiny_index):
    return EndogenousRetriever(tiny_index, similarity_top_k=3)


def key(results):
    return [(result.node.node_id, result.score) for result in results]


def test_nodes_are_exact_pieces_of_their_sources(retriever):
    found = retriever.retrieve(KEEPER)
    assert len(found) == 3
    assert "Tomas Ferreira" in " ".join(result.text for result in found)
    assert [result.score for result in found] == sorted((r.score for r in found), reverse=True)
    for result in found:
        node = result.node
        source = node.relationships[NodeRelationship.SOURCE]
        start, end = node.start_char_idx, node.end_char_idx
        assert isinstance(node, TextNode)
        assert node.text == SOURCES[source.node_id][start:end]
        assert node.ref_doc_id == source.node_id
        assert node.node_id == f"{source.node_id}:{start}:{end}"
        own = METADATAS[NAMES.index(source.node_id)]
        place = {"start_index": start, "end_index": end, "source_id": source.node_id}
        assert node.metadata == {**own, **place}
        assert source.metadata == own


def test_models_are_shown_the_metadata_but_not_the_offsets(retriever):
    (found,) = EndogenousRetriever(retriever.index, similarity_top_k=1).retrieve(KEEPER)
    shown = found.node.get_content(metadata_mode=MetadataMode.LLM)
    assert "topic: sea" in shown
    assert "start_index" not in shown


def test_every_call_returns_fresh_nodes(retriever):
    first = retriever.retrieve(KEEPER)
    expected = key(first)
    for result in first:
        result.score = -1.0
        result.node.metadata.clear()
        result.node.text = ""
    assert key(retriever.retrieve(KEEPER)) == expected
    fusion = QueryFusionRetriever(
        [retriever, retriever], llm=retriever.as_llm(), num_queries=1, use_async=False
    )
    assert {result.node.node_id for result in fusion.retrieve(KEEPER)} <= {i for i, _ in expected}
    assert key(retriever.retrieve(KEEPER)) == expected


def test_top_k_is_clamped_and_can_be_changed(retriever):
    many = EndogenousRetriever(retriever.index, similarity_top_k=10_000)
    assert 3 < len(many.retrieve(KEEPER)) < 10_000
    many.similarity_top_k = 2
    assert many.similarity_top_k == len(many.retrieve(KEEPER)) == 2
    with pytest.raises(InputError, match="k=0"):
        many.similarity_top_k = 0


def test_a_token_budget_bounds_the_tokens(retriever):
    small = EndogenousRetriever(retriever.index, token_budget=40)
    found = small.retrieve(KEEPER)
    assert found
    assert sum(small.index.backbone.text.count(result.text) for result in found) <= 40


def one(name, value, operator=FilterOperator.EQ):
    return MetadataFilter(key=name, value=value, operator=operator)


@pytest.mark.parametrize(
    ("filters", "allowed"),
    [
        ({"topic": "food"}, {"bread"}),
        (lambda metadata: metadata["year"] == 1902, {"violin"}),
        (MetadataFilters(filters=[one("topic", "food")]), {"bread"}),
        (MetadataFilters(filters=[one("topic", ["food", "music"], FilterOperator.IN)]), None),
        (MetadataFilters(filters=[one("topic", ["sea"], FilterOperator.NIN)]), None),
        (MetadataFilters(filters=[one("topic", "sea", FilterOperator.NE)]), None),
        (
            MetadataFilters(
                filters=[one("topic", "food"), one("topic", "music")], condition=FilterCondition.OR
            ),
            None,
        ),
        (MetadataFilters(filters=[one("topic", "sea")], condition=FilterCondition.NOT), None),
        (
            MetadataFilters(
                filters=[
                    one("topic", "sea"),
                    MetadataFilters(
                        filters=[one("year", 1950, FilterOperator.GT), one("year", 1900)],
                        condition=FilterCondition.OR,
                    ),
                ]
            ),
            {"lighthouse"},
        ),
        (MetadataFilters(filters=[one("topic", "usi", FilterOperator.TEXT_MATCH)]), {"violin"}),
        (MetadataFilters(filters=[one("topic", 3, FilterOperator.GT)]), set()),
        (MetadataFilters(filters=[one("absent", 3)]), set()),
        (MetadataFilters(filters=[]), set(NAMES)),
    ],
)
def test_filters_are_applied_before_ranking(retriever, filters, allowed):
    allowed = {"bread", "violin"} if allowed is None else allowed
    found = EndogenousRetriever(retriever.index, filters=filters, similarity_top_k=100)
    assert {result.node.ref_doc_id for result in found.retrieve(KEEPER)} == allowed


OPERANDS = {
    FilterOperator.EQ: ("topic", "food", {"bread"}),
    FilterOperator.NE: ("topic", "sea", {"bread", "violin"}),
    FilterOperator.GT: ("year", 1934, {"lighthouse", "bread"}),
    FilterOperator.GTE: ("year", 1961, {"lighthouse", "bread"}),
    FilterOperator.LT: ("year", 1934.5, {"river", "violin"}),
    FilterOperator.LTE: ("year", 1934, {"river", "violin"}),
    FilterOperator.IN: ("year", [1902, 2001], {"bread", "violin"}),
    FilterOperator.NIN: ("topic", ["sea", "food"], {"violin"}),
    FilterOperator.ANY: ("topic", ["oo", "us"], {"bread", "violin"}),
    FilterOperator.ALL: ("topic", ["f", "oo"], {"bread"}),
    FilterOperator.TEXT_MATCH: ("topic", "oo", {"bread"}),
    FilterOperator.TEXT_MATCH_INSENSITIVE: ("topic", "MUS", {"violin"}),
    FilterOperator.CONTAINS: ("shelf", "row", {"lighthouse"}),
    FilterOperator.IS_EMPTY: ("shelf", None, {"bread", "river", "violin"}),
}


@pytest.mark.parametrize("operator", list(FilterOperator))
def test_every_operator_filters(retriever, operator):
    key, value, allowed = OPERANDS[operator]
    filters = MetadataFilters(filters=[one(key, value, operator)])
    found = EndogenousRetriever(retriever.index, filters=filters, similarity_top_k=100)
    assert {result.node.ref_doc_id for result in found.retrieve(KEEPER)} == allowed
    nested = MetadataFilters(filters=[filters], condition=FilterCondition.NOT)
    others = found.as_retriever(filters=nested).retrieve(KEEPER)
    assert {result.node.ref_doc_id for result in others} == set(NAMES) - allowed


@pytest.mark.parametrize("operator", [o for o in FilterOperator if o != FilterOperator.IS_EMPTY])
def test_an_operator_with_a_value_it_cannot_take_is_refused(retriever, operator):
    wrong = [None]
    if operator in (FilterOperator.IN, FilterOperator.NIN):
        wrong += ["sea", 3]
    if operator in (FilterOperator.GT, FilterOperator.LTE, FilterOperator.TEXT_MATCH):
        wrong += [["sea"]]
    for value in wrong:
        filters = MetadataFilters(filters=[one("topic", value, operator)])
        with pytest.raises(InputError, match=f"'topic': '{operator.value}' takes a"):
            EndogenousRetriever(retriever.index, filters=filters)
    with pytest.raises(InputError, match="there is 'is_empty'"):
        retriever.as_retriever(filters=MetadataFilters(filters=[one("topic", None, operator)]))


def test_a_filter_changed_later_is_checked_when_it_is_used(retriever):
    changed = retriever.as_retriever()
    changed.filters = {"topic": {"$in": "food"}}
    with pytest.raises(InputError, match="'in' takes a list"):
        changed.retrieve(KEEPER)
    changed.filters = {"$or": [{"topic": {"$eq": "food"}}, {"year": {"$lt": 1910}}]}
    assert {result.node.ref_doc_id for result in changed.retrieve(KEEPER)} == {"bread", "violin"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: EndogenousRetriever(r.index, similarity_topk=3), "did you mean 'similarity_to"),
        (lambda r: EndogenousRetriever(r.index, similarity_top_k=0), "k=0"),
        (lambda r: EndogenousRetriever(r.index, scoring="best"), "scoring='best'"),
        (lambda r: EndogenousRetriever("folder"), "from_documents"),
        (lambda r: EndogenousRetriever.from_documents([], tokeniser=1), "did you mean 'tokenizer'"),
        (lambda r: EndogenousRetriever.from_documents([], overlap_token=1), "overlap_tokens"),
        (lambda r: EndogenousRetriever.from_documents([], scan={"chunk": 64}), "chunk_tokens"),
        (lambda r: EndogenousRetriever.from_documents(["text"]), "Document"),
        (lambda r: EndogenousRetriever.from_documents(Document(text="x")), "put it in a list"),
        (lambda r: EndogenousRetriever.from_documents(None), "not one NoneType"),
        (lambda r: EndogenousRetriever.from_documents([Document(text=" ")]), "white space"),
        (lambda r: EndogenousRetriever.from_documents([]), "no document"),
        (lambda r: EndogenousRetriever.from_persist_dir("nowhere", modl=1), "did you mean 'model'"),
        (lambda r: r.retrieve(" "), "empty"),
    ],
)
def test_bad_input_is_refused_by_name(retriever, call, message):
    with pytest.raises(InputError, match=message):
        call(retriever)


def test_documents_become_an_index_that_grows_shrinks_and_survives(tiny_backbone, tmp_path):
    hidden = Document(
        doc_id="mine",
        text=TEXTS[0],
        metadata={"file": "a.txt", "topic": "sea"},
        excluded_llm_metadata_keys=["file"],
        text_template="{metadata_str}\n--\n{content}",
    )
    node = TextNode(id_="node", text=TEXTS[1], metadata={"topic": "food"})
    retriever = EndogenousRetriever.from_documents(
        [hidden, node],
        model=tiny_backbone,
        bank=make_bank(tiny_backbone),
        similarity_top_k=1,
        progress=False,
        **BY_WORDS,
    )
    assert retriever.add_documents([Document(doc_id="new", text=TEXTS[2])]) == ["new"]
    with pytest.raises(InputError, match="mine"):
        retriever.add_documents([hidden])
    found = [retriever.retrieve(question) for question in QUESTIONS]
    assert [results[0].node.ref_doc_id for results in found] == ["mine", "node", "new"]
    retriever.persist(tmp_path / "index")
    loaded = EndogenousRetriever.from_persist_dir(tmp_path / "index", model=tiny_backbone)
    assert [loaded.retrieve(question) for question in QUESTIONS] == found
    shown = loaded.retrieve(KEEPER)[0].node
    assert shown.metadata["file"] == "a.txt"
    content = shown.get_content(metadata_mode=MetadataMode.LLM)
    assert content == f"topic: sea\n--\n{shown.text}"
    retriever.delete(["new"])
    assert retriever.retrieve(DAM)[0].node.ref_doc_id != "new"


async def test_many_tasks_get_their_own_answers(retriever):
    expected = {question: key(retriever.retrieve(question)) for question in QUESTIONS}
    questions = [QUESTIONS[n % 3] for n in range(9)]
    results = await asyncio.gather(*(retriever.aretrieve(question) for question in questions))
    assert [key(result) for result in results] == [expected[question] for question in questions]


async def test_async_retrieval_waits_off_the_loop(retriever):
    retriever = EndogenousRetriever(copy(retriever.index), similarity_top_k=3)  # has read nothing
    with retriever.index.backbone.lock:
        waiting = asyncio.create_task(retriever.aretrieve(KEEPER))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert len(await waiting) == 3


def test_the_names_of_langchain_search_as_well(retriever):
    expected = key(retriever.retrieve(KEEPER))
    assert key(retriever.get_relevant_documents(KEEPER)) == expected
    assert key(retriever.get_relevant_documents(QueryBundle(KEEPER))) == expected
    assert key(asyncio.run(retriever.aget_relevant_documents(KEEPER))) == expected


class Events(BaseEventHandler):
    seen: list = []  # noqa: RUF012  # a pydantic field

    def handle(self, event, **kwargs):
        if isinstance(event, RetrievalStartEvent | RetrievalEndEvent):
            self.seen.append(event)


def test_instrumentation_sees_the_question_and_the_nodes(retriever):
    root, handler = get_dispatcher(), Events()
    root.add_event_handler(handler)
    try:
        found = retriever.retrieve(KEEPER)
    finally:
        root.event_handlers.remove(handler)
    start, end = handler.seen
    assert start.str_or_query_bundle == KEEPER
    assert key(end.nodes) == key(found)


def test_postprocessors_take_the_nodes(retriever):
    found = retriever.retrieve(KEEPER)
    cut = SimilarityPostprocessor(similarity_cutoff=found[1].score)
    assert len(cut.postprocess_nodes(list(found))) == 2
    reordered = LongContextReorder().postprocess_nodes(retriever.retrieve(KEEPER))
    assert sorted(key(reordered)) == sorted(key(found))


BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name == "llama_index.core":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
import s3_retriever
from s3_retriever.errors import MissingExtraError
try:
    import llama_index.retrievers.s3
except MissingExtraError as error:
    assert isinstance(error, ImportError)
    print(error)
"""


def test_without_llama_index_the_error_holds_the_command():
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True)
    assert 'pip install "s3-retriever[llama-index]"' in done.stdout, done.stderr
