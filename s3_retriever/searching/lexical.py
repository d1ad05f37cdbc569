"""BM25 over sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from s3_retriever.searching.fusion import standardise, standardise_some, union
from s3_retriever.searching.neighbours import lend
from s3_retriever.text.words import asked_words, codes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from s3_retriever.config import Weighing
    from s3_retriever.searching.scorer import Asked, IndexedText

_MANY = 8  # where one of so many sentences holds a word, all are smoothed


class LexicalScorer:
    """BM25 of sentences, smoothed along the text as attention is.

    Where few sentences hold a word of the question, only these and what is near are smoothed.

    Args:
        text: What is searched.
    """

    def __init__(self, text: IndexedText) -> None:
        self._text, self._passages = text, text.passages
        self._ranker = text.sentence_bm25

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`; all 0 where no word is shared."""
        return torch.stack([self._scores(one, candidates, weighing) for one in asked])

    def _found(self, asked: Asked) -> tuple[np.ndarray, Tensor]:
        """Sentences that hold a word, ``int64[M]``, and the scores of all, ``f32[A]``.

        Rows and records are asked for the whole question: in a table, words that name a document
        may be a key.
        """
        values, alone = torch.zeros(len(self._passages)), self._passages.alone
        group, tables = self._text.group, bool(alone.any())
        holding, scores = self._ranker.scores(self._words(asked.text))
        values[torch.from_numpy(holding)] = torch.from_numpy(scores).float()
        if asked.place is not None and group.constant("tables", lambda: tables, any):
            named, scores = self._ranker.scores(self._words(asked.whole or asked.text))
            kept = alone[named]
            values[torch.from_numpy(named[kept])] = torch.from_numpy(scores[kept]).float()
            holding = union(holding, named[kept])
        return holding, values

    def _words(self, question: str) -> list[str]:
        """Words, and codes that rows and records are found by, each as much as two words."""
        return [*asked_words(question, self._text.spoken), *2 * codes(question)]

    def _scores(self, asked: Asked, candidates: np.ndarray, weighing: Weighing) -> Tensor:
        holding, values = self._found(asked)
        passages, everything = self._passages, len(self._passages)
        if _MANY * len(holding) > everything:
            smooth = passages.smooth(values, weighing.reach, weighing.power)
            return standardise(smooth, self._text.group)[torch.from_numpy(candidates)]
        near, smooth = lend(passages, holding, values, weighing.reach, weighing.power)
        found, rest = standardise_some(smooth, everything, self._text.group)
        return spread_out(near, found, rest, candidates)


def spread_out(numbers: np.ndarray, scores: Tensor, rest: float, candidates: np.ndarray) -> Tensor:
    """Scores of candidates ``f32[C]``: those known by number, the rest of all others."""
    if not len(numbers):
        return torch.full((len(candidates),), rest)
    place = np.minimum(np.searchsorted(numbers, candidates), len(numbers) - 1)
    known = torch.from_numpy(numbers[place] == candidates)
    return torch.where(known, scores[torch.from_numpy(place)], torch.tensor(rest))
