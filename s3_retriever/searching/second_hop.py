"""The second hop: what the best spans name is asked of the other documents.

Which spans lead on is decided here, and what becomes of what they lead to; between the two the
model reads what they name (`s3_retriever.reading.leads`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.searching.peaks import pick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.searching.fusion import Scores
    from s3_retriever.searching.peaks import Peak
    from s3_retriever.searching.scorer import IndexedText


@dataclass(frozen=True, slots=True)
class HopSource:
    """A span that may lead on.

    Attributes:
        peak: The span.
        score: Of its best sentence.
        home: The sentences of its document.
        text: What the model reads.
    """

    peak: Peak
    score: float
    home: slice
    text: str


def hop_sources(text: IndexedText, scores: Scores) -> list[HopSource]:
    """The best span of each of the best documents, best first; none where there is but one.

    Args:
        text: The documents.
        scores: Of one question; its weighing says how many documents.
    """
    weighing, passages = scores.weighing, text.passages
    left = scores.over(len(passages), -torch.inf)
    sources: list[HopSource] = []
    while len(sources) < min(weighing.hop_sources, len(text.documents)):
        peaks = pick(left.numpy(), passages, 1, weighing.span_characters)
        if not peaks:
            break
        sources.append(_source(text, peaks[0], float(left[peaks[0].top])))
        left[sources[-1].home] = -torch.inf
    return sources if len(sources) > 1 else []


def _source(text: IndexedText, peak: Peak, score: float) -> HopSource:
    passages = text.passages
    number = int(passages.document[peak.top])
    characters = slice(int(passages.start[peak.first]), int(passages.end[peak.last - 1]))
    read = text.documents[number].text[characters]
    return HopSource(peak, score, passages.of_document(number), read)


def with_hop(
    text: IndexedText, scores: Scores, sources: Sequence[HopSource], found: Sequence[Scores]
) -> Scores:
    """Add what spans lead to as the part ``"hop"`` of a score.

    A source span d below the best sentence counts ``exp(-d / hop_temperature)``; a sentence takes
    the best of what all sources give it.

    Args:
        text: The documents.
        scores: Of the question.
        sources: Spans that name something.
        found: What each of them leads to.
    """
    if not sources:
        return scores
    highest, temperature = scores.total.max(), scores.weighing.hop_temperature
    hops = [
        torch.exp((source.score - highest) / temperature) * _hop_scores(text, source, led)
        for source, led in zip(sources, found, strict=True)
    ]
    reached = np.unique(np.concatenate([led.candidates for led in found]))
    return scores.plus("hop", torch.stack(hops).amax(0), reached)


def _hop_scores(text: IndexedText, source: HopSource, found: Scores) -> Tensor:
    """Zero the source's own document, and give the source itself the highest score: ``f32[A]``.

    What leads on should not fall behind what it leads to.
    """
    scores = found.over(len(text.passages), 0.0)
    scores[source.home] = 0
    scores[source.peak.first : source.peak.last] = scores.max()
    return scores
