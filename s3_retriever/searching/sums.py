"""Vectors of sentences before they are scored: what their tokens add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from s3_retriever.errors import InputError
from s3_retriever.searching.passages import blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from s3_retriever.codec import Bank
    from s3_retriever.codec.sentences import SentenceHead

_BLOCK_TOKENS = 8192


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
        own = keys(slice(int(bounds[first]), int(bounds[last])))
        sums[first:last] = block_sums(np.diff(bounds[first : last + 1]), head, own)
    return sums


def block_sums(sizes: np.ndarray, head: SentenceHead, keys: Tensor) -> Tensor:
    """The sums of some sentences, ``f32[a, E]``.

    Args:
        sizes: ``int64[a]``, tokens of each.
        head: Of the bank.
        keys: Of all of them, end to end, ``f32[t, N, d]``.
    """
    added = head.keys(keys.flatten(1))
    return torch.segment_reduce(added, "sum", lengths=torch.from_numpy(sizes), initial=0.0)
