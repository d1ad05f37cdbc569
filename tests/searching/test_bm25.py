"""Our BM25 against rank_bm25, on the reference of the Python language."""

from __future__ import annotations

from pydoc_data.topics import topics

import numpy as np
import pytest
import torch
from rank_bm25 import BM25Okapi

from passage_samples import lexical_text, some_passages
from s3_retriever.config import Weighing
from s3_retriever.searching.bm25 import Bm25, WordPostings
from s3_retriever.searching.fusion import standardise, standardise_some
from s3_retriever.searching.lexical import LexicalScorer
from s3_retriever.searching.scorer import Asked
from s3_retriever.text.sentences import sentences
from s3_retriever.text.words import words

QUESTIONS = (
    "How are names resolved in a class body?",
    "What does the with statement call when the block ends with an exception, an exception?",
    "the",
    "zeppelin",
    "object object OBJECT",
)


@pytest.fixture(scope="module")
def texts() -> list[list[str]]:
    """Sentences of some topics, and the topic that each belongs to in `groups`."""
    return [words(own[a:b]) for own in list(topics.values())[:25] for a, b in sentences(own)]


@pytest.fixture(scope="module")
def groups() -> np.ndarray:
    counts = [len(sentences(own)) for own in list(topics.values())[:25]]
    return np.repeat(np.arange(len(counts)), counts)


def dense(ranker: Bm25, question: str, size: int) -> np.ndarray:
    found, scores = ranker.scores(words(question))
    assert (np.diff(found) > 0).all()
    whole = np.zeros(size)
    whole[found] = scores
    return whole


@pytest.mark.parametrize("question", QUESTIONS)
def test_scores_of_sentences_are_those_of_rank_bm25(question: str, texts: list[list[str]]) -> None:
    expected = BM25Okapi(texts).get_scores(words(question))
    result = dense(Bm25(WordPostings.of(texts)), question, len(texts))
    np.testing.assert_allclose(result, expected, rtol=1e-9)


@pytest.mark.parametrize("question", QUESTIONS)
def test_scores_of_whole_documents_are_those_of_rank_bm25(
    question: str, texts: list[list[str]], groups: np.ndarray
) -> None:
    whole: list[list[str]] = [[] for _ in range(groups[-1] + 1)]
    for number, own in zip(groups, texts, strict=True):
        whole[number] += own
    ranker = BM25Okapi(whole)
    assert any(value == ranker.epsilon * ranker.average_idf for value in ranker.idf.values())
    result = dense(Bm25(WordPostings.of(texts).grouped(groups)), question, len(whole))
    np.testing.assert_allclose(result, ranker.get_scores(words(question)), rtol=1e-9)


def test_frequent_words_have_the_floor_of_rank_bm25() -> None:
    some = [["ship", "lamp"], ["ship"], ["ship", "ship", "bell"], ["keeper"]]
    for asked in (["ship"], ["ship", "bell"]):
        expected = BM25Okapi(some).get_scores(asked)
        result = dense(Bm25(WordPostings.of(some)), " ".join(asked), len(some))
        np.testing.assert_allclose(result, expected, rtol=1e-9)
    assert expected[1] != 0


@pytest.mark.parametrize("some", [[[], []], [["lamp"], []]])
def test_texts_without_words(some: list[list[str]]) -> None:
    ranker = Bm25(WordPostings.of(some))
    assert dense(ranker, "bell", 2).tolist() == [0, 0]
    assert dense(ranker, "lamp", 2)[1] == 0


def test_some_standardised_scores_are_those_among_all() -> None:
    some = torch.rand(40, generator=torch.Generator().manual_seed(0))
    whole = torch.cat([some, torch.zeros(1000)])
    found, rest = standardise_some(some, len(whole))
    expected = standardise(whole)
    torch.testing.assert_close(found, expected[:40])
    assert rest == pytest.approx(float(expected[-1]), rel=1e-4)


@pytest.mark.parametrize("question", ["generator", "statement", "zeppelin"])
def test_few_and_many_holding_sentences_score_alike(
    question: str, texts: list[list[str]], groups: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = np.bincount(groups)
    passages = some_passages([[80] * count for count in counts])
    text = lexical_text(passages, WordPostings.of(texts))
    asked, everything = [Asked(question, torch.empty(0))], np.arange(len(texts))
    found = []
    for many in (0, 10**9):
        monkeypatch.setattr("s3_retriever.searching.lexical._MANY", many)
        found.append(LexicalScorer(text).scores(asked, everything, Weighing()))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)
    some = everything[::3]
    assert torch.equal(LexicalScorer(text).scores(asked, some, Weighing()), found[1][:, some])


def test_a_word_is_found_in_ranges_of_texts() -> None:
    postings = WordPostings.of([["a", "b"], ["b"], [], ["a"], ["c"]])
    firsts, lasts = np.array([0, 1, 2, 3, 0]), np.array([1, 3, 3, 5, 5])
    assert postings.within("a", firsts, lasts).tolist() == [True, False, False, True, True]
    assert postings.within("c", firsts, lasts).tolist() == [False, False, False, True, True]
    assert not postings.within("d", firsts, lasts).any()
    assert postings.within("a", firsts[:0], lasts[:0]).tolist() == []
