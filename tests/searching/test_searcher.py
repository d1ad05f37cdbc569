"""`Searcher`: what a search returns, whatever the scores are."""

from __future__ import annotations

import gc
import weakref
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from random_bank import make_bank
from s3_retriever.config import ScanConfig, SearchConfig
from s3_retriever.documents import Document, Span
from s3_retriever.engine.corpus import Corpus, indexed_text
from s3_retriever.reading.questions import read_questions
from s3_retriever.reading.scan import scan
from s3_retriever.searching.scorer import Asked
from s3_retriever.searching.searcher import Searcher
from small_corpus import METADATAS, QUESTIONS, SOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.codec.codes import TokenCodes

SCAN = ScanConfig(chunk_tokens=64, overlap_tokens=8, batch_tokens=512)
DOCUMENTS = [
    Document(name, text, metadata)
    for (name, text), metadata in zip(SOURCES.items(), METADATAS, strict=True)
]
QUESTION = QUESTIONS[0]
ALL = SearchConfig(k=1000)


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    return make_bank(tiny_backbone)


@pytest.fixture(scope="module")
def codes(tiny_backbone: Backbone, bank: Bank) -> dict[str, TokenCodes]:
    return {document.id: rows for document, rows in scan(tiny_backbone, bank, DOCUMENTS, SCAN)}


@pytest.fixture(scope="module")
def queries(tiny_backbone: Backbone, bank: Bank) -> Tensor:
    (question,) = read_questions(tiny_backbone, bank, [QUESTION], SCAN)
    return question.whole.queries


@pytest.fixture(scope="module")
def find(codes: dict[str, TokenCodes], bank: Bank, queries: Tensor) -> Any:
    """Search the corpus by settings, or for some of its documents."""
    corpus = Corpus((), bank).plus((own, codes[own.id]) for own in DOCUMENTS)

    def run(config: SearchConfig, keep: Any = None) -> tuple[Span, ...]:
        return spans_of(corpus.searcher(keep and kept_by(keep)), queries, config)

    return run


def kept_by(keep: Sequence[int]) -> Any:
    """A filter for some of the documents, by their places."""
    wanted = [metadata for metadata, kept in zip(METADATAS, keep, strict=True) if kept]
    return lambda metadata: dict(metadata) in wanted


def spans_of(searcher: Searcher | None, queries: Tensor, config: SearchConfig) -> tuple[Span, ...]:
    if searcher is None:
        return ()
    (scores,) = searcher.score([Asked(QUESTION, queries)], config)
    return searcher.spans(scores, config)


def total(spans: Sequence[Span]) -> int:
    return sum(span.tokens for span in spans)


def assert_disjoint(spans: Sequence[Span]) -> None:
    for name in SOURCES:
        ranges = sorted((s.start, s.end) for s in spans if s.document_id == name)
        assert all(end <= start for (_, end), (start, _) in pairwise(ranges))


@pytest.mark.parametrize("scoring", ["attention", "coactivation"])
@pytest.mark.parametrize("bm25", [True, False])
def test_spans_are_pieces_of_their_sources(find: Any, scoring: Any, bm25: bool) -> None:
    spans = find(SearchConfig(k=1000, scoring=scoring, bm25=bm25))
    parts = {"s3", "document"} | ({"bm25"} if bm25 else set())
    if bm25 or scoring == "attention":
        parts |= {"whole"}
    assert_disjoint(spans)
    for span in spans:
        assert SOURCES[span.document_id][span.start : span.end] == span.text
        assert span.text == span.text.strip() != "" and span.tokens > 0
        assert span.metadata is DOCUMENTS[list(SOURCES).index(span.document_id)].metadata
        documents = (
            {"document"} if scoring == "coactivation" and not bm25 else {"document", "whole"}
        )
        assert set(span.parts) == {"s3"} | documents | ({"bm25"} if bm25 else set())
    scores = [span.score for span in spans]
    assert scores == sorted(scores, reverse=True)


def test_k_is_the_most(find: Any, codes: dict[str, TokenCodes]) -> None:
    spans = find(ALL)
    assert 4 < len(spans) < 100
    assert {span.document_id for span in spans} == set(SOURCES)
    assert total(spans) == sum(len(rows) for rows in codes.values())
    for k in range(1, len(spans) + 3):
        assert find(SearchConfig(k=k)) == spans[:k]


def test_document_order(find: Any) -> None:
    best = find(SearchConfig(k=6))
    ordered = find(SearchConfig(k=6, order="document"))
    names = list(SOURCES)
    assert ordered == tuple(sorted(best, key=lambda s: (names.index(s.document_id), s.start)))
    assert ordered != best


