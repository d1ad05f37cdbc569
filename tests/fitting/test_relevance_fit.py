"""What relevance is fitted on: questions with their evidence, and without it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from random_bank import make_bank
from random_head import make_head
from s3_retriever.codec.relevance import FEATURES
from s3_retriever.documents import Document
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.errors import InputError
from s3_retriever.fitting import LabelledQuestion, LabelledSet, fit_relevance
from s3_retriever.fitting.relevance import Example, examples, fit_head
from s3_retriever.fitting.removed import holding, without
from s3_retriever.labelled.sets import Evidence
from s3_retriever.reading.scan import scan
from s3_retriever.searching.passages import cut_passages
from s3_retriever.text.words import words
from small_corpus import DOCUMENTS, NAMES, QUESTIONS, SOURCES

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.searching.scorer import IndexedText

EVIDENCE = ("The last keeper, Tomas Ferreira", "rest for eighteen hours", "finished in 1934")


def labelled_set() -> LabelledSet:
    questions = []
    for name, question, own in zip(NAMES[:3], QUESTIONS, EVIDENCE, strict=True):
        start = SOURCES[name].index(own)
        place = Evidence(name, start, start + len(own))
        questions.append(LabelledQuestion(name, question, (own,), (place,)))
    questions.append(LabelledQuestion("none", "What is not known?", (), ()))
    return LabelledSet("small", DOCUMENTS, tuple(questions))


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    plain = make_bank(tiny_backbone)
    return replace(plain, sentences=make_head(plain.calibration))


def text_of(backbone: Backbone, bank: Bank, documents: tuple[Document, ...]) -> IndexedText:
    rows = {document.id: own for document, own in scan(backbone, bank, documents)}
    return indexed_text(documents, [rows[document.id] for document in documents], bank)


def test_a_text_without_sentences_is_whole(tiny_backbone: Backbone, bank: Bank) -> None:
    short = Document("short", "  Ada kept bees on the roof.  ")
    text = text_of(tiny_backbone, bank, (DOCUMENTS[0], short, DOCUMENTS[2]))
    gone = holding(text, labelled_set().questions[0].evidence)
    assert gone.sum() == 1
    gone |= holding(text, (Evidence("short", 4, 9),))
    left = without(text, gone)
    assert left is not None
    assert [document.id for document in left.documents] == ["lighthouse", "river"]
    assert "Tomas" not in left.documents[0].text
    assert left.documents[1] is text.documents[2]
    assert left.sentences() == [
        sentence for sentence, lost in zip(text.sentences(), gone, strict=True) if not lost
    ]
    recut = cut_passages(left.documents, [part.ends for part in left.codes.parts])
    for name in ("document", "start", "end", "bounds"):
        np.testing.assert_array_equal(getattr(left.passages, name), getattr(recut, name))
    np.testing.assert_allclose(left.sums, text.sums[torch.from_numpy(~gone)], rtol=1e-5)
    assert left.word_postings.lengths.tolist() == [len(words(own)) for own in left.sentences()]
    part, whole = left.codes.parts[0], text.codes.parts[0]
    for start, end, row in zip(part.starts, part.ends, part.latents, strict=True):
        same = np.flatnonzero((whole.latents == row).all(1))
        pieces = {text.documents[0].text[whole.starts[n] : whole.ends[n]] for n in same}
        assert left.documents[0].text[start:end] in pieces


def test_nothing_is_left_where_all_is_evidence(tiny_backbone: Backbone, bank: Bank) -> None:
    text = text_of(tiny_backbone, bank, (Document("a", "Ada kept bees on the roof. \n"),))
    assert without(text, holding(text, (Evidence("a", 0, 3),))) is None


def test_each_question_is_asked_with_and_without_its_evidence(
    tiny_backbone: Backbone, bank: Bank
) -> None:
    found = list(examples(tiny_backbone, bank, labelled_set()))
    assert [example.answered for example in found] == [True, False] * 3
    assert not any(example.hits.any() for example in found[1::2])
    assert sum(example.hits.any() for example in found[::2]) >= 2
    assert all(example.features.shape == (len(example.hits), 4) for example in found)
    head = fit_relevance(tiny_backbone, bank, [labelled_set()])
    assert head.metadata["searches"] == 6 and head.metadata["sets"] == ["small"]
    assert min(head.weights.values()) >= 0
    assert fit_relevance(tiny_backbone, bank, [labelled_set()]) == head


def drawn(seed: int, weights: np.ndarray, bias: float) -> list[Example]:
    random = np.random.default_rng(seed)
    rows = random.normal(0.5, 1, (300, 8, 4))
    odds = rows @ weights + bias
    hits = random.random(odds.shape) < 1 / (1 + np.exp(-odds))
    return [Example("drawn", True, *pair) for pair in zip(rows, hits, strict=True)]


def test_the_fit_is_calibrated() -> None:
    true = np.array([2.0, 0.5, 0.0, 1.0])
    head = fit_head(drawn(0, true, -3.0))
    assert [head.weights[name] for name in FEATURES] == pytest.approx(true, abs=0.3)
    fresh = drawn(1, true, -3.0)
    said = np.concatenate([head.probabilities(example.features) for example in fresh])
    hits = np.concatenate([example.hits for example in fresh])
    for low, high in ((0, 0.1), (0.1, 0.4), (0.4, 0.7), (0.7, 1)):
        inside = (said >= low) & (said < high)
        assert said[inside].mean() == pytest.approx(hits[inside].mean(), abs=0.06)


def test_what_would_count_against_a_span_is_left_out() -> None:
    head = fit_head(drawn(0, np.array([1.0, -1.0, 0.5, 0.0]), -1.0))
    assert head.weights["attention"] == 0
    assert head.weights["words"] == pytest.approx(1, abs=0.3)


def test_a_feature_that_never_varies_has_no_weight() -> None:
    flat = [
        replace(example, features=example.features * [1, 1, 0, 0])
        for example in drawn(0, np.array([1.0, 1.0, 0.0, 0.0]), -1.0)
    ]
    head = fit_head(flat)
    assert head.weights["meaning"] == head.weights["whole"] == 0
    assert np.isfinite(head.bias)


@pytest.mark.parametrize("hits", [True, False])
def test_questions_that_teach_nothing_are_refused(hits: bool) -> None:
    one = Example("one", True, np.ones((2, 4)), np.array([hits, hits]))
    with pytest.raises(InputError, match="give sets of more questions"):
        fit_head([one])
    with pytest.raises(InputError, match="give sets of more questions"):
        fit_head([])
