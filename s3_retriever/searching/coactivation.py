"""Scores by feature co-activation over an inverted index, as in arXiv 2601.17702."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.searching.fusion import standardise
from s3_retriever.searching.postings import Postings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.config import Weighing
    from s3_retriever.searching.scorer import Asked, IndexedText


class CoactivationScorer:
    """Scores sentences by feature co-activation, equation 7 of arXiv 2601.17702.

    ``S[t] = Σ_f∈question 1[t ∈ post(f)] · w_f · IDF(f)`` with ``IDF(f) = 1/(log(1 + freq(f)) +
    1)``, the question's features those its own queries activate in the same SAEs, w_f their
    summed activations. A sentence takes its best token; neighbours share. The residual is not
    read.
    """

    def __init__(self, text: IndexedText) -> None:
        self._bank, self._passages = text.bank, text.passages
        self._postings = Postings.invert(text.bank, text.codes)

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`."""
        rows = [self._scores(question, weighing) for question in asked]
        return torch.stack(rows)[:, torch.from_numpy(candidates)]

    def _scores(self, asked: Asked, weighing: Weighing) -> Tensor:
        length = int(self._passages.bounds[-1])
        total = np.zeros(length)
        encoded = self._bank.encode_queries(asked.queries)
        for posts, (active, strength) in zip(self._postings, encoded, strict=True):
            idf = posts.idf
            weights = np.bincount(active.flatten(), strength.flatten(), minlength=len(idf))
            total += posts.sums(weights * idf, length)
        sizes = torch.from_numpy(np.diff(self._passages.bounds))
        tokens = torch.from_numpy(total).float()
        best = torch.segment_reduce(tokens, "max", lengths=sizes, initial=0.0)
        best[asked.without] = 0
        return standardise(self._passages.smooth(best, weighing.reach, weighing.power))
