"""Attention over candidates alone, where something else has named them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from s3_retriever.searching.attention import coded_logits, softmax_peaks
from s3_retriever.searching.fusion import standardise_some
from s3_retriever.searching.neighbours import Neighbours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from s3_retriever.config import Weighing
    from s3_retriever.searching.attention import LogitsOf
    from s3_retriever.searching.scorer import Asked, IndexedText

_BLOCK_QUERIES = 4096  # of all heads, at a time


class CandidateAttention:
    """As `s3_retriever.searching.attention.AttentionScorer`, of candidates and what is near them.

    A question token spends its attention on these, so that no other codes are read; all other
    sentences have none of it.

    Args:
        text: What is searched.
        logits: Makes what gives the logits at the tokens of some sentences ``int64[C]``, end to
            end; `coded_logits` by default.
        alone: What is near candidates and none itself gets no attention either.
    """

    def __init__(
        self,
        text: IndexedText,
        logits: Callable[[np.ndarray], LogitsOf] | None = None,
        *,
        alone: bool = False,
    ) -> None:
        self._text, self._logits = text, logits or partial(coded_logits, text)
        self._alone = alone

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`."""
        neighbours = Neighbours.of(self._text.passages, candidates, weighing.reach)
        worth = np.isin(neighbours.near, candidates) if self._alone else np.array(True)
        return torch.stack([self._scores(own, neighbours, worth, weighing) for own in asked])

    def _scores(
        self, asked: Asked, neighbours: Neighbours, worth: np.ndarray, weighing: Weighing
    ) -> Tensor:
        text, near = self._text, neighbours.near
        bounds = text.passages.bounds
        kept = worth & ((near < asked.without.start) | (near >= asked.without.stop))
        kept &= bounds[near + 1] > bounds[near]
        rows, read = torch.from_numpy(np.flatnonzero(kept)), near[kept]
        shares_of_heads = text.bank.calibration.head_shares
        sums = torch.zeros(len(neighbours.places), len(shares_of_heads))
        for own in shares_among(text, self._logits(read), asked, read):
            shares = torch.zeros(len(near), *own.shape[1:]).index_copy(0, rows, own)
            sums += neighbours.smooth(shares, weighing.power).sum(2)
        everything, group = len(text.passages), text.group
        each = [standardise_some(own, everything, group)[0] for own in sums.T]
        return torch.stack(each, 1) @ shares_of_heads


def shares_among(
    text: IndexedText, logits: LogitsOf, asked: Asked, sentences: np.ndarray
) -> Iterator[Tensor]:
    """What some sentences get of attention that is spent on them alone.

    Args:
        text: What is searched.
        logits: At their tokens, end to end.
        asked: What asks.
        sentences: ``int64[C]``, ascending, each with tokens.

    Yields:
        ``f32[C, H, n]``, the greatest share of a token of each sentence, of some question tokens
        after others.
    """
    heads, of_all = len(text.bank.calibration.heads), text.passages.bounds
    bounds = np.cumsum([0, *(of_all[sentences + 1] - of_all[sentences])])
    for queries in torch.split(asked.queries, max(_BLOCK_QUERIES // heads, 1)):
        columns = heads * len(queries)
        peaks = softmax_peaks(logits(queries), columns, bounds, group=text.group)
        yield peaks.view(len(sentences), heads, len(queries))
