"""The seam before the scoring: which sentences are worth it.

To add a candidate generator, write a class that does as `CandidateGenerator` says, and let an index
have what makes it of a text: `EndogenousIndex.candidates`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.searching.scorer import Asked, IndexedText


class CandidateGenerator(Protocol):
    """Names the sentences that are scored; no other can become the peak of a span."""

    def candidates(self, asked: Sequence[Asked]) -> np.ndarray:
        """Return the numbers of the sentences worth scoring for any of some questions.

        Args:
            asked: Q questions.

        Returns:
            ``int64[C]``, ascending, each once, at least one.
        """
        ...


class AllSentences:
    """Every sentence: exact, and linear in the text."""

    def __init__(self, text: IndexedText) -> None:
        self._all = np.arange(len(text.passages))

    def candidates(self, asked: Sequence[Asked]) -> np.ndarray:
        """Return ``int64[A]``, all of them."""
        return self._all
