"""BM25 over sentences, by rank_bm25; words are stemmed by Snowball (Porter 2, English)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import snowballstemmer
import torch
from rank_bm25 import BM25Okapi
from torch import Tensor

from s3_retriever.searching.attention import POWER, REACH, standardise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.searching.passages import Passages

_WORD = re.compile(r"\w+")
_WORDS_KEPT = 2**16
_STOP = frozenset(
    [
        "a",
        "about",
        "after",
        "again",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "before",
        "being",
        "between",
        "both",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "during",
        "each",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "may",
        "me",
        "might",
        "more",
        "most",
        "must",
        "my",
        "no",
        "nor",
        "not",
        "of",
        "off",
        "on",
        "only",
        "or",
        "other",
        "our",
        "out",
        "over",
        "own",
        "same",
        "shall",
        "she",
        "should",
        "so",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "to",
        "too",
        "under",
        "up",
        "us",
        "very",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)


def words(text: str) -> list[str]:
    """Words for matching: lower case, stemmed; stop words left out."""
    return [_stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP]


@lru_cache(_WORDS_KEPT)
def _stem(word: str) -> str:
    return str(snowballstemmer.stemmer("english").stemWord(word))  # it holds what it works on


class Lexicon:
    """BM25 of sentences, smoothed along the text as attention is."""

    def __init__(self, texts: Sequence[str], passages: Passages) -> None:
        self._passages = passages
        tokens = [words(text) for text in texts]
        self._ranker = BM25Okapi(tokens) if any(tokens) else None

    def scores(self, question: str) -> Tensor:
        """Standardised BM25 scores ``f32[A]``; all 0 where no word is shared."""
        asked = words(question)
        if self._ranker is None or not asked:
            return torch.zeros(len(self._passages))
        raw = torch.from_numpy(self._ranker.get_scores(asked)).float()
        return standardise(self._passages.smooth(raw, REACH, POWER))
