"""From scores of sentences to disjoint peaks."""

from __future__ import annotations

import numpy as np
import pytest

from passage_samples import some_passages
from s3_retriever.documents import Document
from s3_retriever.searching.passages import cut_passages
from s3_retriever.searching.peaks import Peak, _best_first, pick
from s3_retriever.searching.scorer import IndexedText

CHARACTERS = 240


def test_the_best_come_first() -> None:
    passages = some_passages([[300] * 4])
    scores = np.array([0.1, 0.9, 0.3, 0.5])
    assert pick(scores, passages, 3, CHARACTERS) == [Peak(1, 2, 1), Peak(3, 4, 3), Peak(2, 3, 2)]


def test_a_peak_grows_by_its_better_neighbour() -> None:
    passages = some_passages([[100] * 5])
    scores = np.array([0.0, 0.5, 1.0, 0.6, 0.4])
    assert pick(scores, passages, 1, CHARACTERS) == [Peak(1, 4, 2)]
    assert pick(scores[::-1], passages, 1, CHARACTERS) == [Peak(1, 4, 2)]
    assert pick(np.array([0.0, 0.1, 1.0, 0.6, 0.4]), passages, 1, CHARACTERS) == [Peak(2, 5, 2)]


def test_what_is_covered_is_out() -> None:
    passages = some_passages([[100] * 5])
    scores = np.array([0.1, 0.8, 1.0, 0.9, 0.2])
    assert pick(scores, passages, 9, CHARACTERS) == [Peak(1, 4, 2), Peak(4, 5, 4), Peak(0, 1, 0)]


def test_documents_are_not_crossed() -> None:
    passages = some_passages([[50, 50], [50], [50, 50]])
    scores = np.array([0.1, 0.8, 1.0, 0.9, 0.2])
    assert pick(scores, passages, 9, CHARACTERS) == [Peak(2, 3, 2), Peak(3, 5, 3), Peak(0, 2, 1)]


def test_ties_go_to_the_earlier() -> None:
    passages = some_passages([[300] * 3])
    assert [peak.top for peak in pick(np.zeros(3), passages, 9, CHARACTERS)] == [0, 1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_any_scores_give_disjoint_spans_that_cover_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = [random.integers(1, 320, random.integers(1, 20)).tolist() for _ in range(8)]
    passages = some_passages(sizes)
    scores = random.normal(size=len(passages))
    peaks = pick(scores, passages, len(passages), CHARACTERS)
    owner = np.full(len(passages), -1)
    for number, peak in enumerate(peaks):
        assert peak.first <= peak.top < peak.last
        assert (owner[peak.first : peak.last] == -1).all()
        owner[peak.first : peak.last] = number
        assert len(set(passages.document[peak.first : peak.last])) == 1
        assert scores[peak.top] == scores[peak.first : peak.last].max()
        length = passages.end[peak.last - 1] - passages.start[peak.first]
        assert length < CHARACTERS + 2 * 320
    assert (owner >= 0).all()
    tops = [scores[peak.top] for peak in peaks]
    assert tops == sorted(tops, reverse=True)
    assert pick(scores, passages, 3, CHARACTERS) == peaks[:3]


def test_a_sentence_that_was_not_scored_is_no_peak() -> None:
    passages = some_passages([[100] * 5])
    scores = np.array([-np.inf, 1.0, -np.inf, -np.inf, 0.5])
    peaks = pick(scores, passages, 9, CHARACTERS)
    assert [peak.top for peak in peaks] == [1, 4]


@pytest.mark.parametrize("few", [1, 3, 50, 400])
def test_the_best_are_first_and_ties_go_to_the_earlier(few: int) -> None:
    scores = np.random.default_rng(few).integers(-3, 9, 300).astype(np.float32)
    scores[::7] = -np.inf
    expected = np.argsort(-scores, kind="stable").tolist()
    assert list(_best_first(scores, few)) == expected


def test_spans_of_dense_scripts_are_shorter() -> None:
    passages = some_passages([[CHARACTERS // 3] * 5])
    scores = np.array([0.0, 0.5, 1.0, 0.6, 0.4])
    assert pick(scores, passages, 1, CHARACTERS) == [Peak(1, 4, 2)]
    assert pick(scores, passages, 1, CHARACTERS, lambda top: 3) == [Peak(2, 3, 2)]


@pytest.mark.parametrize(("text", "times"), [("灯塔看守人在屋顶上养蜜蜂。", 3), ("Bees. 蜂", 1)])
def test_the_density_of_a_sentence(text: str, times: int) -> None:
    documents = (Document("a", "The lamp was lit."), Document("b", text))
    passages = cut_passages(documents, [np.array([len(own.text)], np.int32) for own in documents])
    own = IndexedText(documents, passages, None, None)  # type: ignore[arg-type]
    assert [own.density(0), own.density(1)] == [1, times]
