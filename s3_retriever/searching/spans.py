"""From peaks to spans: exact text, a token budget, and lead and tail of the documents."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.documents import Span
from s3_retriever.searching.group import best, best_of_all
from s3_retriever.searching.peaks import pick
from s3_retriever.searching.relevance import relevances
from s3_retriever.text.sentences import trim

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from s3_retriever.config import SearchConfig
    from s3_retriever.searching.fusion import Scores
    from s3_retriever.searching.scorer import Asked, IndexedText


def cut_spans(
    text: IndexedText, scores: Scores, config: SearchConfig, asked: Asked | None = None
) -> tuple[Span, ...]:
    """Cut the spans of one question out of the documents.

    Args:
        text: The documents.
        scores: Of the candidates.
        config: How many spans and tokens, of what relevance, whether lead and tail come with them,
            and their order.
        asked: The question, without the words that name a document; None tells no relevance.

    Returns:
        Spans, best first or in reading order; lead and tail after those they accompany.
    """
    found = _peaks(text, scores, config, asked)
    spans = within_budget(text, found, config.token_budget)
    if config.bias_tokens:
        spent = sum(span.tokens for span in spans)
        left = None if config.token_budget is None else config.token_budget - spent
        spans += within_budget(text, lead_and_tail(text, spans, config.bias_tokens), left)
    if config.order == "document":
        found_in = {span.document_id for span in spans}
        own = {id: number for id, number in _numbers(text).items() if id in found_in}
        place = text.group.merged(own, _placed)
        spans.sort(key=lambda span: (place[span.document_id], span.start))
    return tuple(spans)


def _placed(values: Sequence[Mapping[str, int]]) -> dict[str, tuple[int, int]]:
    """Where documents stand: in which text, and where there."""
    return {id: (rank, number) for rank, own in enumerate(values) for id, number in own.items()}


def _joined(values: Sequence[Mapping[str, list[Span]]]) -> dict[str, list[Span]]:
    """Spans of documents, by their ids."""
    together: dict[str, list[Span]] = {}
    for own in values:
        for id, spans in own.items():
            together.setdefault(id, []).extend(spans)
    return together


def _peaks(
    text: IndexedText, scores: Scores, config: SearchConfig, asked: Asked | None
) -> list[Span]:
    """The spans of the best peaks of all texts, those of too little relevance left out."""
    own = text.group.merged(_own_peaks(text, scores, config, asked), partial(best, most=config.k))
    least = config.min_relevance or 0
    spans = (span for _, found in own for span in found)
    return [span for span in spans if span.relevance is None or span.relevance >= least]


def _own_peaks(
    text: IndexedText, scores: Scores, config: SearchConfig, asked: Asked | None
) -> list[tuple[float, list[Span]]]:
    """Those of the best peaks that are in a text, with their scores.

    White space alone makes no span of one.
    """
    passages, total = text.passages, scores.over(len(text.passages), -np.inf).numpy()
    peaks = pick(total, passages, config.k, config.weighing.span_characters, text.density)
    own = best_of_all(total[[peak.top for peak in peaks]], config.k, text.group)
    peaks = [peaks[place] for place in own]
    wanted = config.relevance or config.min_relevance is not None
    told = relevances(text, asked, peaks) if asked and wanted else None
    found = []
    for place, peak in enumerate(peaks):
        relevance = None if told is None else float(told[place])
        number = int(passages.document[peak.top])
        tokens = passages.bounds[[peak.first, peak.last]] - text.codes.bounds[number]
        characters = passages.start[peak.first], passages.end[peak.last - 1]
        at = scores.place(peak.top)
        parts = {name: float(values[at]) for name, values in scores.parts.items()}
        score = float(total[peak.top])
        spans = _span(text, number, characters, tokens, score, parts, relevance)
        found.append((score, [*spans]))
    return found


def _span(
    text: IndexedText,
    number: int,
    characters: Sequence[int],
    tokens: Sequence[int],
    score: float,
    parts: Mapping[str, float],
    relevance: float | None = None,
) -> Iterator[Span]:
    """The span of a range of characters, white space at its ends left out; none if that is all."""
    document = text.documents[number]
    start, end = trim(document.text, int(characters[0]), int(characters[1]))
    if start < end:
        count, own = int(tokens[1] - tokens[0]), document.text[start:end]
        told, header = document.at(start), _header(text, number, start)
        yield Span(document.id, start, end, own, score, parts, count, told, relevance, header)


def _header(text: IndexedText, number: int, start: int) -> str:
    """What names the columns, where a span begins with a row."""
    passages, document = text.passages, text.documents[number].text
    own = passages.of_document(number)
    first = own.start + int(np.searchsorted(passages.end[own], start, side="right"))
    named = int(passages.header[first])
    if named < 0:
        return ""
    return document[slice(*trim(document, int(passages.start[named]), int(passages.end[named])))]


def within_budget(text: IndexedText, spans: Iterable[Span], tokens: int | None) -> list[Span]:
    """Take spans until a budget of tokens is spent; the last is cut at the end of a token.

    Args:
        text: The documents.
        spans: In the order in which they are taken.
        tokens: Most tokens of the target model in all of them together; None for no bound.
    """
    kept: list[Span] = []
    left = tokens
    for span in spans:
        if left is not None and span.tokens > left:
            own = {span.document_id: [*_shortened(text, span, left)]}
            return [*kept, *text.group.merged(own, _joined)[span.document_id]]
        kept.append(span)
        left = None if left is None else left - span.tokens
    return kept


def _shortened(text: IndexedText, span: Span, tokens: int) -> Iterator[Span]:
    number = _numbers(text).get(span.document_id)
    if number is None:
        return
    codes = text.codes.parts[number]
    first = int(np.searchsorted(codes.ends, span.start, side="right"))
    if tokens > 0 and first < len(codes):
        last = min(first + tokens, len(codes))
        end = min(int(codes.ends[last - 1]), span.end)
        told = span.score, span.parts, span.relevance
        yield from _span(text, number, (span.start, end), (first, last), *told)


def lead_and_tail(text: IndexedText, spans: Sequence[Span], tokens: int) -> list[Span]:
    """Lead and tail of the documents that spans come from, the M_bias of arXiv 2601.17702.

    Args:
        text: The documents.
        spans: What is there already; a lead or tail that overlaps with it is left out.
        tokens: Most tokens of each.

    Returns:
        Spans whose only part is ``"bias"``.
    """
    numbers, ids = _numbers(text), [*dict.fromkeys(span.document_id for span in spans)]
    own = {
        id: [*_ends(text, numbers[id], [s for s in spans if s.document_id == id], tokens)]
        for id in ids
        if id in numbers
    }
    every = text.group.merged(own, _joined)
    return [span for id in ids for span in every[id]]


def _ends(text: IndexedText, number: int, spans: Sequence[Span], tokens: int) -> Iterator[Span]:
    """Lead and tail of the document of that number, of which there are spans."""
    codes, length = text.codes.parts[number], len(text.documents[number].text)
    size = min(tokens, len(codes))
    if not size:
        return
    taken = [(span.start, span.end) for span in spans]
    lead = (0, int(codes.ends[size - 1])), (0, size)
    tail = (int(codes.starts[len(codes) - size]), length), (len(codes) - size, len(codes))
    for characters, rows in (lead, tail):
        if any(start < characters[1] and characters[0] < end for start, end in taken):
            continue
        for span in _span(text, number, characters, rows, 0.0, {"bias": 1.0}):
            taken.append((span.start, span.end))
            yield span


def _numbers(text: IndexedText) -> dict[str, int]:
    return {document.id: number for number, document in enumerate(text.documents)}
