"""A sample of the sentences, which stands for all in means and deviations of attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from s3_retriever.searching.attention import logits_at
from s3_retriever.searching.neighbours import Neighbours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from s3_retriever.searching.scorer import IndexedText

_RUNS, _RUN = 8, 16  # of sentences


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Some sentences, with the keys of their tokens and of what stands near them.

    Attributes:
        reach: How far neighbours share.
        numbers: ``int64[S]``, ascending, in short runs.
        neighbours: Theirs, S' sentences together.
        keys: ``f32[t, N, d]``, those that the codes stand for, less `Bank.offset`.
        firsts: ``int64[S']``, where in these each sentence that has tokens begins.
        owning: ``bool[S']``, which sentences have any.
    """

    reach: float
    numbers: np.ndarray
    neighbours: Neighbours
    keys: Tensor
    firsts: np.ndarray
    owning: Tensor

    @classmethod
    def of(cls, text: IndexedText, reach: float) -> Sample:
        """Take what lies in a text of the sample of all texts that are searched with it."""
        passages, count = text.passages, text.all_sentences
        numbers = np.arange(count)
        if count > _RUNS * _RUN:
            firsts = np.linspace(0, count - _RUN, _RUNS).astype(np.int64)
            numbers = np.unique((firsts[:, None] + np.arange(_RUN)).ravel())
        numbers = numbers - text.sentences_before
        numbers = numbers[(numbers >= 0) & (numbers < len(passages))]
        neighbours = Neighbours.of(passages, numbers, reach)
        near, bounds = neighbours.near, passages.bounds
        _, firsts, owning = tokens_of(bounds, near)
        codes = text.codes.ranges(bounds[near], bounds[near + 1])
        keys = text.bank.decode(codes) - text.bank.offset
        return cls(reach, numbers, neighbours, keys, firsts, torch.from_numpy(owning))

    def shares(self, y: Tensor, reads: Sequence[int], log_mass: Tensor, without: slice) -> Tensor:
        """The greatest share of attention in each of the S' sentences.

        Args:
            y: ``f32[n, H, d]``, calibrated queries.
            reads: The tap that each head reads.
            log_mass: ``f32[H, n]``, logarithms of the softmax's sums.
            without: Sentences that are left out.

        Returns:
            ``f32[S', H, n]``.
        """
        near = self.neighbours.near
        best = torch.zeros(len(near), *log_mass.shape)
        if len(self.firsts):
            logits = logits_at(self.keys, y, reads)
            highest = torch.from_numpy(np.maximum.reduceat(logits.numpy(), self.firsts))
            shares = (highest.view(-1, *log_mass.shape) - log_mass).clamp_max_(0).exp_()
            best[self.owning] = shares
        best[torch.from_numpy((near >= without.start) & (near < without.stop))] = 0
        return best


def tokens_of(
    bounds: np.ndarray, sentences: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tokens of some sentences.

    Args:
        bounds: ``int64[A + 1]``, of `Passages`.
        sentences: ``int64[C]``, ascending.

    Returns:
        Their tokens ``int64[t]``, end to end; where in these each sentence that has any begins, and
        ``bool[C]``, whether a sentence has any.
    """
    sizes = bounds[sentences + 1] - bounds[sentences]
    ends = np.cumsum(sizes)
    begins = np.repeat(bounds[sentences] - (ends - sizes), sizes)
    return np.arange(len(begins)) + begins, (ends - sizes)[sizes > 0], sizes > 0
