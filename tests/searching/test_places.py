"""Whole documents, asked for by the words that name one and by the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from rank_bm25 import BM25Okapi

from random_bank import HEADS, make_bank
from s3_retriever.codec.places import PlaceHead
from s3_retriever.config import ScanConfig, SearchConfig, Weighing
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.reading.scan import scan
from s3_retriever.searching import candidate_attention, places
from s3_retriever.searching.attention import coded_logits
from s3_retriever.searching.fusion import standardise
from s3_retriever.searching.places import (
    AttentionDocumentScorer,
    AttentionPlaceScorer,
    LexicalDocumentScorer,
    LexicalPlaceScorer,
)
from s3_retriever.searching.scorer import Asked
from s3_retriever.searching.searcher import Searcher
from s3_retriever.text.words import asked_words, words
from small_corpus import SOURCES

if TYPE_CHECKING:
    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.searching.scorer import IndexedText

SCAN = ScanConfig(chunk_tokens=64, overlap_tokens=8, batch_tokens=512)
DOCUMENTS = tuple(Document(name, text) for name, text in SOURCES.items())
QUESTION = "According to the notes about rye bread, what takes eighteen hours?"
CLAUSE = "According to the notes about rye bread,"
FIRST_ONLY = SearchConfig(second_hop=False)


@pytest.fixture(scope="module")
def text(tiny_backbone: Backbone) -> IndexedText:
    bank = make_bank(tiny_backbone)
    codes = {document.id: rows for document, rows in scan(tiny_backbone, bank, DOCUMENTS, SCAN)}
    return indexed_text(DOCUMENTS, [codes[document.id] for document in DOCUMENTS], bank)


@pytest.fixture(scope="module")
def queries() -> Tensor:
    return torch.randn(6, len(HEADS), 16, generator=torch.Generator().manual_seed(0))


def asked(queries: Tensor, place: str | None = CLAUSE) -> Asked:
    """The first two tokens name a document, if any words do."""
    named = None if place is None else Asked(place, queries[:2])
    return Asked("what takes eighteen hours?", queries[2:], place=named)


def over_sentences(values: Tensor, text: IndexedText) -> Tensor:
    return standardise(values[torch.from_numpy(text.passages.document)])


def bm25_of(named: str) -> Tensor:
    ranker = BM25Okapi([words(document.text) for document in DOCUMENTS])
    return torch.from_numpy(ranker.get_scores(words(named))).float()


def test_words_are_those_of_rank_bm25_over_whole_documents(
    text: IndexedText, queries: Tensor
) -> None:
    everything = np.arange(len(text.passages))
    question = asked(queries)
    for scorer, named in (
        (LexicalPlaceScorer(text), CLAUSE),
        (LexicalDocumentScorer(text), question.text),
    ):
        (found,) = scorer.scores([question], everything, Weighing())
        torch.testing.assert_close(found, over_sentences(bm25_of(named), text))
        assert DOCUMENTS[int(text.passages.document[found.argmax()])].id == "bread"


@pytest.mark.parametrize("most", [100, 3])
def test_attention_counts_the_best_share_of_each_token_in_a_document(
    text: IndexedText, queries: Tensor, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "SENTENCES", most)
    monkeypatch.setattr(candidate_attention, "_BLOCK_QUERIES", len(HEADS))
    everything, question = np.arange(len(text.passages)), asked(queries)
    calibration, bounds = text.bank.calibration, text.passages.bounds
    ranker = BM25Okapi([words(sentence) for sentence in text.sentences()])
    for scorer, named, own in (
        (AttentionPlaceScorer(text), CLAUSE, queries[:2]),
        (AttentionDocumentScorer(text), question.text, queries[2:]),
    ):
        shared = torch.from_numpy(ranker.get_scores(asked_words(named, ["english"])))
        read = torch.topk(shared, min(most, int((shared > 0).sum()))).indices.tolist()
        tokens = torch.cat([torch.arange(bounds[n], bounds[n + 1]) for n in read])
        logits = coded_logits(text)(own)(slice(0, int(bounds[-1])))[tokens]
        shares = torch.softmax(logits, 0).view(len(tokens), len(HEADS), len(own))
        owner = np.repeat([text.passages.document[n] for n in read], np.diff(bounds)[read])
        best = torch.zeros(len(DOCUMENTS), len(HEADS))
        for document in {*owner.tolist()}:
            best[document] = shares[torch.from_numpy(owner == document)].amax(0).sum(1)
        wanted = over_sentences(standardise(best) @ calibration.head_shares, text)
        (found,) = scorer.scores([question], everything, Weighing())
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_sentences_that_are_left_out_name_no_document(text: IndexedText, queries: Tensor) -> None:
    question = Asked("rye bread, the lighthouse", queries[:2])
    scorer, everything = AttentionDocumentScorer(text), np.arange(len(text.passages))
    bread = text.passages.of_document([*SOURCES].index("bread"))
    (whole,) = scorer.scores([question], everything, Weighing())
    (found,) = scorer.scores([replace(question, without=bread)], everything, Weighing())
    assert whole[bread.start] > whole.min() and found[bread.start] == found.min() < found.max()


def test_words_that_stand_nowhere_name_no_document(text: IndexedText, queries: Tensor) -> None:
    question = Asked("zyzzyva", queries[:2])
    everything = np.arange(len(text.passages))
    (found,) = AttentionDocumentScorer(text).scores([question], everything, Weighing())
    assert (found == 0).all()


@pytest.mark.parametrize("kind", [LexicalPlaceScorer, AttentionPlaceScorer])
def test_without_a_name_no_document_is_asked_for(
    kind: type[LexicalPlaceScorer], text: IndexedText, queries: Tensor
) -> None:
    everything = np.arange(len(text.passages))
    both = [asked(queries), asked(queries, place=None), asked(queries, place="of the,")]
    named, unnamed, stopped = kind(text).scores(both, everything, Weighing())
    assert named.std() > 0 and (unnamed == 0).all()
    assert (stopped == 0).all()


def test_candidates_are_scored_as_among_all(text: IndexedText, queries: Tensor) -> None:
    few = np.array([1, 4, 5])
    everything, question = np.arange(len(text.passages)), asked(queries)
    for kind in (LexicalPlaceScorer, LexicalDocumentScorer, AttentionPlaceScorer):
        whole = kind(text).scores([question], everything, Weighing())
        assert torch.equal(kind(text).scores([question], few, Weighing()), whole[:, few])


def test_a_lead_is_looked_for_where_its_words_stand(
    text: IndexedText, queries: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead, searcher = Asked("rye, lighthouse", queries[2:4]), Searcher(text)
    named = [{"rye", "lighthous"} & {*words(sentence)} for sentence in text.sentences()]
    holding = [n for n, shared in enumerate(named) if shared]
    for config, parts in (
        (SearchConfig(), {"s3", "bm25", "whole", "document"}),
        (SearchConfig(bm25=False), {"s3", "whole", "document"}),
    ):
        found = searcher._led_to(lead, config)
        assert found.candidates.tolist() == holding and {*found.parts} == parts
    monkeypatch.setattr("s3_retriever.searching.searcher.LEAD_SENTENCES", 1)
    assert len(searcher._led_to(lead, SearchConfig()).candidates) == 1


@pytest.mark.parametrize("scoring", ["attention", "coactivation"])
def test_a_lead_whose_words_stand_nowhere_leads_nowhere(
    text: IndexedText, queries: Tensor, scoring: str
) -> None:
    searcher, config = Searcher(text), SearchConfig(scoring=scoring)
    found = searcher._led_to(Asked("zyzzyva", queries[2:4]), config)
    assert len(found.candidates) == len(found.total) == 0
    (scores,) = searcher.score([Asked("who keeps it?", queries[:2])], config)
    sources = searcher.hop_sources(scores)[:1]
    after = searcher.hop(scores, sources, [Asked("zyzzyva", queries[2:4])], config)
    assert torch.equal(after.total, scores.total)


def first_words(bank: Bank) -> PlaceHead:
    """Finds that all tokens but the last name a document, whatever they say."""
    heads, size = len(bank.calibration.heads), bank.calibration.head_dim
    bias = torch.zeros(6)
    bias[:2] = torch.tensor([1.0, 50.0])
    return PlaceHead(torch.zeros(heads * size, 5), bias)


@pytest.fixture(scope="module")
def index(tiny_backbone: Backbone) -> EndogenousIndex:
    bank = make_bank(tiny_backbone)
    bank = replace(bank, calibration=bank.calibration.replace(places=first_words(bank)))
    return EndogenousIndex.build(
        DOCUMENTS, model=tiny_backbone, bank=bank, scan=SCAN, search=FIRST_ONLY, progress=False
    )


def test_what_names_a_document_asks_for_it_and_for_no_sentence(index: EndogenousIndex) -> None:
    spans = index.search(QUESTION)
    assert {"place", "whole"} <= set(spans[0].parts)
    plain = index.search(QUESTION, weighing={"place": 0.0})
    assert "place" not in plain[0].parts
    best = max(spans, key=lambda span: span.parts["place"])
    assert best.document_id == "bread"


def test_attention_alone_tells_documents_apart_too(index: EndogenousIndex) -> None:
    parts = index.search(QUESTION, bm25=False)[0].parts
    assert set(parts) == {"s3", "place", "whole", "document"}
    alone = index.search(QUESTION, bm25=False, scoring="coactivation")[0].parts
    assert set(alone) == {"s3", "document"}


def test_one_document_needs_no_name(index: EndogenousIndex, tiny_backbone: Backbone) -> None:
    filtered = index.search(QUESTION, filter=lambda metadata: True)
    assert "place" in filtered[0].parts
    single = EndogenousIndex.build(
        DOCUMENTS[:1],
        model=tiny_backbone,
        bank=index.bank,
        scan=SCAN,
        search=FIRST_ONLY,
        progress=False,
    )
    for span in single.search(QUESTION):
        assert set(span.parts) == {"s3", "bm25"}
    bare = replace(index.bank, calibration=index.bank.calibration.replace(places=None))
    whole = EndogenousIndex.build(
        DOCUMENTS[:1], model=tiny_backbone, bank=bare, scan=SCAN, search=FIRST_ONLY, progress=False
    )
    assert [span.id for span in single.search(QUESTION)] == [
        span.id for span in whole.search(QUESTION)
    ]
