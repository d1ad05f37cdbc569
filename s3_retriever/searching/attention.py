"""Scores of sentences by attention through the codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from s3_retriever.codec import QueryWeights
from s3_retriever.searching.fusion import standardise
from s3_retriever.searching.passages import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3_retriever.codec import Calibration
    from s3_retriever.config import Weighing
    from s3_retriever.searching.passages import Passages
    from s3_retriever.searching.scorer import Asked, IndexedText

_LOWEST, _TINY = -1e30, 1e-30  # where all tokens are left out
_BLOCK_TOKENS = 4096


LogitsOf: TypeAlias = "Callable[[Tensor], Callable[[slice], Tensor]]"
"""Makes, of queries ``f32[n, H, d]``, what gives logits ``f32[t, H · n]`` for a slice of t tokens
of the text."""


def coded_logits(text: IndexedText) -> LogitsOf:
    """Logits through the codes.

    The logit of question token i at text token t is ``y_i · x̂_t``, with x̂ the key that the codes
    and their residual stand for: feature co-activation, weighted by how strongly the question
    attends to each feature (`QueryWeights`).
    """

    def of(queries: Tensor) -> Callable[[slice], Tensor]:
        weights = QueryWeights(text.bank, queries)
        return lambda tokens: weights.logits(text.codes.rows(tokens))

    return of


class AttentionScorer:
    """Scores sentences by late interaction; `shares_of` and `summed` make scores of the logits.

    Args:
        text: What is searched.
        logits: Of its tokens; `coded_logits` by default.
    """

    def __init__(self, text: IndexedText, logits: LogitsOf | None = None) -> None:
        self._text, self._logits = text, logits or coded_logits(text)

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`; all questions in one pass over the text."""
        text, calibration = self._text, self._text.bank.calibration
        logits = self._logits(torch.cat([question.queries for question in asked]))
        shares = shares_of(logits, asked, calibration, text.passages)
        scores = summed(shares, asked, calibration, text.passages, weighing)
        return scores[:, torch.from_numpy(candidates)]


def shares_of(
    logits: Callable[[slice], Tensor],
    asked: Sequence[Asked],
    calibration: Calibration,
    passages: Passages,
) -> Tensor:
    """What each sentence gets of the attention of each question token: ``f32[A, H · n]``.

    Each question token spends one unit of attention, a softmax over the whole text; a sentence
    keeps its greatest share.

    Args:
        logits: Gives ``f32[t, H · n]`` for a slice of t text tokens, all questions' tokens of a
            head side by side.
        asked: Q questions of n tokens together.
        calibration: Of the H heads.
        passages: The A sentences of the text.
    """
    heads, columns = len(calibration.heads), np.cumsum([0, *map(_tokens, asked)])
    left_out = [  # tokens, and the columns of their question
        (passages.bounds[question.without.start], passages.bounds[question.without.stop], own)
        for question, own in zip(asked, map(slice, columns[:-1], columns[1:]), strict=True)
    ]

    def attended(tokens: slice) -> Tensor:
        block = logits(tokens)
        for first, last, own in left_out:
            inside = slice(max(first - tokens.start, 0), max(last - tokens.start, 0))
            block.view(len(block), heads, -1)[inside, :, own] = -torch.inf
        return block

    return softmax_peaks(attended, heads * int(columns[-1]), passages)


def summed(
    shares: Tensor,
    asked: Sequence[Asked],
    calibration: Calibration,
    passages: Passages,
    weighing: Weighing,
) -> Tensor:
    """Scores of sentences from their shares of attention: ``f32[Q, A]``.

    Neighbours share theirs. The shares are summed over question tokens; sums are standardised and
    averaged with the weights of the heads.

    Args:
        shares: ``f32[A, H · n]``, see `shares_of`.
        asked: Q questions of n tokens together.
        calibration: Holds the weights of the H heads.
        passages: The A sentences of the text.
        weighing: How far neighbours share.
    """
    weights = calibration.head_shares
    smooth = passages.smooth(shares, weighing.reach, weighing.power)
    columns = torch.split(smooth.view(len(passages), len(weights), -1), [*map(_tokens, asked)], 2)
    return torch.stack([standardise(part.sum(2)) @ weights for part in columns])


def _tokens(asked: Asked) -> int:
    return len(asked.queries)


def softmax_peaks(
    logits: Callable[[slice], Tensor],
    rows: int,
    passages: Passages,
    block_tokens: int = _BLOCK_TOKENS,
) -> Tensor:
    """Greatest attention of each question token inside each sentence, ``f32[A, rows]``.

    One pass over the text: maxima of the logits for each sentence, and a running sum for the
    softmax, so that what is held at a time is one block of tokens.
    """
    best = torch.full((len(passages), rows), -torch.inf)
    highest = torch.full((rows,), -torch.inf)
    mass = torch.zeros(rows)
    for first, last in blocks(passages.bounds, block_tokens):
        block = logits(slice(int(passages.bounds[first]), int(passages.bounds[last])))
        rises = np.diff(passages.bounds[first : last + 1]) > 0  # a sentence may own no token
        starts = (passages.bounds[first:last] - passages.bounds[first])[rises]
        inside = torch.from_numpy(np.maximum.reduceat(block.numpy(), starts))
        best[first:last][torch.from_numpy(rises)] = inside
        higher = torch.maximum(highest, inside.amax(0)).clamp_min(_LOWEST)
        mass = mass * torch.exp(highest - higher) + torch.exp(block - higher).sum(0)
        highest = higher
    return torch.exp(best - (highest + torch.log(mass.clamp_min(_TINY))))
