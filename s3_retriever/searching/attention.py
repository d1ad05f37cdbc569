"""Scores of sentences by attention through the codes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from s3_retriever.codec import QueryWeights
from s3_retriever.searching.fusion import ALONE, standardise
from s3_retriever.searching.group import LOWEST, LogSum, joined_sums
from s3_retriever.searching.passages import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from s3_retriever.codec import Bank, Calibration, Codes
    from s3_retriever.codec.codes import JoinedCodes
    from s3_retriever.config import Weighing
    from s3_retriever.searching.group import Group
    from s3_retriever.searching.passages import Passages
    from s3_retriever.searching.scorer import Asked, IndexedText

_TINY = 1e-30  # where all tokens are left out
_BLOCK_TOKENS = 4096
_BLOCK_NUMBERS = 2**24  # what a block of question tokens may hold: 64 MiB, and a few times that


LogitsOf: TypeAlias = "Callable[[Tensor], Callable[[slice], Tensor]]"
"""Makes, of queries ``f32[n, H, d]``, what gives logits ``f32[t, H · n]`` for a slice of t tokens
of the text."""


def coded_logits(text: IndexedText, sentences: np.ndarray | None = None) -> LogitsOf:
    """Logits through the codes.

    The logit of question token i at text token t is ``y_i · x̂_t``, with x̂ the key that the codes
    and their residual stand for: feature co-activation, weighted by how strongly the question
    attends to each feature (`QueryWeights`). Where more tokens ask than a key has numbers, the
    keys themselves are put together.

    Args:
        text: What is searched.
        sentences: ``int64[C]``, ascending: the tokens are theirs, end to end, and no other codes
            are read; by default all of the text.
    """
    source: JoinedCodes | Codes = text.codes
    if sentences is not None:
        bounds = text.passages.bounds
        source = text.codes.ranges(bounds[sentences], bounds[sentences + 1])

    def of(queries: Tensor) -> Callable[[slice], Tensor]:
        asking = CodedQueries(text.bank, queries)
        return lambda tokens: asking.logits(source.rows(tokens))

    return of


class CodedQueries:
    """Queries that ask codes.

    Args:
        bank: With which the text was encoded.
        queries: ``f32[n, H, d]``, before rotary embedding.
    """

    def __init__(self, bank: Bank, queries: Tensor) -> None:
        calibration, self._bank = bank.calibration, bank
        self._weights: QueryWeights | None = None
        if queries.shape[0] * queries.shape[1] <= len(calibration.taps) * calibration.head_dim:
            self._weights = QueryWeights(bank, queries)
        self._y, self._reads = calibration.queries(queries), calibration.tap_of_head

    def logits(self, codes: Codes) -> Tensor:
        """Logits of all question tokens at the text tokens of some codes, ``f32[t, H · n]``."""
        if self._weights is not None:
            return self._weights.logits(codes)
        return logits_at(self._bank.decode(codes) - self._bank.offset, self._y, self._reads)


def logits_at(keys: Tensor, queries: Tensor, reads: Sequence[int]) -> Tensor:
    """Logits of question tokens at text tokens, ``f32[t, H · n]``.

    Args:
        keys: Calibrated, ``f32[t, N, d]``.
        queries: Calibrated, ``f32[n, H, d]``.
        reads: The tap that each head reads.
    """
    return torch.cat([keys[:, tap] @ queries[:, head].T for head, tap in enumerate(reads)], dim=1)


class AttentionScorer:
    """Scores sentences by late interaction.

    Neighbours share what they get of each question token's attention (`shares_of`). The shares are
    summed over question tokens; sums are standardised and averaged with the weights of the heads.

    Args:
        text: What is searched.
        logits: Of its tokens; `coded_logits` by default.
    """

    def __init__(self, text: IndexedText, logits: LogitsOf | None = None) -> None:
        self._text, self._logits = text, logits or coded_logits(text)

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`.

        Questions share passes over the text; long ones take several, so that what is held does not
        grow with them.
        """
        passages, weights = self._text.passages, self._text.bank.calibration.head_shares
        sums = torch.zeros(len(passages), len(asked), len(weights))
        for number, shares in share_blocks(self._text, self._logits, asked):
            sums[:, number] += passages.smooth(shares, weighing.reach, weighing.power).sum(2)
        scores = standardise(sums, self._text.group) @ weights
        return scores.T[:, torch.from_numpy(candidates)]


