"""The second hop: what the best spans name is asked of the other documents.

Which spans lead on is decided here, and what becomes of what they lead to; between the two the
model reads what they name (`s3_retriever.reading.leads`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from s3_retriever.searching.fusion import union
from s3_retriever.searching.peaks import pick
from s3_retriever.text.languages import LANGUAGES
from s3_retriever.text.names import Naming, capitals_tell
from s3_retriever.text.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.searching.fusion import Scores
    from s3_retriever.searching.peaks import Peak
    from s3_retriever.searching.scorer import IndexedText

RARE_DOCUMENTS, RARE_SHARE = 3, 0.02
"""A word that stands in so many documents, or in such a share of all, is rare."""


@dataclass(frozen=True, slots=True)
class HopSource:
    """A span that may lead on.

    Attributes:
        peak: The span.
        score: Of its best sentence.
        home: The sentences of its document.
        text: What the model reads.
        naming: How names are told in it.
    """

    peak: Peak
    score: float
    home: slice
    text: str
    naming: Naming


def hop_sources(text: IndexedText, scores: Scores) -> list[HopSource]:
    """The best span of each of the best documents, best first; none where there is but one.

    What a span of little weight leads to could hardly be among the best, so it is not read.

    Args:
        text: The documents.
        scores: Of one question; its weighing says how many documents, and what weight is little.
    """
    weighing, passages = scores.weighing, text.passages
    if len(text.documents) == 1:
        return []
    left = scores.over(len(passages), -torch.inf)
    least = float(left.max()) + weighing.hop_temperature * math.log(weighing.hop_least)
    sources: list[HopSource] = []
    while len(sources) < weighing.hop_sources:
        peaks = pick(left.numpy(), passages, 1, weighing.span_characters, text.density)
        if not peaks or left[peaks[0].top] < least:
            break
        sources.append(_source(text, peaks[0], float(left[peaks[0].top])))
        left[sources[-1].home] = -torch.inf
    return sources


def _source(text: IndexedText, peak: Peak, score: float) -> HopSource:
    read = text.between(peak.first, peak.last)
    naming = _naming(text, LANGUAGES[text.word_postings.languages[peak.top]], read)
    home = text.passages.of_document(int(text.passages.document[peak.top]))
    return HopSource(peak, score, home, read, naming)


def _naming(text: IndexedText, language: str, read: str) -> Naming:
    """How names are told in what is read; where capitals do not tell, which words are rare."""
    if capitals_tell(read, language):
        return Naming(language)
    own = sorted({*words(read, language)})
    most = max(RARE_DOCUMENTS, RARE_SHARE * len(text.documents))
    both = zip(own, text.document_postings.frequencies(own), strict=True)
    return Naming(language, frozenset(word for word, count in both if 2 <= count <= most))


def with_hop(
    text: IndexedText, scores: Scores, sources: Sequence[HopSource], found: Sequence[Scores]
) -> Scores:
    """Add what spans lead to as the part ``"hop"`` of a score.

    With S the scores of sentences, h those that a source span of score s leads to, and T the
    `hop_temperature`, a sentence has the greatest of ``exp((s - max S) / T) · h``, over the sources
    in other documents, and of ``exp((S - max S) / T) · max h``: nothing that is led to gains more
    than the best direct answer, and little more than good ones.

    Args:
        text: The documents.
        scores: Of the question.
        sources: Spans that name something.
        found: What each of them leads to.
    """
    if not sources:
        return scores
    highest, temperature = scores.total.max(), scores.weighing.hop_temperature
    most = torch.stack([led.total.max() for led in found]).max()
    direct = torch.exp((scores.over(len(text.passages), -torch.inf) - highest) / temperature)
    hops = [direct * most]
    for source, led in zip(sources, found, strict=True):
        beyond = led.over(len(text.passages), 0.0)
        beyond[source.home] = 0
        hops.append(torch.exp((source.score - highest) / temperature) * beyond)
    reached = union(*(led.candidates for led in found))
    return scores.plus("hop", torch.stack(hops).amax(0), reached)
