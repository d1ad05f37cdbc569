"""Scores by feature co-activation over an inverted index, as in arXiv 2601.17702."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.searching.attention import POWER, REACH, standardise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.codec import Bank
    from s3_retriever.searching.passages import Passages
    from s3_retriever.searching.postings import Postings


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
        idf = posts.idf
        weights = np.bincount(active.flatten(), strength.flatten(), minlength=len(idf))
        total += posts.sums(weights * idf, length)
    sizes = torch.from_numpy(np.diff(passages.bounds))
    best = torch.segment_reduce(torch.from_numpy(total).float(), "max", lengths=sizes, initial=0.0)
    best[skip] = 0
    return standardise(passages.smooth(best, REACH, POWER))
