"""BM25 through an inverted index of words: what is read is what a question's words occur in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

K1, B, EPSILON = 1.5, 0.75, 0.25
"""Constants of Okapi BM25 and of its floor, those of rank_bm25."""


@dataclass(frozen=True, eq=False)
class WordPostings:
    """Which of R texts hold which of V words, and how often.

    Postings of more texts are these end to end, word by word; lengths likewise.

    Attributes:
        vocabulary: The number of each word.
        starts: ``int64[V + 1]``; word v occurs in the texts ``texts[starts[v]:starts[v + 1]]``.
        texts: ``int32[P]``, ascending for each word.
        counts: ``int32[P]``, how often the word occurs there.
        lengths: ``int32[R]``, words of each text.
    """

    vocabulary: Mapping[str, int]
    starts: np.ndarray
    texts: np.ndarray
    counts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]]) -> Self:
        """Invert the words of some texts."""
        vocabulary: dict[str, int] = {}
        rows = [
            np.fromiter((vocabulary.setdefault(word, len(vocabulary)) for word in words), np.int32)
            for words in texts
        ]
        lengths = np.fromiter(map(len, rows), np.int32, len(rows))
        words = np.concatenate([*rows, np.zeros(0, np.int32)]).astype(np.int64)
        places = np.repeat(np.arange(len(rows)), lengths)
        return cls(vocabulary, *_counted(words, places, len(vocabulary), len(rows)), lengths)

    def joined(self, groups: np.ndarray) -> WordPostings:
        """Postings of texts joined into longer ones.

        Args:
            groups: ``int[R]``, ascending: the number of the text that each becomes part of.
        """
        size = int(groups[-1]) + 1
        words = np.repeat(np.arange(len(self.vocabulary)), np.diff(self.starts))
        lengths = np.bincount(groups, self.lengths, size).astype(np.int32)
        arrays = _counted(words, groups[self.texts], len(self.vocabulary), size, self.counts)
        return WordPostings(self.vocabulary, *arrays, lengths)


def _counted(
    words: np.ndarray, texts: np.ndarray, size: int, rows: int, times: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, texts and counts of occurrences, each of them that many times."""
    pairs, place = np.unique(words * max(rows, 1) + texts, return_inverse=True)
    counts = np.bincount(place, times, minlength=len(pairs)).astype(np.int32)
    word, text = np.divmod(pairs, max(rows, 1))
    starts = np.concatenate([[0], np.cumsum(np.bincount(word, minlength=size))])
    return starts, text.astype(np.int32), counts


class Bm25:
    """Okapi BM25 with the scores of `rank_bm25.BM25Okapi`, its floor for frequent words included.

    Args:
        postings: Of R texts.
    """

    def __init__(self, postings: WordPostings) -> None:
        self._postings = postings

    @cached_property
    def _idf(self) -> np.ndarray:
        """``f64[V]``; of a word in more than half of the texts, a quarter of the mean of all."""
        frequency = np.diff(self._postings.starts)
        idf = np.log(len(self._postings.lengths) - frequency + 0.5) - np.log(frequency + 0.5)
        return np.where(idf < 0, EPSILON * idf.sum() / max(len(idf), 1), idf)

    @cached_property
    def _norms(self) -> np.ndarray:
        """``f64[R]``: what a text's length adds to its counts."""
        lengths = self._postings.lengths
        mean = max(lengths.mean(), 1e-9)
        norms: np.ndarray = K1 * (1 - B + B * lengths / mean)
        return norms

    def scores(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Score the texts that hold a word of a question; those that are not named score 0.

        Args:
            words: Of the question; one that comes twice counts twice.

        Returns:
            Numbers of the texts ``int64[M]``, ascending, and their scores ``f64[M]``.
        """
        postings = self._postings
        texts, scores = [np.zeros(0, np.int32)], [np.zeros(0)]
        for word in words:
            number = postings.vocabulary.get(word)
            if number is None:
                continue
            own = slice(postings.starts[number], postings.starts[number + 1])
            rows, counts = postings.texts[own], postings.counts[own]
            texts.append(rows)
            scores.append(self._idf[number] * counts * (K1 + 1) / (counts + self._norms[rows]))
        total = np.bincount(np.concatenate(texts), np.concatenate(scores), len(self._norms))
        found = np.flatnonzero(total)
        return found, total[found]
