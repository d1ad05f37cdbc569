"""Scores of sentences by what they mean: vectors made of the codes, and one of the question."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch.nn.functional import normalize

from s3_retriever.codec.codes import JoinedCodes, TokenCodes
from s3_retriever.errors import InputError
from s3_retriever.fork import renew_after_fork
from s3_retriever.searching.attention import blocks
from s3_retriever.searching.fusion import standardise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from s3_retriever.codec import Bank
    from s3_retriever.codec.sentences import SentenceHead
    from s3_retriever.config import Weighing
    from s3_retriever.searching.scorer import Asked, IndexedText

_BLOCK_TOKENS = 8192


class MeaningScorer:
    """Cosine of a sentence, with what stands near it, and the question.

    The vectors are those of `s3_retriever.codec.sentences`.

    Args:
        text: What is searched.
        sums: ``f32[A, E]`` of its sentences, see `sentence_sums`; those of its codes by default.

    Raises:
        InputError: the bank has no head for it.
    """

    def __init__(self, text: IndexedText, sums: Tensor | None = None) -> None:
        self._text, self._head = text, head_of(text.bank)
        self._sums = text.sums.of(text) if sums is None else sums
        self._near: tuple[float, Tensor] | None = None

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`."""
        calibration = self._text.bank.calibration
        asks = [self._head.question(calibration.queries(question.queries)) for question in asked]
        cosines = self._vectors(weighing.meaning_reach) @ torch.stack(asks).T
        return standardise(cosines).T[:, torch.from_numpy(candidates)]

    def _vectors(self, reach: float) -> Tensor:
        """``f32[A, E]`` of length 1; no question has a part in them, so the last are kept."""
        kept = self._near
        if kept is None or kept[0] != reach:
            near = self._text.passages.spread(self._sums, reach)
            self._near = kept = reach, normalize(near, dim=1)
        return kept[1]


class SentenceSums:
    """What the tokens of each sentence add up to, made once for each document."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[TokenCodes, Tensor] = WeakKeyDictionary()
        self._renew_lock()
        renew_after_fork(self, SentenceSums._renew_lock)

    def _renew_lock(self) -> None:
        self._making = RLock()

    def of(self, text: IndexedText) -> Tensor:
        """Sums over the tokens of each sentence, ``f32[A, E]``.

        Args:
            text: All texts that are asked for have the same bank.

        Raises:
            InputError: the bank has no head for it.
        """
        head, passages = head_of(text.bank), text.passages
        with self._making:
            new = [n for n, codes in enumerate(text.codes.parts) if codes not in self._made]
            owned = [np.diff(passages.bounds)[passages.of_document(number)] for number in new]
            codes = JoinedCodes([text.codes.parts[number] for number in new])

            def keys(tokens: slice) -> Tensor:
                return text.bank.decode(codes.rows(tokens))

            if new:
                sums = sentence_sums(np.cumsum([0, *np.concatenate(owned)]), head, keys)
                for part, own in zip(
                    codes.parts, torch.split(sums, [*map(len, owned)]), strict=True
                ):
                    self._made[part] = own
            return torch.cat([self._made[codes] for codes in text.codes.parts])


def head_of(bank: Bank) -> SentenceHead:
    """The sentence head of a bank.

    Raises:
        InputError: it has none.
    """
    if bank.sentences is None:
        raise InputError("this bank cannot score meaning; train a new one")
    return bank.sentences


def sentence_sums(
    bounds: np.ndarray, head: SentenceHead, keys: Callable[[slice], Tensor]
) -> Tensor:
    """What the tokens of each sentence add up to, ``f32[A, E]``.

    Args:
        bounds: ``int64[A + 1]``; sentence a owns tokens ``bounds[a]`` to ``bounds[a + 1]``.
        head: Of the bank.
        keys: Gives calibrated keys ``f32[t, N, d]`` for a slice of t tokens.
    """
    sums = torch.zeros(len(bounds) - 1, head.size)
    for first, last in blocks(bounds, _BLOCK_TOKENS):
        added = head.keys(keys(slice(int(bounds[first]), int(bounds[last]))).flatten(1))
        sizes = torch.from_numpy(np.diff(bounds[first : last + 1]))
        sums[first:last] = torch.segment_reduce(added, "sum", lengths=sizes, initial=0.0)
    return sums
