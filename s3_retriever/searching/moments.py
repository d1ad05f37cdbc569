"""Mean and deviation of numbers, also of those that lie in several places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_LEAST = 1e-9  # deviation


@dataclass(frozen=True, eq=False)
class Moments:
    """Of A numbers, or of A rows of them.

    Attributes:
        count: A.
        mean: ``f[…]``.
        variance: ``f[…]``, mean square of what is off it.
    """

    count: int
    mean: Tensor
    variance: Tensor

    @classmethod
    def and_centred(cls, rows: Tensor) -> tuple[Self, Tensor]:
        """Moments over the first dimension of ``f[A, …]``, and rows less the mean."""
        if not len(rows):
            nothing = torch.zeros(rows.shape[1:])
            return cls(0, nothing, nothing), rows
        mean = rows.mean(0)
        centred = rows - mean  # on a CPU several times as fast as torch.var_mean
        return cls(len(rows), mean, centred.square().mean(0)), centred

    @classmethod
    def of(cls, rows: Tensor) -> Self:
        """Moments over the first dimension of ``f[A, …]``."""
        return cls.and_centred(rows)[0]

    @classmethod
    def of_some(cls, numbers: Tensor, count: int) -> Self:
        """Of ``f[C]``, and zeros, together `count`."""
        exact = numbers.double()
        mean = exact.sum() / count
        square = (exact - mean).square().sum() + (count - len(exact)) * mean**2
        return cls(count, mean, square / count)

    @property
    def deviation(self) -> Tensor:
        """``f[…]``, never 0."""
        return self.variance.clamp_min(0).sqrt().clamp_min(_LEAST)

    def standardised(self, rows: Tensor) -> Tensor:
        """How many deviations rows ``f[a, …]`` are above the mean, in their own type."""
        return ((rows - self.mean) / self.deviation).to(rows.dtype)


def joined_moments(values: Sequence[Moments]) -> Moments:
    """Moments of all together (Chan, Golub and LeVeque's update, for any number of parts)."""
    if len(values) == 1:
        return values[0]
    count = sum(own.count for own in values)
    shares = [own.count / max(count, 1) for own in values]
    means = [own.mean.double() for own in values]
    mean = torch.stack([share * own for share, own in zip(shares, means, strict=True)]).sum(0)
    apart = [
        share * (own.variance.double() + (own.mean.double() - mean).square())
        for share, own in zip(shares, values, strict=True)
    ]
    return Moments(count, mean, torch.stack(apart).sum(0))
