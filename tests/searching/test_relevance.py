"""How likely spans are to hold evidence: one scale for exact and fast search, filters, any text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from judging import BY_SHARED_WORDS, judging_bank, judging_index
from random_bank import make_bank
from random_head import make_head
from s3_retriever.config import UNSET, ScanConfig
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.errors import InputError
from s3_retriever.reading.questions import read_questions
from s3_retriever.reading.scan import scan
from s3_retriever.searching import searcher
from s3_retriever.searching.peaks import Peak
from s3_retriever.searching.relevance import features, relevances
from s3_retriever.searching.scorer import Asked
from small_corpus import DOCUMENTS, QUESTIONS

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone
    from s3_retriever.searching.scorer import IndexedText

KEEPER, DOUGH, DAM = QUESTIONS
NOWHERE = "Which glacier did the expedition cross with huskies?"


@pytest.fixture(scope="module")
def index(tiny_backbone: Backbone) -> EndogenousIndex:
    return judging_index(tiny_backbone)


@pytest.fixture(scope="module")
def text(tiny_backbone: Backbone) -> IndexedText:
    plain = judging_bank(tiny_backbone)
    bank = replace(plain, sentences=make_head(plain.calibration))
    rows = {document.id: own for document, own in scan(tiny_backbone, bank, DOCUMENTS)}
    return indexed_text(DOCUMENTS, [rows[document.id] for document in DOCUMENTS], bank)


def asked_of(text: IndexedText, backbone: Backbone, question: str) -> Asked:
    (read,) = read_questions(backbone, text.bank, [question], ScanConfig())
    return Asked(read.what.text, read.what.queries)


def test_features_by_hand(text: IndexedText, tiny_backbone: Backbone) -> None:
    asked = asked_of(text, tiny_backbone, "Is the lamp of the lighthouse made of porphyry?")
    passages, calibration = text.passages, text.bank.calibration
    peaks = [Peak(3, 5, 4), Peak(0, 1, 0), Peak(1, 3, 2)]
    found = features(text, asked, peaks)
    assert found.shape == (3, 4)
    rarity = {
        word: np.log((len(passages) + 1) / (count + 0.5))
        for word, count in {"lamp": 2, "lighthous": 1, "made": 1, "porphyri": 0}.items()
    }
    assert found[1, 0] == pytest.approx(rarity["lighthous"] / sum(rarity.values()))

    y, keys = calibration.queries(asked.queries), text.bank.decode(text.codes.rows(slice(None)))
    keys = keys - text.bank.offset
    norms = torch.stack([y[:, h].norm(dim=1) for h in range(3)])
    w = (norms * calibration.head_shares[:, None]).sum(0)
    for row, peak in zip(found, peaks, strict=True):
        tokens = slice(int(passages.bounds[peak.first]), int(passages.bounds[peak.last]))
        best = sum(
            share * (keys[tokens, tap] @ y[:, h].T).amax(0)
            for h, (tap, share) in enumerate(
                zip(calibration.tap_of_head, calibration.head_shares, strict=True)
            )
        )
        assert row[1] == pytest.approx(float((w * best).sum() / (w * w).sum()), rel=1e-4)
        sums = text.sums[peak.first : peak.last]
        vector = text.bank.sentences.question(y)  # type: ignore[union-attr]
        cosines = torch.nn.functional.cosine_similarity(sums, vector[None])
        assert row[2] == pytest.approx(float(cosines.max()), abs=1e-5)
        whole = torch.nn.functional.cosine_similarity(sums.sum(0), vector, dim=0)
        assert row[3] == pytest.approx(float(whole), abs=1e-5)


def test_no_span_and_no_word_are_judged_too(text: IndexedText, tiny_backbone: Backbone) -> None:
    asked = asked_of(text, tiny_backbone, "What is it?")
    assert features(text, asked, []).shape == (0, 4)
    (told,) = relevances(text, asked, [Peak(0, 1, 0)])  # type: ignore[misc]
    assert 0 < told < 0.1


def test_a_long_question_is_judged_in_blocks(
    text: IndexedText, tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_of(text, tiny_backbone, " ".join(QUESTIONS))
    whole = features(text, asked, [Peak(0, 2, 0), Peak(4, 6, 4)])
    monkeypatch.setattr("s3_retriever.searching.relevance._BLOCK_NUMBERS", 200)
    again = features(text, asked, [Peak(0, 2, 0), Peak(4, 6, 4)])
    np.testing.assert_allclose(again, whole, rtol=1e-5)


def test_found_can_be_told_from_not_there(index: EndogenousIndex) -> None:
    there, nowhere = index.search(KEEPER), index.search(NOWHERE)
    assert there.relevance == max(span.relevance or 0 for span in there)
    assert there.relevance is not None and nowhere.relevance is not None
    assert nowhere.relevance < 0.1 < 0.5 < there.relevance < 1
    assert "relevance" in str(there)


def test_a_threshold_leaves_out_spans_of_the_best_k(index: EndogenousIndex) -> None:
    every = index.search(KEEPER, k=6)
    kept = index.search(KEEPER, k=6, min_relevance=0.5)
    assert kept.spans == tuple(span for span in every if (span.relevance or 0) >= 0.5)
    assert 0 < len(kept) < len(every)
    nothing = index.search(NOWHERE, min_relevance=0.5)
    assert not nothing.spans and nothing.relevance == 0.0
    assert index.search(KEEPER, config={"min_relevance": 1.0}, min_relevance=UNSET).spans
    with pytest.raises(InputError, match=r"min_relevance=1\.5 is invalid"):
        index.search(KEEPER, min_relevance=1.5)


def test_neither_filter_nor_cut_nor_order_changes_what_a_span_is_worth(
    index: EndogenousIndex,
) -> None:
    best = index.search(KEEPER).spans[0]
    cut = index.search(KEEPER, token_budget=best.tokens // 2).spans[0]
    assert cut.end < best.end and cut.relevance == best.relevance
    ordered = index.search(KEEPER, order="document")
    assert {span.id: span.relevance for span in ordered}[best.id] == pytest.approx(best.relevance)
    with_ends = index.search(KEEPER, k=1, bias_tokens=4)
    assert with_ends[0].relevance == pytest.approx(best.relevance)
    assert [span.relevance for span in with_ends][1:] == [None, None]
    alone = EndogenousIndex.build(
        ["Ada kept bees."], model=index.backbone, bank=index.bank, progress=False
    )
    assert alone.search("Who kept bees?").relevance == pytest.approx(
        alone.search("Who kept bees?", exact=True, bm25=False).relevance, rel=1e-6
    )


def test_exact_and_fast_search_agree(
    index: EndogenousIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher, "FAST_FROM", 1)
    large = judging_index(index.backbone)
    for question in QUESTIONS:
        exact = {span.id: span.relevance for span in large.search(question, exact=True)}
        fast = {span.id: span.relevance for span in large.search(question)}
        shared = exact.keys() & fast.keys()
        assert shared
        assert [exact[id] for id in shared] == pytest.approx([fast[id] for id in shared])


def test_a_bank_that_cannot_tell_says_so(tiny_backbone: Backbone) -> None:
    index = EndogenousIndex.build(
        DOCUMENTS, model=tiny_backbone, bank=make_bank(tiny_backbone), progress=False
    )
    found = index.search(KEEPER)
    assert found.relevance is None and all(span.relevance is None for span in found)
    with pytest.raises(InputError, match="s3-retriever calibrate --bank BANK -o NEW"):
        index.search(KEEPER, min_relevance=0.5)


def test_it_need_not_be_told(index: EndogenousIndex) -> None:
    assert index.search(KEEPER, relevance=False).relevance is None
    assert index.search(KEEPER, relevance=False, min_relevance=0.0).relevance is not None


def test_more_in_common_is_never_worth_less() -> None:
    few, more = BY_SHARED_WORDS.probabilities(np.array([[0.2, 1, 0, 0], [0.9, 1, 0, 0]]))
    assert few < more
