"""Vectors of sentences before they are scored: what their tokens add up to."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch

from s3_retriever.codec.codes import JoinedCodes, TokenCodes
from s3_retriever.errors import InputError
from s3_retriever.fork import renew_after_fork
from s3_retriever.searching.passages import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from s3_retriever.codec import Bank
    from s3_retriever.codec.sentences import SentenceHead
    from s3_retriever.searching.passages import Passages

_BLOCK_TOKENS = 8192


class SentenceSums:
    """What the tokens of each sentence add up to, made once for each document."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[TokenCodes, Tensor] = WeakKeyDictionary()
        self._renew_lock()
        renew_after_fork(self, SentenceSums._renew_lock)

    def _renew_lock(self) -> None:
        self._making = Lock()

    def of(self, passages: Passages, codes: JoinedCodes, bank: Bank) -> Tensor:
        """Sums over the tokens of each sentence, ``f32[A, E]``.

        Args:
            passages: The A sentences.
            codes: Of their tokens, a part for each document.
            bank: The same whatever text is asked for.

        Raises:
            InputError: the bank has no head for it.
        """
        head = head_of(bank)
        with self._making:
            new = [number for number, part in enumerate(codes.parts) if part not in self._made]
            if new:
                self._make(passages, codes, new, bank, head)
            return torch.cat([self._made[part] for part in codes.parts])

    def _make(
        self,
        passages: Passages,
        codes: JoinedCodes,
        numbers: Sequence[int],
        bank: Bank,
        head: SentenceHead,
    ) -> None:
        """Make those of some documents, all of them together."""
        parts = JoinedCodes([codes.parts[number] for number in numbers])
        owned = [np.diff(passages.bounds)[passages.of_document(number)] for number in numbers]

        def keys(tokens: slice) -> Tensor:
            return bank.decode(parts.rows(tokens))

        sums = sentence_sums(np.cumsum([0, *np.concatenate(owned)]), head, keys)
        self._made.update(zip(parts.parts, torch.split(sums, [*map(len, owned)]), strict=True))


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
