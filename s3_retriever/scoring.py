"""Scores of sentences from codes: attention through the codes, and the paper's co-activation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3_retriever.codec import Bank, Codes
    from s3_retriever.passages import Passages

REACH = 200.0
"""Characters over which neighbouring sentences share evidence; chosen on the calibration set."""

POWER = 2.5
"""Between adding neighbours up (1) and taking the best (large); chosen on the calibration set."""

NOTHING = slice(0, 0)
"""No sentences."""

_BLOCK_TOKENS = 4096


def standardise(scores: Tensor) -> Tensor:
    """Bring scores over all sentences (the first dimension) to mean 0 and deviation 1."""
    spread = scores.std(0, keepdim=True, correction=0)
    return (scores - scores.mean(0, keepdim=True)) / spread.clamp_min(1e-9)


def attention(
    queries: Tensor, bank: Bank, codes: Codes, passages: Passages, skip: slice = NOTHING
) -> Tensor:
    """Score sentences by late interaction through the codes.

    The logit of question token i at text token t is ``y_i · x̂_t``, with x̂ the key that the codes
    and their residual stand for: feature co-activation, weighted by how strongly the question
    attends to each feature. See `interact` for what becomes of the logits.

    Args:
        queries: ``f32[n, H, d]`` of the question's tokens.
        bank: The codec.
        codes: Of the T tokens of the text.
        passages: The A sentences of the text.
        skip: Sentences to leave out, as if they were not there.

    Returns:
        ``f32[A]``, a weighted mean of standardised scores.
    """
    calibration = bank.calibration
    y, reads = calibration.queries(queries), calibration.reads

    def logits(tokens: slice) -> Tensor:
        x = bank.decode(codes.rows(tokens))
        return torch.cat([x[:, tap] @ y[:, head].T for head, tap in enumerate(reads)], dim=1)

    per_head = interact(logits, len(reads), len(queries), passages, skip)
    return combine(per_head, calibration.head_weights)


def combine(per_head: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean ``f32[A]`` of the standardised scores ``f32[A, H]`` of heads."""
    return standardise(per_head) @ (weights / weights.sum())


def interact(
    logits: Callable[[slice], Tensor],
    heads: int,
    tokens: int,
    passages: Passages,
    skip: slice = NOTHING,
) -> Tensor:
    """Late interaction of heads: ``f32[A, heads]``.

    Each question token spends one unit of attention, a softmax over the whole text; a sentence
    keeps its greatest share, neighbours share theirs, and shares are summed over question tokens.

    Args:
        logits: Gives ``f32[t, heads · tokens]`` for a slice of t text tokens.
        heads: How many heads the columns belong to.
        tokens: Question tokens of each head.
        passages: The A sentences of the text.
        skip: Sentences that get no attention.
    """
    shares = softmax_peaks(logits, heads * tokens, passages, skip)
    smooth = passages.smooth(shares, REACH, POWER)
    return smooth.view(len(passages), heads, tokens).sum(2)


def softmax_peaks(
    logits: Callable[[slice], Tensor], rows: int, passages: Passages, skip: slice = NOTHING
) -> Tensor:
    """Greatest attention of each question token inside each sentence, ``f32[A, rows]``.

    One pass over the text: maxima of the logits for each sentence, and a running sum for the
    softmax, so that what is held at a time is one block of tokens.
    """
    best = torch.full((len(passages), rows), -torch.inf)
    highest = torch.full((rows,), -torch.inf)
    mass = torch.zeros(rows)
    for first, last in blocks(passages.bounds, skip):
        block = logits(slice(int(passages.bounds[first]), int(passages.bounds[last])))
        sizes = torch.from_numpy(np.diff(passages.bounds[first : last + 1]))
        inside = torch.segment_reduce(block, "max", lengths=sizes, initial=-torch.inf)
        best[first:last] = inside
        higher = torch.maximum(highest, inside.amax(0))
        mass = mass * torch.exp(highest - higher) + torch.exp(block - higher).sum(0)
        highest = higher
    return torch.exp(best - (highest + torch.log(mass)))


def blocks(bounds: np.ndarray, skip: slice = NOTHING) -> Iterator[tuple[int, int]]:
    """Ranges of whole sentences that hold some thousands of tokens each, none without tokens.

    Args:
        bounds: ``int64[A + 1]``, of `Passages`.
        skip: Sentences that no range holds.
    """
    yield from _blocks(bounds, 0, skip.start)
    yield from _blocks(bounds, skip.stop, len(bounds) - 1)


def _blocks(bounds: np.ndarray, first: int, count: int) -> Iterator[tuple[int, int]]:
    while first < count:
        last = int(np.searchsorted(bounds, bounds[first] + _BLOCK_TOKENS, side="right")) - 1
        last = min(max(last, first + 1), count)
        if bounds[last] > bounds[first]:
            yield first, last
        first = last


def coactivation(
    queries: Tensor, bank: Bank, codes: Codes, passages: Passages, skip: slice = NOTHING
) -> Tensor:
    """Score sentences by feature co-activation, equation 7 of arXiv 2601.17702.

    ``S[t] = Σ_f∈question 1[t ∈ post(f)] · w_f · IDF(f)`` with ``IDF(f) = 1/(log(1 + freq(f)) +
    1)``, the question's features those its own queries activate in the same SAEs, w_f their
    summed activations. A sentence takes its best token; neighbours share. The residual is not
    read.

    Arguments and result are those of `attention`.
    """
    total = torch.zeros(len(codes.values))
    for site, (active, strength) in enumerate(bank.encode_queries(queries)):
        slots, count = bank.slots(site), bank.saes[site].n_latents
        weights = torch.zeros(count)
        weights.index_add_(0, active.flatten().long(), strength.flatten().float())
        ids, used = codes.latents[:, slots].long(), codes.values[:, slots] > 0
        freq = torch.bincount(ids[used], minlength=count).float()
        weights /= torch.log1p(freq) + 1
        total += (weights[ids] * used).sum(1)
    best = torch.segment_reduce(
        total, "max", lengths=torch.from_numpy(np.diff(passages.bounds)), initial=0.0
    )
    best[skip] = 0
    return standardise(passages.smooth(best, REACH, POWER))
