"""Scores of sentences by what they mean: vectors made of the codes, and one of the question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize

from s3_retriever.errors import InputError
from s3_retriever.searching.attention import blocks
from s3_retriever.searching.fusion import standardise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import Tensor

    from s3_retriever.codec.sentences import SentenceHead
    from s3_retriever.config import Weighing
    from s3_retriever.searching.scorer import Asked, IndexedText

_BLOCK_TOKENS = 8192


class MeaningScorer:
    """Cosine of a sentence, with what stands near it, and the question.

    The vectors are those of `s3_retriever.codec.sentences`; sums over the tokens of each sentence
    are made once for a text.

    Args:
        text: What is searched.
        keys: Gives calibrated keys ``f32[t, N, d]`` for a slice of t text tokens; those that the
            codes stand for, unless given.

    Raises:
        InputError: the bank has no head for it.
    """

    def __init__(self, text: IndexedText, keys: Callable[[slice], Tensor] | None = None) -> None:
        head = text.bank.sentences
        if head is None:
            raise InputError("this bank cannot score meaning; train a new one")
        self._text, self._head = text, head
        self._sums = sentence_sums(text, head, keys or _decoded(text))
        self._near: tuple[float, Tensor] | None = None

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`."""
        calibration = self._text.bank.calibration
        asks = [self._head.question(calibration.queries(question.queries)) for question in asked]
        cosines = self._vectors(weighing.meaning_reach) @ torch.stack(asks).T
        return standardise(cosines).T[:, torch.from_numpy(candidates)]

    def _vectors(self, reach: float) -> Tensor:
        """Directions of sentences with what stands near them, ``f32[A, E]``; the last are kept."""
        known = self._near
        if known is None or known[0] != reach:
            known = reach, normalize(self._text.passages.spread(self._sums, reach), dim=1)
            self._near = known
        return known[1]


def sentence_sums(text: IndexedText, head: SentenceHead, keys: Callable[[slice], Tensor]) -> Tensor:
    """What the tokens of each sentence add up to, ``f32[A, E]``.

    Args:
        text: The sentences.
        head: Of the bank.
        keys: Of a slice of tokens, as for `MeaningScorer`.
    """
    bounds = text.passages.bounds
    sums = torch.zeros(len(text.passages), head.size)
    for first, last in blocks(bounds, _BLOCK_TOKENS):
        added = head.keys(keys(slice(int(bounds[first]), int(bounds[last]))).flatten(1))
        sizes = torch.from_numpy(bounds[first + 1 : last + 1] - bounds[first:last])
        sums[first:last] = torch.segment_reduce(added, "sum", lengths=sizes, initial=0.0)
    return sums


def _decoded(text: IndexedText) -> Callable[[slice], Tensor]:
    return lambda tokens: text.bank.decode(text.codes.rows(tokens))
