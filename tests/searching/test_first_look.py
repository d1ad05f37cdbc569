"""Attention by a first look at cells, against the search that reads every token."""

from __future__ import annotations

from dataclasses import replace
from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from random_bank import HEADS, make_bank
from s3_retriever.config import ScanConfig, SearchConfig, Weighing
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.corpus import Corpus, indexed_text
from s3_retriever.reading.questions import read_questions
from s3_retriever.reading.scan import scan
from s3_retriever.searching import cells, first_look, searcher, tables
from s3_retriever.searching.cells import CellPostings
from s3_retriever.searching.first_look import CellAttention
from s3_retriever.searching.kmeans import grouped
from s3_retriever.searching.scorer import Asked
from s3_retriever.searching.searcher import Searcher

if TYPE_CHECKING:
    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.codec.codes import TokenCodes
    from s3_retriever.searching.scorer import IndexedText

SCAN = ScanConfig(batch_tokens=4096)
NAMES = ("assert", "break", "class", "debugger", "exceptions", "formatstrings", "with", "yield")
DOCUMENTS = tuple(Document(name, topics[name], {"size": len(topics[name])}) for name in NAMES)
QUESTIONS = (
    "How does a with statement treat an exception that its block raises?",
    "In the chapter on the debugger, which command prints a stack trace?",
    "What is the difference between a generator and a coroutine?",
    "How are numbers padded with zeros?",
)
EXACT, FAST = SearchConfig(exact=True), SearchConfig()


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    return make_bank(tiny_backbone)


@pytest.fixture(scope="module")
def codes(tiny_backbone: Backbone, bank: Bank) -> list[TokenCodes]:
    found = {document.id: rows for document, rows in scan(tiny_backbone, bank, DOCUMENTS, SCAN)}
    return [found[name] for name in NAMES]


@pytest.fixture(scope="module")
def text(bank: Bank, codes: list[TokenCodes]) -> IndexedText:
    return indexed_text(DOCUMENTS, codes, bank)


@pytest.fixture(scope="module")
def asked(tiny_backbone: Backbone, bank: Bank, text: IndexedText) -> list[Asked]:
    """One asks the whole text, one leaves out a document, one names a document."""
    rows = [read.whole.queries for read in read_questions(tiny_backbone, bank, QUESTIONS, SCAN)]
    first, second, third, last = (Asked(*both) for both in zip(QUESTIONS, rows, strict=True))
    home = text.passages.of_document(5)
    named = replace(second, queries=second.queries[8:])
    place = Asked(QUESTIONS[1][:27], second.queries[:8])
    return [first, replace(named, place=place), replace(third, without=home), last]


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """All cells lead to sentences, and all sentences are read."""
    monkeypatch.setattr(searcher, "CANDIDATES", 10**6)
    monkeypatch.setattr(first_look, "SHARE", 0.0)


def parts_of(
    text: IndexedText, asked: list[Asked], config: SearchConfig
) -> list[dict[str, Tensor]]:
    return [dict(own.parts) for own in Searcher(text, fast_from=0).score(asked, config)]


@pytest.mark.parametrize("settings", [{}, {"weighing": {"reach": 60.0, "power": 2.0}}], ids=str)
def test_with_all_cells_and_sentences_it_is_the_exact_search(
    everywhere: None, settings: dict[str, Any], text: IndexedText, asked: list[Asked]
) -> None:
    fast = parts_of(text, asked, FAST.replace(**settings))
    exact = parts_of(text, asked, EXACT.replace(**settings))
    for one, other in zip(fast, exact, strict=True):
        assert one.keys() == other.keys() >= {"s3", "bm25", "document", "whole"}
        for part, scores in one.items():
            torch.testing.assert_close(scores, other[part], rtol=1e-3, atol=2e-3)
    assert "place" in fast[1] and "place" not in fast[0]