def share_blocks(
    text: IndexedText, logits: LogitsOf, asked: Sequence[Asked]
) -> Iterator[tuple[int, Tensor]]:
    """What sentences get of the attention of questions, some question tokens at a time.

    Args:
        text: What is searched.
        logits: Of its tokens.
        asked: Q questions.

    Yields:
        The number of a question and `shares_of` some of its tokens, ``f32[A, H, n']``.
    """
    calibration = text.bank.calibration
    heads = len(calibration.heads)
    rows = max(text.most_sentences, _BLOCK_TOKENS)
    for block in _blocks_of(asked, max(_BLOCK_NUMBERS // (rows * heads), 1)):
        pieces = [piece for _, piece in block]
        own = logits(torch.cat([piece.queries for piece in pieces]))
        shares = shares_of(own, pieces, calibration, text.passages, text.group)
        parts = torch.split(shares.view(len(shares), heads, -1), [*map(_tokens, pieces)], 2)
        yield from zip((number for number, _ in block), parts, strict=True)


def _blocks_of(asked: Sequence[Asked], most: int) -> Iterator[list[tuple[int, Asked]]]:
    """Questions and parts of questions, with their numbers, of at most so many tokens together."""
    block: list[tuple[int, Asked]] = []
    free = most
    for number, question in enumerate(asked):
        left = question.queries
        while len(left):
            block.append((number, replace(question, queries=left[:free])))
            left, free = left[free:], free - len(left[:free])
            if not free:
                yield block
                block, free = [], most
    if block:
        yield block


def shares_of(
    logits: Callable[[slice], Tensor],
    asked: Sequence[Asked],
    calibration: Calibration,
    passages: Passages,
    group: Group = ALONE,
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
        group: The texts that attention is spent on.
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

    return softmax_peaks(attended, heads * int(columns[-1]), passages.bounds, group=group)


def _tokens(asked: Asked) -> int:
    return len(asked.queries)


def softmax_peaks(
    logits: Callable[[slice], Tensor],
    rows: int,
    bounds: np.ndarray,
    block_tokens: int = _BLOCK_TOKENS,
    group: Group = ALONE,
) -> Tensor:
    """Greatest attention of each question token inside each sentence, ``f32[A, rows]``.

    One pass over the text: maxima of the logits for each sentence, and a running sum for the
    softmax, so that what is held at a time is one block of tokens.

    Args:
        logits: Gives ``f32[t, rows]`` for a slice of t text tokens.
        rows: Question tokens, of all heads.
        bounds: ``int64[A + 1]``, of sentences as in `Passages`.
        block_tokens: At a time.
        group: The texts over which the softmax goes.
    """
    best = torch.full((len(bounds) - 1, rows), -torch.inf)
    highest = torch.full((rows,), -torch.inf)
    mass = torch.zeros(rows)
    for first, last in blocks(bounds, block_tokens):
        block = logits(slice(int(bounds[first]), int(bounds[last])))
        rises = np.diff(bounds[first : last + 1]) > 0  # a sentence may own no token
        starts = (bounds[first:last] - bounds[first])[rises]
        inside = torch.from_numpy(np.maximum.reduceat(block.numpy(), starts))
        best[first:last][torch.from_numpy(rises)] = inside
        higher = torch.maximum(highest, inside.amax(0)).clamp_min(LOWEST)
        mass = mass * torch.exp(highest - higher) + torch.exp(block - higher).sum(0)
        highest = higher
    whole = group.merged(LogSum(highest.clamp_min(LOWEST), mass), joined_sums)
    return torch.exp(best - (whole.highest + torch.log(whole.mass.clamp_min(_TINY))))
