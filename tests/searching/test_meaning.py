"""Sentences by what they mean: cosines of sums over their codes with the question's vector."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from random_bank import HEADS, make_bank
from random_head import SIZE, make_head
from s3_retriever.config import ScanConfig, SearchConfig, Weighing
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.errors import InputError
from s3_retriever.reading.scan import scan
from s3_retriever.searching.fusion import standardise
from s3_retriever.searching.meaning import MeaningScorer
from s3_retriever.searching.passages import Passages
from s3_retriever.searching.scorer import Asked
from s3_retriever.searching.searcher import Searcher
from s3_retriever.searching.sums import sentence_sums
from small_corpus import QUESTIONS, SOURCES

if TYPE_CHECKING:
    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.searching.scorer import IndexedText

SCAN = ScanConfig(chunk_tokens=64, overlap_tokens=8, batch_tokens=512)
DOCUMENTS = tuple(Document(name, text) for name, text in SOURCES.items())


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    plain = make_bank(tiny_backbone)
    return replace(plain, sentences=make_head(plain.calibration))


@pytest.fixture(scope="module")
def text(tiny_backbone: Backbone, bank: Bank) -> IndexedText:
    codes = {document.id: rows for document, rows in scan(tiny_backbone, bank, DOCUMENTS, SCAN)}
    return indexed_text(DOCUMENTS, [codes[document.id] for document in DOCUMENTS], bank)


def asked(seed: int = 0) -> Asked:
    random = torch.Generator().manual_seed(seed)
    return Asked("what rests?", torch.randn(5, len(HEADS), 16, generator=random))


def sum_of(text: IndexedText, sentence: int) -> Tensor:
    assert text.bank.sentences is not None
    own = slice(int(text.passages.bounds[sentence]), int(text.passages.bounds[sentence + 1]))
    keys = text.bank.decode(text.codes.rows(own))
    return text.bank.sentences.keys(keys.flatten(1)).sum(0)


def test_a_sentence_is_the_sum_of_its_tokens(
    text: IndexedText, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert text.bank.sentences is not None
    expected = torch.stack([sum_of(text, number) for number in range(len(text.passages))])

    def keys(tokens: slice) -> Tensor:
        return text.bank.decode(text.codes.rows(tokens))

    close = partial(torch.testing.assert_close, rtol=1e-4, atol=0.1)  # sums of some 10,000
    bounds, head = text.passages.bounds, text.bank.sentences
    close(sentence_sums(bounds, head, keys), expected)
    monkeypatch.setattr("s3_retriever.searching.sums._BLOCK_TOKENS", 7)
    close(sentence_sums(bounds, head, keys), expected)


def test_scores_are_cosines_with_what_stands_near(text: IndexedText) -> None:
    head, passages, weighing = text.bank.sentences, text.passages, Weighing(meaning_reach=80.0)
    assert head is not None
    centre = (passages.start + passages.end) / 2
    cosines = []
    questions = [asked(1), asked(2)]
    for sentence in range(len(passages)):
        total = torch.zeros(SIZE)
        for other in range(len(passages)):
            weight = np.exp(-abs(centre[sentence] - centre[other]) / 80)
            if passages.document[sentence] == passages.document[other] and weight > 1e-9:
                total += float(weight) * sum_of(text, other)
        vectors = [head.question(text.bank.calibration.queries(q.queries)) for q in questions]
        cosines.append([float(normalize(total, dim=0) @ vector) for vector in vectors])
    expected = standardise(torch.tensor(cosines)).T
    found = MeaningScorer(text).scores(questions, np.arange(len(passages)), weighing)
    torch.testing.assert_close(found, expected, atol=0.2, rtol=0)  # far neighbours are left out
    assert [int(row.argmax()) for row in found] == [int(row.argmax()) for row in expected]
    some = np.array([1, 4])
    (first, _) = MeaningScorer(text).scores(questions, some, weighing)
    torch.testing.assert_close(first, found[0][torch.from_numpy(some)])


def test_vectors_are_made_once_for_a_reach(
    text: IndexedText, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaches: list[float] = []
    spread = Passages.spread

    def spy(self: Passages, values: Tensor, reach: float) -> Tensor:
        reaches.append(reach)
        return spread(self, values, reach)

    monkeypatch.setattr(Passages, "spread", spy)
    scorer, everything = MeaningScorer(text), np.arange(len(text.passages))
    for reach in (100.0, 100.0, 50.0, 50.0):
        scorer.scores([asked(), asked(1)], everything, Weighing(meaning_reach=reach))
    assert reaches == [100.0, 50.0]
    again = MeaningScorer(text).scores([asked(1)], everything, Weighing(meaning_reach=50.0))
    found = scorer.scores([asked(1)], everything, Weighing(meaning_reach=50.0))
    assert torch.equal(found, again)


def test_a_sentence_without_tokens_has_a_score(text: IndexedText) -> None:
    bounds = text.passages.bounds.copy()
    bounds[2] = bounds[1]
    empty = replace(text, passages=replace(text.passages, bounds=bounds), tables=None)
    found = MeaningScorer(empty).scores([asked()], np.arange(len(empty.passages)), Weighing())
    assert torch.isfinite(found).all()


def test_meaning_is_a_part_where_the_bank_has_a_head(text: IndexedText, bank: Bank) -> None:
    config = SearchConfig()
    (with_head,) = Searcher(text).score([asked()], config)
    assert "meaning" in with_head.parts
    silent = config.replace(weighing={"meaning": 0.0})
    (without,) = Searcher(text).score([asked()], silent)
    assert "meaning" not in without.parts
    plain = replace(text, bank=replace(bank, sentences=None))
    (headless,) = Searcher(plain).score([asked()], config)
    assert "meaning" not in headless.parts
    torch.testing.assert_close(headless.total, without.total)


def test_spans_tell_what_meaning_gave(tiny_backbone: Backbone, bank: Bank) -> None:
    index = EndogenousIndex.build(DOCUMENTS, model=tiny_backbone, bank=bank, scan=SCAN)
    (span,) = index.search(QUESTIONS[0], k=1).spans
    assert {"s3", "bm25", "meaning"} <= span.parts.keys()
    (alone,) = index.search(QUESTIONS[0], k=1, scoring="meaning", bm25=False).spans
    assert SOURCES[alone.document_id][alone.start : alone.end] == alone.text


def test_a_bank_without_a_head_cannot_score_meaning_alone(text: IndexedText, bank: Bank) -> None:
    plain = replace(text, bank=replace(bank, sentences=None))
    with pytest.raises(InputError, match="cannot score meaning"):
        Searcher(plain).score([asked()], SearchConfig(scoring="meaning"))