def test_the_best_sentences_are_among_those_that_are_read(
    text: IndexedText, asked: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher, "CANDIDATES", len(text.passages) // 5)
    monkeypatch.setattr(cells, "CELL_TOKENS", 32)  # a small text
    text = replace(text, tables=None)
    fast, exact = Searcher(text, fast_from=0), Searcher(text)
    shared, alike = [], []
    for question in asked:
        (quick,), (slow,) = (own.score([question], FAST) for own in (fast, exact))
        best, found = (torch.topk(own.total, 20).indices.tolist() for own in (slow, quick))
        shared.append(len({*best} & {*found}))
        both = torch.stack([quick.parts["s3"], slow.parts["s3"]])[:, best]
        alike.append(float(torch.corrcoef(both)[0, 1]))
    assert np.mean(shared) >= 14 and np.mean(alike) > 0.7  # by chance 4, and 0


def test_codes_of_candidates_alone_are_read(
    text: IndexedText, asked: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Searcher(text, fast_from=0)
    expected = own.score(asked[:1], FAST)
    read: list[int] = []
    ranges = type(text.codes).ranges

    def spy(self: Any, starts: np.ndarray, stops: np.ndarray) -> Any:
        read.append(int((stops - starts).sum()))
        return ranges(self, starts, stops)

    monkeypatch.setattr(type(text.codes), "ranges", spy)
    monkeypatch.setattr(type(text.codes), "rows", None)
    monkeypatch.setattr(searcher, "CANDIDATES", 25)
    (found,) = own.score(asked[:1], FAST)
    assert 25 <= sum(read) < len(text.codes) / 4
    assert not torch.equal(found.total, expected[0].total)


def test_nothing_is_left_to_chance_or_to_company(text: IndexedText, asked: list[Asked]) -> None:
    together = parts_of(text, asked, FAST)
    for question, parts in zip(asked, together, strict=True):
        (alone,) = parts_of(replace(text), [question], FAST)
        for part, scores in parts.items():
            assert torch.equal(scores, alone[part])


def test_what_is_left_out_is_not_found(text: IndexedText, asked: list[Asked]) -> None:
    (scores,) = Searcher(text, fast_from=0).score([asked[2]], FAST)
    left_out = torch.zeros(len(text.passages), dtype=torch.bool)
    left_out[asked[2].without] = True
    own = scores.parts["s3"]
    assert own[left_out].max() < own[~left_out].median()


def test_long_questions_look_in_parts(
    text: IndexedText, asked: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    attention = CellAttention(text, text.cells)
    some = np.arange(0, len(text.passages), 3)
    question = asked[2]
    expected = [attention.look(question).scores(Weighing())]
    expected += [attention.look(question).refined(some, Weighing())]
    monkeypatch.setattr(CellAttention, "most", 3)
    look = attention.look(question)
    found = [look.scores(Weighing()), look.refined(some, Weighing())]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_extreme_queries_are_borne(text: IndexedText, asked: list[Asked]) -> None:
    wild = replace(asked[0], queries=1e4 * asked[0].queries)
    (scores,) = Searcher(text, fast_from=0).score([wild], FAST.replace(bm25=False))
    assert scores.total.isfinite().all() and scores.parts["s3"].std() > 0


def test_documents_are_told_apart_as_in_the_exact_search(
    text: IndexedText, asked: list[Asked]
) -> None:
    fast, exact = (parts_of(text, asked[:2], own.replace(bm25=False)) for own in (FAST, EXACT))
    for part, number in (("place", 1), ("whole", 0), ("whole", 1)):
        assert torch.equal(fast[number][part], exact[number][part])


def test_a_filter_takes_cells_that_were_made(
    everywhere: None,
    bank: Bank,
    codes: list[TokenCodes],
    asked: list[Asked],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    corpus = Corpus((), bank).plus(zip(DOCUMENTS, codes, strict=True))
    monkeypatch.setattr(searcher, "FAST_FROM", 0)
    made: list[int] = []

    def spy(keys: Any) -> Any:
        made.append(len(keys))
        return cells.cells_of(keys)

    monkeypatch.setattr("s3_retriever.searching.tables.cells_of", spy)
    for keep in (None, lambda metadata: metadata["size"] > 5000):
        own = corpus.searcher(keep)
        assert own is not None
        (fast,), (exact,) = own.score(asked[:1], FAST), own.score(asked[:1], EXACT)
        torch.testing.assert_close(fast.total, exact.total, rtol=1e-3, atol=3e-3)
    assert made == [sum(map(len, codes))] and len(own.text.documents) < len(DOCUMENTS)


def cells_known(text: IndexedText) -> bool:
    assert text.tables is not None
    return "cells" in text.tables._kept


def test_small_texts_are_read_whole(tiny_backbone: Backbone, bank: Bank) -> None:
    index = EndogenousIndex.build(DOCUMENTS[:2], model=tiny_backbone, bank=bank, scan=SCAN)
    assert index.search(QUESTIONS[0]) == index.search(QUESTIONS[0], exact=True)
    own = index._corpus.searcher()
    assert own is not None and not cells_known(own.text)


def test_large_texts_are_searched_with_a_second_hop(
    tiny_backbone: Backbone, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher, "FAST_FROM", 1000)
    index = EndogenousIndex.build(DOCUMENTS, model=tiny_backbone, bank=bank, scan=SCAN)
    fast, exact = (index.search(QUESTIONS[0], exact=exact, k=20) for exact in (False, True))
    own = index._corpus.searcher()
    assert own is not None and cells_known(own.text)
    assert "hop" in fast[0].parts
    assert len({span.id for span in fast} & {span.id for span in exact}) >= 10
    for span in fast:
        assert topics[span.document_id][span.start : span.end] == span.text


def test_a_second_hop_over_all_cells_and_sentences_is_the_exact_one(
    everywhere: None, text: IndexedText, asked: list[Asked]
) -> None:
    own = Searcher(text, fast_from=0)
    totals = []
    for config in (FAST, EXACT):
        (scores,) = own.score(asked[:1], config)
        sources = own.hop_sources(scores)
        leads = [asked[3], None, replace(asked[2], without=slice(0, 0))][: len(sources)]
        totals.append(own.hop(scores, sources, leads, config).parts["hop"])
    assert totals[0].std() > 0
    torch.testing.assert_close(*totals, rtol=1e-2, atol=1e-2)


def test_groups_are_near_and_none_is_empty() -> None:
    random = torch.Generator().manual_seed(3)
    centres = 20 * torch.randn(30, 4, generator=random)
    x = centres.repeat(40, 1) + torch.randn(1200, 4, generator=random)
    group = grouped(x.numpy(), 10)
    sizes = np.bincount(group)
    assert (sizes > 0).all() and 60 <= len(sizes) <= 180
    assert np.array_equal(group, grouped(x.numpy(), 10))
    own = np.tile(np.arange(30), 40)
    mixed = sum(len(set(own[group == number])) > 1 for number in range(len(sizes)))
    assert mixed < len(sizes) / 10


@pytest.mark.parametrize("run", [2**18, 1500])
def test_cells_hold_the_means_of_their_keys(
    run: int, text: IndexedText, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "RUN_TOKENS", run)
    keys = text.bank.decode(text.codes.rows(slice(None))) - text.bank.offset
    for tap, own in enumerate(replace(text, tables=None).cells):
        assert len(own.cell) == len(text.codes)
        left = keys[:, tap] - own.means[own.cell.astype(np.int64)]
        torch.testing.assert_close(own.spread, left.T @ left / len(left), rtol=0.05, atol=0.02)
        for number in (0, len(own.means) // 2, len(own.means) - 1):
            mean = keys[torch.from_numpy(own.cell == number), tap].mean(0)
            torch.testing.assert_close(own.means[number], mean, rtol=0.01, atol=0.05)
        runs = -(-len(text.codes) // run)
        assert runs <= len(own.means) <= len(text.codes) / cells.CELL_TOKENS * 1.5


def test_posts_of_cells_are_the_sentences_of_their_tokens(text: IndexedText) -> None:
    postings = CellPostings(text.cells[0], text.passages.bounds)
    owner = np.repeat(np.arange(len(text.passages)), np.diff(text.passages.bounds))
    some = np.array([3, 0, 7])
    sentences, place = postings.posts(some)
    for number, cell in enumerate(some):
        wanted = owner[text.cells[0].cell == cell]
        assert sentences[place == number].tolist() == wanted.tolist()
    assert postings.counts(slice(0, 10)).sum() == 10 and len(HEADS) > 1


def test_candidates_that_are_all_left_out_get_nothing(
    everywhere: None, text: IndexedText, asked: list[Asked]
) -> None:
    home = text.passages.of_document(0)
    look = CellAttention(text, text.cells).look(replace(asked[0], without=home))
    assert look.refined(np.arange(home.start, home.stop), FAST.weighing).isfinite().all()
