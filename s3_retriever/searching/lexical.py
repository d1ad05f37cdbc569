"""BM25 over sentences, by rank_bm25."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from rank_bm25 import BM25Okapi

from s3_retriever.searching.fusion import standardise
from s3_retriever.text.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from s3_retriever.config import Weighing
    from s3_retriever.searching.scorer import Asked, IndexedText


class LexicalScorer:
    """BM25 of sentences, smoothed along the text as attention is."""

    def __init__(self, text: IndexedText) -> None:
        self._passages = text.passages
        self._ranker = BM25Okapi(text.words) if any(text.words) else None

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`; all 0 where no word is shared."""
        rows = [self._scores(words(question.text), weighing) for question in asked]
        return torch.stack(rows)[:, torch.from_numpy(candidates)]

    def _scores(self, asked: list[str], weighing: Weighing) -> Tensor:
        if self._ranker is None or not asked:
            return torch.zeros(len(self._passages))
        raw = torch.from_numpy(self._ranker.get_scores(asked)).float()
        return standardise(self._passages.smooth(raw, weighing.reach, weighing.power))
