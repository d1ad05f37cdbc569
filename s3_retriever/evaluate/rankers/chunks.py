"""Chunks for the baselines: whole sentences packed up to a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.evaluate.rankers.hits import DEPTH, Hit
from s3_retriever.text.sentences import sentences, trim

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_retriever.documents import Document

SIZES = (200, 400, 800)
"""Characters of a chunk that the baselines are tried with."""


@dataclass(frozen=True)
class Chunks:
    """The C chunks of a corpus, in the order of the text.

    Attributes:
        documents: The corpus.
        number: ``int64[C]``, number of the document.
        start: ``int64[C]``, first character, white space left out.
        end: ``int64[C]``, one past the last.
    """

    documents: tuple[Document, ...]
    number: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def __len__(self) -> int:
        return len(self.number)

    @property
    def texts(self) -> list[str]:
        """The chunks themselves."""
        places = zip(self.number, self.start, self.end, strict=True)
        return [self.documents[n].text[start:end] for n, start, end in places]

    def hits(self, scores: np.ndarray) -> list[Hit]:
        """The best chunks by ``f[C]``; ties go to the earlier one."""
        best = np.argsort(-scores, kind="stable")[:DEPTH]
        return [
            Hit(
                self.documents[self.number[c]].id,
                int(self.start[c]),
                int(self.end[c]),
                float(scores[c]),
            )
            for c in best
        ]

    def smooth(self, scores: np.ndarray) -> np.ndarray:
        """Add half of the score of each neighbour in the same document.

        Scores are standardised first, so that a chunk without a neighbour is neither favoured
        nor punished: what is missing counts as average.
        """
        standard = standardise(scores)
        total = standard.copy()
        same = self.number[1:] == self.number[:-1]
        total[1:] += np.where(same, standard[:-1], 0) / 2
        total[:-1] += np.where(same, standard[1:], 0) / 2
        return total


def standardise(scores: np.ndarray) -> np.ndarray:
    """Bring scores to mean 0 and deviation 1."""
    spread = float(scores.std())
    standard: np.ndarray = (scores - scores.mean()) / max(spread, 1e-9)
    return standard


def pack(documents: Sequence[Document], size: int) -> Chunks:
    """Pack whole sentences into chunks of at most `size` characters.

    A sentence that is longer (see `s3_retriever.text.prose.MAX_CHARACTERS`) stands alone.
    """
    places = [
        (number, start, end)
        for number, document in enumerate(documents)
        for start, end in _packed(document.text, size)
    ]
    number, start, end = np.array(places, dtype=np.int64).T
    return Chunks(tuple(documents), number, start, end)


def _packed(text: str, size: int) -> Iterator[tuple[int, int]]:
    ranges = [trim(text, start, end) for start, end in sentences(text)]
    ranges = [(start, end) for start, end in ranges if start < end]
    first, last = ranges[0]
    for start, end in ranges[1:]:
        if end - first > size:
            yield first, last
            first = start
        last = end
    yield first, last
