"""A question's way through the engine: in what steps, in how many passes, on whose time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from random_bank import make_bank
from s3_retriever.backbone import TapReader
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex, flow
from s3_retriever.engine.results import SearchSeconds
from s3_retriever.reading.question_reader import QuestionReader
from s3_retriever.searching.searcher import Searcher
from small_corpus import QUESTIONS, SOURCES

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_retriever.backbone import Backbone

SCAN = ScanConfig(chunk_tokens=64, overlap_tokens=8, batch_tokens=16_384)
ASKED = [f"{question} Where was it in {year}?" for question in QUESTIONS for year in (1871, 1934)]


@pytest.fixture(scope="module")
def index(tiny_backbone: Backbone) -> EndogenousIndex:
    documents = [Document(name, text) for name, text in SOURCES.items()]
    return EndogenousIndex.build(
        documents,
        model=tiny_backbone,
        bank=make_bank(tiny_backbone),
        scan=SCAN,
        progress=False,
    )


def test_the_leads_of_all_questions_are_read_together(
    index: EndogenousIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    queries = TapReader.queries

    def spy(self: TapReader, ids: Any, *more: Any) -> Any:
        rows.append(len(ids))
        return queries(self, ids, *more)

    monkeypatch.setattr(TapReader, "queries", spy)
    together = index.search_many(ASKED)
    assert len(rows) == 2 and rows[0] == len(ASKED) < rows[1]
    assert [result.question for result in together] == ASKED
    alone = [index.search(question) for question in ASKED]
    for one, other in zip(together, alone, strict=True):
        assert [span.id for span in one] == [span.id for span in other]
        scores = [span.score for span in other]
        assert [span.score for span in one] == pytest.approx(scores, abs=1e-3)


@pytest.fixture
def taking(monkeypatch: pytest.MonkeyPatch) -> Callable[[type, str, float], None]:
    """Let a method take some seconds, as the clock of a search has it, and all else none."""
    now = [0.0]
    monkeypatch.setattr(flow, "perf_counter", lambda: now[0])

    def take(owner: type, method: str, seconds: float) -> None:
        own = getattr(owner, method)

        def slow(*given: Any) -> Any:
            now[0] += seconds
            return own(*given)

        monkeypatch.setattr(owner, method, slow)

    return take


def test_the_models_time_is_reading_also_in_the_second_hop(
    index: EndogenousIndex, taking: Callable[[type, str, float], None]
) -> None:
    taking(QuestionReader, "questions", 10.0)
    taking(QuestionReader, "leads", 2.0)
    for result in index.search_many(ASKED[:2]):
        assert result.seconds == SearchSeconds(read=6.0)
    for result in index.search_many(ASKED[:2], second_hop=False):
        assert result.seconds == SearchSeconds(read=5.0)


def test_seconds_tell_where_the_time_went(
    index: EndogenousIndex, taking: Callable[[type, str, float], None]
) -> None:
    steps = {"look": 1.0, "refine": 2.0, "hop_sources": 3.0, "hop": 5.0, "spans": 4.0}
    for method, seconds in steps.items():
        taking(Searcher, method, seconds)
    (alone,) = index.search_many(ASKED[:1], second_hop=False)
    assert alone.seconds == SearchSeconds(candidates=1.0, scores=2.0, spans=4.0)
    assert alone.seconds.search == 7.0
    for result in index.search_many(ASKED[:2]):
        assert result.seconds == SearchSeconds(candidates=1.0, scores=2.0, hop=8.0, spans=4.0)
    assert index.search(ASKED[0], filter={"no": "such"}).seconds == SearchSeconds()


def test_many_questions_go_in_groups(
    index: EndogenousIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = index.search_many(ASKED)
    monkeypatch.setattr(flow, "TOGETHER", 3)
    again = index.search_many(ASKED)
    assert [[s.id for s in result] for result in again] == [[s.id for s in r] for r in expected]
