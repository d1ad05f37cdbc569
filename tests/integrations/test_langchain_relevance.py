"""A threshold on relevance in LangChain, as its vector stores have one."""

from __future__ import annotations

import pytest

from judging import judging_index
from langchain_s3_retriever import EndogenousRetriever
from s3_retriever.errors import InputError
from small_corpus import QUESTIONS

KEEPER, DOUGH, DAM = QUESTIONS
NOWHERE = "Which glacier did the expedition cross with huskies?"


@pytest.fixture(scope="module")
def retriever(tiny_backbone):
    return EndogenousRetriever(index=judging_index(tiny_backbone), k=6)


def ids(documents):
    return [document.id for document in documents]


def test_a_threshold_of_the_retriever_and_of_a_call(retriever):
    every = retriever.invoke(KEEPER)
    strict = EndogenousRetriever(index=retriever.index, k=6, min_relevance=0.5)
    kept = strict.invoke(KEEPER)
    assert 0 < len(kept) < len(every) and set(ids(kept)) < set(ids(every))
    assert ids(retriever.invoke(KEEPER, min_relevance=0.5)) == ids(kept)
    assert strict.invoke(NOWHERE) == []
    again = strict.model_copy(update={"min_relevance": None})
    assert ids(again.invoke(KEEPER)) == ids(every)


def test_a_configured_retriever_may_have_no_threshold(retriever):
    index = judging_index(retriever.index.backbone)
    index.config = index.config.replace(min_relevance=1.0)
    assert EndogenousRetriever(index=index).invoke(KEEPER) == []
    assert EndogenousRetriever(index=index, min_relevance=None).invoke(KEEPER)


def test_metadata_holds_relevance_only_when_asked(retriever):
    scored = EndogenousRetriever(index=retriever.index, k=6, include_scores=True)
    plain, with_scores = retriever.invoke(KEEPER), scored.invoke(KEEPER)
    assert not any("relevance" in document.metadata for document in plain)
    spans = retriever.index.search(KEEPER, k=6)
    found = [document.metadata["relevance"] for document in with_scores]
    assert found == pytest.approx([span.relevance for span in spans])


async def test_documents_with_relevance_scores(retriever):
    pairs = retriever.similarity_search_with_relevance_scores(KEEPER)
    assert ids(document for document, _ in pairs) == ids(retriever.invoke(KEEPER))
    assert all(0 <= score <= 1 and "score" not in found.metadata for found, score in pairs)
    few = await retriever.asimilarity_search_with_relevance_scores(
        KEEPER, 6, score_threshold=0.5, filter={"topic": "sea"}
    )
    assert [found.id for found, _ in few] == [found.id for found, score in pairs if score >= 0.5]
    assert retriever.similarity_search_with_relevance_scores(NOWHERE, score_threshold=0.5) == []


def test_a_bank_that_cannot_tell_is_named(tiny_index):
    retriever = EndogenousRetriever(index=tiny_index)
    with pytest.raises(InputError, match="without a relevance head"):
        retriever.similarity_search_with_relevance_scores(KEEPER)
    with pytest.raises(InputError, match="without a relevance head"):
        retriever.invoke(KEEPER, min_relevance=0.5)
    with_scores = EndogenousRetriever(index=tiny_index, include_scores=True).invoke(KEEPER)
    assert "relevance" not in with_scores[0].metadata