@pytest.mark.parametrize("keep", [(1, 0, 0, 0), (0, 1, 0, 1), (1, 1, 1, 0), (0, 0, 1, 0)], ids=str)
def test_a_filter_gives_what_these_documents_alone_give(
    keep: tuple[int, ...], find: Any, codes: dict[str, TokenCodes], bank: Bank, queries: Tensor
) -> None:
    kept = [document for document, wanted in zip(DOCUMENTS, keep, strict=True) if wanted]
    alone = Searcher(indexed_text(kept, [codes[document.id] for document in kept], bank))
    for config in (ALL, SearchConfig(k=3, bias_tokens=9, order="document")):
        assert find(config, keep) == spans_of(alone, queries, config)
        assert find(config, keep) == find(config, keep)


def test_filters_that_keep_all_or_none(find: Any) -> None:
    assert find(ALL, [1, 1, 1, 1]) == find(ALL)
    assert find(ALL, [0, 0, 0, 0]) == ()


def test_few_filtered_corpora_are_kept(codes: dict[str, TokenCodes], bank: Bank) -> None:
    corpus = Corpus((), bank).plus((own, codes[own.id]) for own in DOCUMENTS)
    made = []
    for number in range(1, 15):
        keep = kept_by([number >> bit & 1 for bit in range(4)])
        made.append(weakref.ref(corpus.searcher(keep)))
        assert corpus.searcher(keep) is made[-1]()
    gc.collect()
    assert 1 <= sum(searcher() is not None for searcher in made) <= 5


def test_a_token_budget_is_spent_to_the_last_token(find: Any) -> None:
    whole = find(ALL)
    for budget in range(1, total(whole) + 3, 3):
        spans = find(SearchConfig(k=1000, token_budget=budget))
        assert total(spans) == min(budget, total(whole))
        *before, last = spans
        assert tuple(before) == whole[: len(before)]
        uncut = whole[len(before)]
        assert uncut.text.startswith(last.text)
        assert last == uncut or last.tokens < uncut.tokens
        assert (last.score, last.parts) == (uncut.score, uncut.parts)


def test_a_span_is_cut_at_the_end_of_a_token(find: Any, codes: dict[str, TokenCodes]) -> None:
    first = find(ALL)[0]
    rows = codes[first.document_id]
    begin = int(np.searchsorted(rows.ends, first.start, side="right"))
    for budget in range(1, first.tokens):
        (cut,) = find(SearchConfig(token_budget=budget))
        assert cut.tokens == budget
        assert cut.text == SOURCES[first.document_id][first.start : cut.end].rstrip()
        assert cut.end <= rows.ends[begin + budget - 1]


def test_bias_adds_lead_and_tail_of_the_documents_found(find: Any) -> None:
    plain = find(SearchConfig(k=1))
    found, *bias = find(SearchConfig(k=1, bias_tokens=6))
    assert (found,) == plain
    source = SOURCES[found.document_id]
    assert 1 <= len(bias) <= 2 and {span.document_id for span in bias} == {found.document_id}
    assert_disjoint([found, *bias])
    for span in bias:
        assert dict(span.parts) == {"bias": 1.0} and span.tokens == 6
        assert source[span.start : span.end] == span.text
        assert source.startswith(span.text) or source.rstrip().endswith(span.text)


def test_bias_shares_the_budget(find: Any) -> None:
    plain = total(find(SearchConfig(k=1)))
    spans = find(SearchConfig(k=1, bias_tokens=6, token_budget=plain + 4))
    assert total(spans) == plain + 4 and spans[-1].parts == {"bias": 1.0}
    assert find(SearchConfig(k=1, bias_tokens=6, token_budget=plain)) == find(SearchConfig(k=1))


def test_bias_of_a_document_shorter_than_it(
    tiny_backbone: Backbone, bank: Bank, queries: Tensor
) -> None:
    documents = [Document("a", "One short text."), Document("b", "Another.")]
    scanned = {document.id: rows for document, rows in scan(tiny_backbone, bank, documents, SCAN)}
    searcher = Searcher(indexed_text(documents, [scanned["a"], scanned["b"]], bank))
    spans = spans_of(searcher, queries, SearchConfig(bias_tokens=500))
    assert sorted(span.text for span in spans) == ["Another.", "One short text."]


def test_white_space_is_no_span(tiny_backbone: Backbone, bank: Bank, queries: Tensor) -> None:
    blank = " \n" * 400
    (entry,) = scan(tiny_backbone, bank, [Document("a", f"{blank}Some words.{blank}")], SCAN)
    spans = spans_of(Searcher(indexed_text([entry[0]], [entry[1]], bank)), queries, ALL)
    assert [span.text for span in spans] == ["Some words."]
