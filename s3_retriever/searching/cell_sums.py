"""What a first look sums up over a text, so that several texts can be added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from s3_retriever.searching.group import LogSum, added, joined_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, eq=False)
class CellSums:
    """Of a softmax, as cells tell it.

    Attributes:
        sum: ``f32[H, n]``, of the weights of tokens that are as their cell's mean key.
        variance: ``f32[H, n]``, of logits inside cells, added up over tokens.
        tokens: Their number.
    """

    sum: LogSum
    variance: Tensor
    tokens: int

    @classmethod
    def of_heads(cls, heads: Sequence[CellSums]) -> Self:
        """Those of H heads, ``f32[n]`` each."""
        found = LogSum(
            torch.stack([own.sum.highest for own in heads]),
            torch.stack([own.sum.mass for own in heads]),
        )
        return cls(found, torch.stack([own.variance for own in heads]), heads[0].tokens)


def joined_cell_sums(values: Sequence[CellSums]) -> CellSums:
    """Those of several texts."""
    whole = joined_sums([own.sum for own in values])
    variance = added([own.variance for own in values])
    return CellSums(whole, variance, sum(own.tokens for own in values))


@dataclass(frozen=True, eq=False)
class ReadSums:
    """Of a softmax, as the codes of some tokens tell it.

    Attributes:
        taken: ``f32[H, n]``, the share that cells gave to these tokens.
        sum: ``f32[H, n]``, of what they have.
    """

    taken: Tensor
    sum: LogSum

    @property
    def log_mass(self) -> Tensor:
        """``f32[H, n]``: logarithm of the sum of all tokens, over that which cells tell."""
        rest = torch.log((1 - self.taken).clamp_min(1e-30))
        return torch.logaddexp(rest, self.sum.log)


def joined_read_sums(values: Sequence[ReadSums]) -> ReadSums:
    """Those of several texts."""
    return ReadSums(added([own.taken for own in values]), joined_sums([own.sum for own in values]))
