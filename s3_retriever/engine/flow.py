"""A question's way: read, score, read what the best spans name, score again, cut spans."""

from __future__ import annotations

from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from s3_retriever.engine.results import SearchSeconds
from s3_retriever.searching.scorer import Asked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_retriever.config import SearchConfig
    from s3_retriever.documents import Span
    from s3_retriever.reading.leads import Lead
    from s3_retriever.reading.questions import Question
    from s3_retriever.searching.fusion import Scores
    from s3_retriever.searching.searcher import Searcher
    from s3_retriever.text.names import Naming


class Reads(Protocol):
    """Reads through the model; see `s3_retriever.reading.question_reader.QuestionReader`."""

    def questions(self, questions: Sequence[str]) -> list[Question]:
        """What each question asks."""
        ...

    def leads(self, spans: Sequence[tuple[str, str, Naming]]) -> list[Lead]:
        """What each span names beyond its question."""
        ...


TOGETHER = 64
"""Questions that go this way at a time; their scores are held together."""


class Found(NamedTuple):
    """What one question found.

    Attributes:
        spans: In the order asked for.
        seconds: Where the time went.
    """

    spans: tuple[Span, ...]
    seconds: SearchSeconds


def find(
    reader: Reads, searcher: Searcher, questions: Sequence[str], config: SearchConfig
) -> list[Found]:
    """Find the spans of questions.

    Args:
        reader: Reads through the model.
        searcher: Of the text that is searched.
        questions: Each of at least one token and at most the model's window.
        config: What to do.

    Returns:
        One entry for each question, in order.
    """
    groups = [questions[n : n + TOGETHER] for n in range(0, len(questions), TOGETHER)]
    return [found for group in groups for found in _find(reader, searcher, group, config)]


def _find(
    reader: Reads, searcher: Searcher, questions: Sequence[str], config: SearchConfig
) -> Iterator[Found]:
    clock = _Clock(len(questions))
    with clock.reading():
        read = reader.questions(questions)
    scores, apart = [], searcher.tells_places(config)
    for number, question in enumerate(read):
        with clock.step(number, "candidates"):
            looked = searcher.look([_asked(question, apart)], config)
        with clock.step(number, "scores"):
            scores += searcher.refine(looked, config)
    if config.second_hop:
        scores = _second_hop(reader, searcher, questions, scores, config, clock)
    for number, own in enumerate(scores):
        with clock.step(number, "spans"):
            spans = searcher.spans(own, config, _asked(read[number], apart=True))
        yield Found(spans, clock.seconds(number))


def _second_hop(
    reader: Reads,
    searcher: Searcher,
    questions: Sequence[str],
    scores: Sequence[Scores],
    config: SearchConfig,
    clock: _Clock,
) -> list[Scores]:
    """Score again; the leads of all questions are read together."""
    sources = []
    for number, own in enumerate(scores):
        with clock.step(number, "hop"):
            sources.append(searcher.hop_sources(own))
    with clock.reading():
        both = zip(questions, sources, strict=True)
        spans = [(question, one.text, one.naming) for question, own in both for one in own]
        leads = iter(reader.leads(spans))
    again = []
    for number, own in enumerate(scores):
        asked = [_led(next(leads)) for _ in sources[number]]
        with clock.step(number, "hop"):
            again.append(searcher.hop(own, sources[number], asked, config))
    return again


def _asked(question: Question, apart: bool) -> Asked:
    """What is asked, with the words that name a document among the others or apart."""
    what = question.what if apart else question.whole
    where = question.where if apart else None
    place = None if where is None else Asked(where.text, where.queries)
    return Asked(what.text, what.queries, place=place, whole=question.whole.text)


def _led(lead: Lead) -> Asked | None:
    return Asked(" ".join(lead.names), lead.queries) if lead.names else None


class _Clock:
    """Seconds of reading, which questions share equally, and of each question's own steps."""

    def __init__(self, questions: int) -> None:
        self._read = 0.0
        self._steps: list[dict[str, float]] = [{} for _ in range(questions)]

    @contextmanager
    def reading(self) -> Iterator[None]:
        begun = perf_counter()
        yield
        self._read += perf_counter() - begun

    @contextmanager
    def step(self, number: int, name: str) -> Iterator[None]:
        begun = perf_counter()
        yield
        steps = self._steps[number]
        steps[name] = steps.get(name, 0.0) + perf_counter() - begun

    def seconds(self, number: int) -> SearchSeconds:
        return SearchSeconds(read=self._read / len(self._steps), **self._steps[number])
