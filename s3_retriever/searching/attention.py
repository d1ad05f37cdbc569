"""Scores of sentences by attention through the codes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.codec import QueryWeights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from s3_retriever.codec import Bank, Calibration, Codes
    from s3_retriever.searching.passages import Passages

REACH = 200.0
"""Characters over which neighbouring sentences share evidence; chosen on data, with the other
constants of the scoring, by benchmarks/choose_constants.py."""

POWER = 3.0
"""Between adding neighbours up (1) and taking the best (large); chosen as `REACH` was."""

NOTHING = slice(0, 0)
"""No sentences."""

_LOWEST, _TINY = -1e30, 1e-30  # where all tokens are left out
_BLOCK_TOKENS = 4096


def standardise(scores: Tensor) -> Tensor:
    """Bring scores over all sentences (the first dimension) to mean 0 and deviation 1."""
    spread = scores.std(0, keepdim=True, correction=0)
    return (scores - scores.mean(0, keepdim=True)) / spread.clamp_min(1e-9)


def attention(
    questions: Sequence[Tensor],
    bank: Bank,
    codes: Codes,
    passages: Passages,
    skips: Sequence[slice],
) -> Tensor:
    """Score sentences by late interaction through the codes, for several questions in one pass.

    The logit of question token i at text token t is ``y_i · x̂_t``, with x̂ the key that the codes
    and their residual stand for: feature co-activation, weighted by how strongly the question
    attends to each feature (`QueryWeights`). `shares_of` and `summed` make scores of the logits.

    Args:
        questions: ``f32[n, H, d]`` of the n tokens of each of Q questions, n > 0.
        bank: The codec.
        codes: Of the T tokens of the text.
        passages: The A sentences of the text.
        skips: For each question, sentences to leave out, as if they were not there.

    Returns:
        ``f32[Q, A]``, weighted means of standardised scores.
    """
    weights = QueryWeights(bank, torch.cat([*questions]))
    counts = [len(queries) for queries in questions]

    def logits(tokens: slice) -> Tensor:
        return weights.logits(codes.rows(tokens))

    shares = shares_of(logits, counts, bank.calibration, passages, skips)
    return summed(shares, counts, bank.calibration, passages)


def shares_of(
    logits: Callable[[slice], Tensor],
    counts: Sequence[int],
    calibration: Calibration,
    passages: Passages,
    skips: Sequence[slice],
) -> Tensor:
    """What each sentence gets of the attention of each question token: ``f32[A, H · n]``.

    Each question token spends one unit of attention, a softmax over the whole text; a sentence
    keeps its greatest share.

    Args:
        logits: Gives ``f32[t, H · n]`` for a slice of t text tokens, all questions' tokens of a
            head side by side.
        counts: Tokens of each of Q questions, n together.
        calibration: Of the H heads.
        passages: The A sentences of the text.
        skips: For each question, sentences that get no attention.
    """
    heads, columns = len(calibration.heads), np.cumsum([0, *counts])
    left_out = [  # tokens, and the columns of their question
        (passages.bounds[skip.start], passages.bounds[skip.stop], slice(first, last))
        for skip, (first, last) in zip(skips, pairwise(columns), strict=True)
    ]

    def attended(tokens: slice) -> Tensor:
        block = logits(tokens)
        for first, last, asked in left_out:
            inside = slice(max(first - tokens.start, 0), max(last - tokens.start, 0))
            block.view(len(block), heads, -1)[inside, :, asked] = -torch.inf
        return block

    return softmax_peaks(attended, heads * sum(counts), passages)


def summed(
    shares: Tensor, counts: Sequence[int], calibration: Calibration, passages: Passages
) -> Tensor:
    """Scores of sentences from their shares of attention: ``f32[Q, A]``.

    Neighbours share theirs. The shares are summed over question tokens; sums are standardised and
    averaged with the weights of the heads.

    Args:
        shares: ``f32[A, H · n]``, see `shares_of`.
        counts: Tokens of each of Q questions, n together.
        calibration: Holds the weights of the H heads.
        passages: The A sentences of the text.
    """
    weights = calibration.head_weights / calibration.head_weights.sum()
    smooth = passages.smooth(shares, REACH, POWER).view(len(passages), len(weights), -1)
    return torch.stack(
        [standardise(part.sum(2)) @ weights for part in torch.split(smooth, [*counts], 2)]
    )


def softmax_peaks(logits: Callable[[slice], Tensor], rows: int, passages: Passages) -> Tensor:
    """Greatest attention of each question token inside each sentence, ``f32[A, rows]``.

    One pass over the text: maxima of the logits for each sentence, and a running sum for the
    softmax, so that what is held at a time is one block of tokens.
    """
    best = torch.full((len(passages), rows), -torch.inf)
    highest = torch.full((rows,), -torch.inf)
    mass = torch.zeros(rows)
    for first, last in blocks(passages.bounds):
        block = logits(slice(int(passages.bounds[first]), int(passages.bounds[last])))
        rises = np.diff(passages.bounds[first : last + 1]) > 0  # a sentence may own no token
        starts = (passages.bounds[first:last] - passages.bounds[first])[rises]
        inside = torch.from_numpy(np.maximum.reduceat(block.numpy(), starts))
        best[first:last][torch.from_numpy(rises)] = inside
        higher = torch.maximum(highest, inside.amax(0)).clamp_min(_LOWEST)
        mass = mass * torch.exp(highest - higher) + torch.exp(block - higher).sum(0)
        highest = higher
    return torch.exp(best - (highest + torch.log(mass.clamp_min(_TINY))))


def blocks(bounds: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of whole sentences that hold some thousands of tokens each, none without tokens.

    Args:
        bounds: ``int64[A + 1]``, of `Passages`.
    """
    first, count = 0, len(bounds) - 1
    while first < count:
        last = int(np.searchsorted(bounds, bounds[first] + _BLOCK_TOKENS, side="right")) - 1
        last = min(max(last, first + 1), count)
        if bounds[last] > bounds[first]:
            yield first, last
        first = last
