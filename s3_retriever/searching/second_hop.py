"""The second hop: what the best spans name is asked of the other documents.

Which spans lead on is decided here, and what becomes of what they lead to; between the two the
model reads what they name (`s3_retriever.reading.leads`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch

from s3_retriever.searching.fusion import union
from s3_retriever.searching.group import added, best, greatest
from s3_retriever.searching.peaks import pick
from s3_retriever.searching.scorer import NOTHING
from s3_retriever.text.languages import LANGUAGES
from s3_retriever.text.names import Naming, capitals_tell
from s3_retriever.text.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from s3_retriever.config import Weighing
    from s3_retriever.searching.fusion import Scores
    from s3_retriever.searching.peaks import Peak
    from s3_retriever.searching.scorer import IndexedText

RARE_DOCUMENTS, RARE_SHARE = 3, 0.02
"""A word that stands in so many documents, or in such a share of all, is rare."""


@dataclass(frozen=True, slots=True)
class HopSource:
    """A span that may lead on.

    Attributes:
        score: Of its best sentence.
        home: The sentences of its document; none where that is in another text.
        text: What the model reads.
        naming: How names are told in it.
    """

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
    if text.all_documents == 1:
        return []
    weighing = scores.weighing
    own = _best_of_documents(text, scores)
    told = [
        (score, _Told(text.group.rank, place, *_read(text, peak)))
        for place, (peak, score, _) in enumerate(own)
    ]
    chosen = text.group.merged(told, partial(best, most=weighing.hop_sources))
    least = _least(weighing, chosen[0][0])
    return [_source(text, own, score, read) for score, read in chosen if score >= least]


def _least(weighing: Weighing, highest: float) -> float:
    """The score of little weight beside the highest."""
    return highest + weighing.hop_temperature * math.log(weighing.hop_least)


class _Told(NamedTuple):
    """A span as other texts are told of it.

    Attributes:
        rank: Of its text.
        place: Among the best spans there.
        text: What the model reads.
        language: Of its document.
    """

    rank: int
    place: int
    text: str
    language: str


def _best_of_documents(text: IndexedText, scores: Scores) -> list[tuple[Peak, float, slice]]:
    """The best span of each of the best documents of a text, its score, and its document."""
    weighing, passages = scores.weighing, text.passages
    left = scores.over(len(passages), -torch.inf)
    least = _least(weighing, float(left.max()))
    found: list[tuple[Peak, float, slice]] = []
    while len(found) < weighing.hop_sources:
        peaks = pick(left.numpy(), passages, 1, weighing.span_characters, text.density)
        if not peaks or left[peaks[0].top] < least:
            break
        home = passages.of_document(int(passages.document[peaks[0].top]))
        found.append((peaks[0], float(left[peaks[0].top]), home))
        left[home] = -torch.inf
    return found


def _read(text: IndexedText, peak: Peak) -> tuple[str, str]:
    language = LANGUAGES[text.word_postings.languages[peak.top]]
    return text.between(peak.first, peak.last), language


def _source(
    text: IndexedText, own: Sequence[tuple[Peak, float, slice]], score: float, told: _Told
) -> HopSource:
    home = own[told.place][2] if told.rank == text.group.rank else NOTHING
    return HopSource(score, home, told.text, _naming(text, told.language, told.text))


def _naming(text: IndexedText, language: str, read: str) -> Naming:
    """How names are told in what is read; where capitals do not tell, which words are rare."""
    if capitals_tell(read, language):
        return Naming(language)
    own = sorted({*words(read, language)})
    most = max(RARE_DOCUMENTS, RARE_SHARE * text.all_documents)
    frequencies = text.group.merged(text.document_postings.frequencies(own), added)
    both = zip(own, frequencies, strict=True)
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
    tops = torch.stack([_top(scores, -torch.inf), *(_top(led, 0.0) for led in found)])
    highest, *led_to = text.group.merged(tops, greatest)
    most, temperature = max(led_to), scores.weighing.hop_temperature
    direct = torch.exp((scores.over(len(text.passages), -torch.inf) - highest) / temperature)
    hops = [direct * most]
    for source, led in zip(sources, found, strict=True):
        beyond = led.over(len(text.passages), 0.0)
        beyond[source.home] = 0
        hops.append(torch.exp((source.score - highest) / temperature) * beyond)
    reached = union(*(led.candidates for led in found))
    return scores.plus("hop", torch.stack(hops).amax(0), reached)


def _top(scores: Scores, least: float) -> Tensor:
    """The highest total; `least` where nothing is higher."""
    return torch.cat([scores.total, torch.tensor([least])]).max()
