"""Rows of numbers at one byte each: what is kept of vectors that are looked at, not added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_MOST = 127


@dataclass(frozen=True, slots=True, eq=False)
class ByteRows:
    """R vectors; each number is off by at most 1/254 of the greatest of its row.

    Attributes:
        values: ``int8[R, d]``.
        scales: ``f32[R]``; row r stands for ``values[r] * scales[r]``.
    """

    values: np.ndarray
    scales: np.ndarray

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """Round vectors ``f32[R, d]``."""
        scales = x.abs().amax(1) / _MOST if x.shape[1] else torch.zeros(len(x))
        values = torch.round(x / scales.clamp_min(torch.finfo(torch.float32).tiny)[:, None])
        return cls(values.to(torch.int8).numpy(), scales.numpy())

    def __len__(self) -> int:
        return len(self.values)

    def tensor(self) -> Tensor:
        """The vectors, ``f32[R, d]``."""
        scaled = self.values.astype(np.float32)
        scaled *= self.scales[:, None]
        return torch.from_numpy(scaled)

    def some(self, rows: np.ndarray) -> ByteRows:
        """Some of the rows, by number or by a mask."""
        return ByteRows(self.values[rows], self.scales[rows])


def joined_rows(parts: Sequence[ByteRows]) -> ByteRows:
    """Rows end to end."""
    if len(parts) == 1:
        return parts[0]
    values, scales = zip(*((part.values, part.scales) for part in parts), strict=True)
    return ByteRows(np.concatenate(values), np.concatenate(scales))
