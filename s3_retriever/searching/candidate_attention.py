"""Attention over candidates alone, where something else has named them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from s3_retriever.searching.attention import CodedQueries
from s3_retriever.searching.fusion import standardise_some
from s3_retriever.searching.group import LogSum
from s3_retriever.searching.neighbours import Neighbours
from s3_retriever.searching.sample import tokens_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from s3_retriever.config import Weighing
    from s3_retriever.searching.scorer import Asked, IndexedText

_BLOCK_NUMBERS = 2**25


class CandidateAttention:
    """As `s3_retriever.searching.attention.AttentionScorer`, of candidates and what is near them.

    A question token spends its attention on these, so that no other codes are read; all other
    sentences have none of it.

    Args:
        text: What is searched.
    """

    def __init__(self, text: IndexedText) -> None:
        self._text = text

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`."""
        near = Neighbours.of(self._text.passages, candidates, weighing.reach)
        return torch.stack([self._scores(question, near, weighing) for question in asked])

    def _scores(self, asked: Asked, neighbours: Neighbours, weighing: Weighing) -> Tensor:
        text, near = self._text, neighbours.near
        bounds, shares_of_heads = text.passages.bounds, text.bank.calibration.head_shares
        kept = (near < asked.without.start) | (near >= asked.without.stop)
        read = near[kept]
        _, firsts, owning = tokens_of(bounds, read)
        rows = torch.from_numpy(np.flatnonzero(kept)[owning])
        sums = torch.zeros(len(neighbours.places), len(shares_of_heads))
        if not len(firsts):
            return sums.sum(1)
        codes = text.codes.ranges(bounds[read], bounds[read + 1])
        most = max(_BLOCK_NUMBERS // (len(codes.values) * len(shares_of_heads)), 1)
        for begin in range(0, len(asked.queries), most):
            queries = asked.queries[begin : begin + most]
            logits = CodedQueries(text.bank, queries).logits(codes)
            best = torch.from_numpy(np.maximum.reduceat(logits.numpy(), firsts))
            shares = torch.zeros(len(near), logits.shape[1])
            shares[rows] = torch.exp(best - LogSum.of(logits).log)
            smooth = neighbours.smooth(shares, weighing.power)
            sums += smooth.view(len(smooth), len(shares_of_heads), -1).sum(2)
        everything = len(text.passages)
        each = [standardise_some(own, everything)[0] for own in sums.T]
        return torch.stack(each, 1) @ shares_of_heads
