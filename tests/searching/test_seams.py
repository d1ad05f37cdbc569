"""The seams of the search: a scorer and a candidate generator of one's own, and the weighing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from random_bank import make_bank
from s3_retriever.config import ScanConfig, SearchConfig, Weighing
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.engine.flow import find
from s3_retriever.errors import InputError
from s3_retriever.reading.question_reader import QuestionReader
from s3_retriever.reading.scan import scan
from s3_retriever.searching.fusion import standardise
from s3_retriever.searching.scorer import Asked
from s3_retriever.searching.scorers import SCORERS
from s3_retriever.searching.searcher import Searcher
from small_corpus import QUESTIONS, SOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.searching.scorer import IndexedText

SCAN = ScanConfig(chunk_tokens=64, overlap_tokens=8, batch_tokens=512)
QUESTION = QUESTIONS[0]
DOCUMENTS = [Document(name, text) for name, text in SOURCES.items()]


class Vowels:
    """A stranger's scorer: the more of a sentence is vowels, the better, whatever is asked."""

    def __init__(self, text: IndexedText) -> None:
        shares = [sum(c in "aeiou" for c in s) / len(s) for s in text.sentences()]
        self._scores = standardise(torch.tensor(shares))

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        return self._scores[torch.from_numpy(candidates)].expand(len(asked), -1)


class Holding:
    """Names the sentences that hold some words."""

    def __init__(self, text: IndexedText, words: str) -> None:
        self._numbers = np.array([n for n, s in enumerate(text.sentences()) if words in s])

    def candidates(self, asked: Sequence[Asked]) -> np.ndarray:
        return self._numbers


@pytest.fixture(scope="module")
def index(tiny_backbone: Backbone) -> EndogenousIndex:
    bank = make_bank(tiny_backbone)
    return EndogenousIndex.build(
        DOCUMENTS, model=tiny_backbone, bank=bank, scan=SCAN, progress=False
    )


@pytest.fixture
def vowels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line that a new scorer takes."""
    monkeypatch.setitem(SCORERS, "vowels", Vowels)


def test_a_new_scorer_takes_the_place_of_the_models_evidence(
    vowels: None, index: EndogenousIndex
) -> None:
    single = {"document": 0, "hop": 0, "span_characters": 0}
    spans = index.search(
        QUESTION, scoring="vowels", bm25=False, second_hop=False, weighing=single, k=1000
    ).spans
    shares = [sum(c in "aeiou" for c in s.text) / len(s.text) for s in spans]
    assert [s.parts["s3"] for s in spans] == [s.score for s in spans]
    assert len(spans) > 10 and np.corrcoef(shares, [s.score for s in spans])[0, 1] > 0.9


def test_a_new_scorer_is_added_to_the_others(vowels: None, index: EndogenousIndex) -> None:
    plain = index.search(QUESTION)
    both = index.search(QUESTION, weighing={"others": {"vowels": 50.0}})
    assert set(both[0].parts) == {*plain[0].parts, "vowels"}
    assert both[0].parts["vowels"] == max(span.parts["vowels"] for span in both)
    assert [span.id for span in both] != [span.id for span in plain]
    none = index.search(QUESTION, weighing={"others": {"vowels": 0.0}})
    assert [span.id for span in none] == [span.id for span in plain]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"scoring": "atention"}, "did you mean 'attention'"),
        ({"weighing": {"others": {"bm52": 1.0}}}, "did you mean 'bm25'"),
        ({"weighing": {"rech": 3}}, "did you mean 'reach'"),
        ({"weighing": {"power": 0.5}}, "power=0.5 is invalid"),
    ],
)
def test_a_name_that_is_none_is_answered_with_the_nearest(
    setting: dict[str, object], said: str, index: EndogenousIndex
) -> None:
    with pytest.raises(InputError, match=said):
        index.search(QUESTION, **setting)


def test_weights_of_a_call_are_those_of_the_scores(index: EndogenousIndex) -> None:
    weighing = Weighing(bm25=0.25, whole=0.75, document=0.0, hop=2.0)
    for span in index.search(QUESTION, weighing=weighing):
        parts = span.parts
        expected = parts["s3"] + 0.25 * parts["bm25"] + 0.75 * parts["whole"]
        expected += 2 * parts.get("hop", 0.0)
        assert span.score == pytest.approx(expected, abs=1e-4)
    assert index.config.weighing == Weighing()


def test_the_weighing_is_saved_with_the_index(
    index: EndogenousIndex, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    bank = make_bank(tiny_backbone)
    own = EndogenousIndex.build(
        DOCUMENTS,
        model=tiny_backbone,
        bank=bank,
        scan=SCAN,
        search={"weighing": {"reach": 90.0, "span_characters": 60}},
        progress=False,
    )
    own.save(tmp_path)
    again = EndogenousIndex.load(tmp_path, model=tiny_backbone)
    assert again.config.weighing == Weighing(reach=90.0, span_characters=60)
    assert again.search(QUESTION) == own.search(QUESTION) != index.search(QUESTION)
    changed = again.search(QUESTION, weighing={"reach": 200.0})
    assert changed == index.search(QUESTION, weighing={"span_characters": 60})


def test_only_candidates_become_peaks(tiny_backbone: Backbone) -> None:
    bank = make_bank(tiny_backbone)
    codes = [rows for _, rows in scan(tiny_backbone, bank, DOCUMENTS, SCAN)]
    text = indexed_text(DOCUMENTS, codes, bank)
    word = "the"
    holding = [s for s in text.sentences() if word in s]
    assert 2 < len(holding) < len(text.sentences())
    searcher = Searcher(text, candidates=Holding(text, word))
    reader = QuestionReader(tiny_backbone, bank, SCAN)
    config = SearchConfig(k=1000, weighing=Weighing(span_characters=0))
    (found,) = find(reader, searcher, [QUESTION], config)
    assert len(found.spans) == len(holding)
    assert all(word in span.text for span in found.spans)
    (everything,) = find(reader, Searcher(text), [QUESTION], config)
    scores = {span.id: span.parts["s3"] for span in everything.spans}
    for span in found.spans:
        assert span.parts["s3"] == pytest.approx(scores[span.id], abs=1e-5)


def test_leads_too_lead_to_candidates_alone(tiny_backbone: Backbone) -> None:
    bank = make_bank(tiny_backbone)
    codes = [rows for _, rows in scan(tiny_backbone, bank, DOCUMENTS, SCAN)]
    text = indexed_text(DOCUMENTS, codes, bank)
    searcher = Searcher(text, candidates=Holding(text, "the"))
    reader = QuestionReader(tiny_backbone, bank, SCAN)
    queries = reader.questions(["Rye bread"])[0].whole.queries
    (scores,) = searcher.score([Asked(QUESTION, queries)], SearchConfig())
    sources = searcher.hop_sources(scores)[:1]
    unnamed = next(s for n, s in enumerate(text.sentences()) if outside(n, s, sources[0].home))
    after = searcher.hop(scores, sources, [Asked(unnamed, queries)], SearchConfig())
    assert "hop" in after.parts and np.array_equal(after.candidates, scores.candidates)


def outside(number: int, sentence: str, home: slice) -> bool:
    """Whether a sentence is no candidate, and of another document."""
    return "the" not in sentence and number not in range(home.start, home.stop)
