"""Scores by feature co-activation over an inverted index, as in arXiv 2601.17702."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from s3_retriever.scoring import POWER, REACH, standardise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.codec import Bank, Codes
    from s3_retriever.passages import Passages


@dataclass(frozen=True, slots=True)
class Postings:
    """For each latent of one SAE, the tokens at which it is active.

    Attributes:
        starts: ``int64[n_latents + 1]``; latent f has the tokens ``starts[f]`` to
            ``starts[f + 1]``.
        tokens: ``int32[P]``, numbers of text tokens, rising within a latent.
    """

    starts: np.ndarray
    tokens: np.ndarray

    @classmethod
    def of(cls, bank: Bank, codes: Codes) -> list[Self]:
        """Invert the codes of a text, for each SAE of a bank."""
        return [cls._of_site(bank, j, codes) for j in range(len(bank.saes))]

    @classmethod
    def _of_site(cls, bank: Bank, j: int, codes: Codes) -> Self:
        slots, count = bank.slots(j), bank.saes[j].n_latents
        used = codes.values[:, slots].numpy() > 0
        latents = codes.latents[:, slots].numpy()[used]
        order = np.argsort(latents, kind="stable")  # of two bytes: linear in their number
        tokens = np.nonzero(used)[0].astype(np.int32)[order]
        frequency = np.bincount(latents, minlength=count)
        return cls(np.concatenate([[0], np.cumsum(frequency)]), tokens)

    def sums(self, weights: np.ndarray, length: int) -> np.ndarray:
        """Add up, for each token, weights of the latents that are active there.

        Args:
            weights: ``f32[n_latents]``; the posts of latents of weight 0 are not read.
            length: T, the number of tokens.

        Returns:
            ``f64[T]``.
        """
        active = np.flatnonzero(weights)
        posts = [self.tokens[self.starts[f] : self.starts[f + 1]] for f in active]
        sizes = [len(post) for post in posts]
        if not sum(sizes):
            return np.zeros(length)
        every = np.repeat(weights[active], sizes)
        return np.bincount(np.concatenate(posts), weights=every, minlength=length)

    @property
    def idf(self) -> np.ndarray:
        """``f64[n_latents]``: ``1 / (log(1 + freq) + 1)``, freq the number of a latent's posts."""
        weights: np.ndarray = 1 / (np.log1p(np.diff(self.starts)) + 1)
        return weights


def coactivation(
    questions: Sequence[Tensor],
    bank: Bank,
    postings: Sequence[Postings],
    passages: Passages,
    skips: Sequence[slice],
) -> Tensor:
    """Score sentences by feature co-activation, equation 7 of arXiv 2601.17702.

    ``S[t] = Σ_f∈question 1[t ∈ post(f)] · w_f · IDF(f)`` with ``IDF(f) = 1/(log(1 + freq(f)) +
    1)``, the question's features those its own queries activate in the same SAEs, w_f their
    summed activations. A sentence takes its best token; neighbours share. The residual is not
    read.

    Args:
        questions: ``f32[n, H, d]`` of the n tokens of each of Q questions, n > 0.
        bank: The codec.
        postings: Of the T tokens of the text, for each SAE.
        passages: The A sentences of the text.
        skips: For each question, sentences to leave out, as if they were not there.

    Returns:
        ``f32[Q, A]``, standardised scores.
    """
    both = zip(questions, skips, strict=True)
    scores = [_scores(asked, bank, postings, passages, skip) for asked, skip in both]
    return torch.stack(scores)


def _scores(
    queries: Tensor, bank: Bank, postings: Sequence[Postings], passages: Passages, skip: slice
) -> Tensor:
    length = int(passages.bounds[-1])
    total = np.zeros(length)
    for posts, (active, strength) in zip(postings, bank.encode_queries(queries), strict=True):
        weights = np.bincount(active.flatten(), strength.flatten(), minlength=len(posts.starts) - 1)
        total += posts.sums(weights * posts.idf, length)
    sizes = torch.from_numpy(np.diff(passages.bounds))
    best = torch.segment_reduce(torch.from_numpy(total).float(), "max", lengths=sizes, initial=0.0)
    best[skip] = 0
    return standardise(passages.smooth(best, REACH, POWER))
