"""Peaks of the scores, thinned by non-maximum suppression and grown to whole sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3_retriever.searching.passages import Passages

_TRIED = 64  # sentences that are sorted for each span that is wanted


@dataclass(frozen=True, slots=True)
class Peak:
    """Sentences ``first`` to ``last`` (exclusive) around a peak.

    Attributes:
        first: First sentence.
        last: One past the last sentence.
        top: The sentence with the highest score; its score is the span's.
    """

    first: int
    last: int
    top: int


def of_latin(_: int) -> int:
    """What a character counts where all letters are Latin."""
    return 1


def pick(
    scores: np.ndarray,
    passages: Passages,
    most: int,
    span_characters: int,
    density: Callable[[int], int] = of_latin,
) -> list[Peak]:
    """Choose spans by score, best first.

    The best sentence that is still free is a peak. It grows, inside its document, by whichever
    free neighbour scores higher, until it is `span_characters` long; what it covers is no longer
    free (non-maximum suppression). Rows and records do not grow: those beside them are of other
    things.

    Args:
        scores: ``f[A]``; a sentence at minus infinity is no peak, but one may grow over it.
        passages: The sentences.
        most: At most so many spans.
        span_characters: See `s3_retriever.config.Weighing`.
        density: How many of these a character counts in a span around a sentence
            (`s3_retriever.searching.scorer.IndexedText.density`).

    Returns:
        Disjoint peaks, highest first; ties go to the earlier sentence.
    """
    free = np.ones(len(passages), dtype=bool)
    peaks: list[Peak] = []
    for top in _best_first(scores, _TRIED * most):
        if len(peaks) == most or scores[top] == -np.inf:
            break
        if free[top]:
            enough = span_characters / density(int(top))
            first, last = _grow(int(top), scores, passages, free, enough)
            free[first:last] = False
            peaks.append(Peak(first, last, int(top)))
    return peaks


def _best_first(scores: np.ndarray, few: int) -> Iterator[int]:
    """Numbers of sentences by score; the best few are sorted first, the others if they are asked.

    Ties go to the earlier one.
    """
    left = np.ones(len(scores), dtype=bool)
    if few < len(scores):
        left = scores >= np.partition(scores, -few)[-few]
    for part in (left, ~left):
        numbers = np.flatnonzero(part)
        yield from numbers[np.argsort(-scores[numbers], kind="stable")].tolist()


def _grow(
    top: int, scores: np.ndarray, passages: Passages, free: np.ndarray, enough: float
) -> tuple[int, int]:
    first, last = top, top + 1
    if passages.alone[top]:
        return first, last
    document = passages.document

    def open_(place: int) -> bool:
        inside = 0 <= place < len(free) and document[place] == document[top]
        return bool(inside and free[place])

    while passages.end[last - 1] - passages.start[first] < enough:
        before, after = open_(first - 1), open_(last)
        if not before and not after:
            break
        if after and (not before or scores[last] >= scores[first - 1]):
            last += 1
        else:
            first -= 1
    return first, last
