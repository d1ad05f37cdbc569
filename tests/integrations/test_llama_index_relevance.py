"""Scores of LlamaIndex's nodes that a cut-off means something for."""

from __future__ import annotations

import pytest
from llama_index.core.postprocessor import SimilarityPostprocessor

from judging import judging_index
from llama_index.retrievers.s3 import EndogenousRetriever
from llama_index.retrievers.s3._conversion import from_spans
from s3_retriever.documents import Span
from s3_retriever.errors import InputError
from small_corpus import QUESTIONS

KEEPER, DOUGH, DAM = QUESTIONS
NOWHERE = "Which glacier did the expedition cross with huskies?"


@pytest.fixture(scope="module")
def retriever(tiny_backbone):
    return EndogenousRetriever(judging_index(tiny_backbone), similarity_top_k=6)


def ids(nodes):
    return [found.node.node_id for found in nodes]


def test_a_cutoff_keeps_what_answers_and_drops_what_does_not(retriever):
    cut = SimilarityPostprocessor(similarity_cutoff=0.5)
    found = retriever.retrieve(KEEPER)
    kept = cut.postprocess_nodes(list(found))
    assert 0 < len(kept) < len(found)
    assert "Tomas Ferreira" in kept[0].text
    assert cut.postprocess_nodes(retriever.retrieve(NOWHERE)) == []


def test_sorting_by_it_changes_no_order(retriever):
    spans = retriever.index.search(KEEPER, k=6).spans
    found = retriever.retrieve(KEEPER)
    assert ids(sorted(found, key=lambda one: one.score, reverse=True)) == [s.id for s in spans]
    for place, one in enumerate(found):
        assert one.score == pytest.approx(max(span.relevance for span in spans[place:]))
    ordered = retriever.as_retriever(order="document").retrieve(KEEPER)
    assert dict(zip(ids(found), (one.score for one in found), strict=True)) == pytest.approx(
        dict(zip(ids(ordered), (one.score for one in ordered), strict=True))
    )


def test_the_score_of_the_search_is_a_setting(retriever):
    fused = retriever.as_retriever(score="fused")
    spans = retriever.index.search(KEEPER, k=6).spans
    assert [one.score for one in fused.retrieve(KEEPER)] == pytest.approx([s.score for s in spans])
    assert fused.as_retriever(similarity_top_k=1).score == "fused"
    with pytest.raises(InputError, match="it is 'relevance' or 'fused'"):
        retriever.as_retriever(score="cosine")


def test_leads_and_tails_are_worth_nothing(retriever):
    found = retriever.as_retriever(similarity_top_k=1, bias_tokens=4).retrieve(KEEPER)
    assert found[0].score > 0.5 and [one.score for one in found[1:]] == [0.0] * (len(found) - 1)
    assert len(found) > 1


def test_a_threshold_of_the_retriever(retriever):
    strict = retriever.as_retriever(min_relevance=0.5)
    kept = strict.retrieve(KEEPER)
    assert 0 < len(kept) < 6
    assert strict.retrieve(NOWHERE) == []
    assert len(strict.as_retriever(min_relevance=None).retrieve(KEEPER)) == 6


def test_where_nothing_can_be_told_the_score_is_that_of_the_search():
    span = Span("d", 0, 3, "Ada", 4.5, {"s3": 4.5}, 1)
    assert [one.score for one in from_spans([span], "relevance")] == [4.5]
    assert from_spans([], "relevance") == []
