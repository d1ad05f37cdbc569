"""Scores by feature co-activation over an inverted index, as in arXiv 2601.17702."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.searching.fusion import standardise
from s3_retriever.searching.group import added
from s3_retriever.searching.postings import Postings, rarity_of

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
        self._bank, self._passages, self._group = text.bank, text.passages, text.group
        self._postings = Postings.invert(text.bank, text.codes)

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`."""
        rows = [self._scores(question, weighing) for question in asked]
        return torch.stack(rows)[:, torch.from_numpy(candidates)]

    def _scores(self, asked: Asked, weighing: Weighing) -> Tensor:
        length = int(self._passages.bounds[-1])
        total = np.zeros(length)
        for posts, weights in zip(self._postings, self._weights(asked), strict=True):
            total += posts.sums(weights, length)
        sizes = torch.from_numpy(np.diff(self._passages.bounds))
        tokens = torch.from_numpy(total).float()
        best = torch.segment_reduce(tokens, "max", lengths=sizes, initial=0.0)
        best[asked.without] = 0
        smooth = self._passages.smooth(best, weighing.reach, weighing.power)
        return standardise(smooth, self._group)

    def _weights(self, asked: Asked) -> list[np.ndarray]:
        """``f64[n_latents]`` for each SAE: ``w_f · IDF(f)``."""
        frequencies = [posts.frequency for posts in self._postings]
        encoded = self._bank.encode_queries(asked.queries)
        found = [
            np.bincount(active.flatten(), strength.flatten(), minlength=len(own))
            for own, (active, strength) in zip(frequencies, encoded, strict=True)
        ]
        places = [np.flatnonzero(weights) for weights in found]
        own = [frequency[at] for frequency, at in zip(frequencies, places, strict=True)]
        known = iter(self._group.merged(own, _added_each))
        for weights, at in zip(found, places, strict=True):
            weights[at] *= rarity_of(next(known))
        return found


def _added_each(values: Sequence[list[np.ndarray]]) -> list[np.ndarray]:
    return [added(each) for each in zip(*values, strict=True)]
