"""Sentences that share words with what asks: where names stand.

A key of an early layer is mostly its token. What names a document or a person is found where its
words stand; attention to all other sentences of a large text adds noise, and takes time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.searching.group import best_of_all
from s3_retriever.text.words import asked_words, codes

if TYPE_CHECKING:
    import numpy as np

    from s3_retriever.searching.scorer import Asked, IndexedText


def sharing(text: IndexedText, asked: Asked, most: int) -> np.ndarray:
    """The sentences that share most words with what asks, by BM25.

    Args:
        text: All sentences; those that own no tokens are left out.
        asked: What asks; what it leaves out is left out.
        most: At most so many, in all texts of its group.

    Returns:
        ``int64[C]``, ascending.
    """
    bounds = text.passages.bounds
    holding, scores = text.sentence_bm25.scores(words_of(asked, text))
    kept = (holding < asked.without.start) | (holding >= asked.without.stop)
    kept &= bounds[holding + 1] > bounds[holding]
    holding, scores = holding[kept], scores[kept]
    best: np.ndarray = holding[best_of_all(scores, most, text.group)]
    return best


def words_of(asked: Asked, text: IndexedText) -> list[str]:
    """The words that BM25 is asked for, and codes that rows and records are found by."""
    return [*asked_words(asked.text, text.spoken), *codes(asked.text)]
