"""Sparse codes: of rows of keys, and of the tokens of a document."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

ARRAYS = ("latents", "values", "residual", "starts", "ends")
"""Names of the arrays of a document's codes."""


@dataclass(frozen=True, slots=True)
class Codes:
    """What is kept of the keys of R tokens.

    Attributes:
        latents: ``uint16[R, S]``; ids local to the SAE whose `Bank.slots` the columns are,
            ascending within those.
        values: ``uint8[R, S]``; see `Sae.dequantise`; 0 in a slot that is not used.
        residual: ``uint8[R, W]``; see `Residual`; W is 0 in a bank without one.
        finite: ``bool[]``; false if a key was NaN or infinite. True on the CPU, where that raises
            at once; on an accelerator it is left to the reader of the codes (`check_finite`), so
            that encoding does not wait for the device.
    """

    latents: Tensor
    values: Tensor
    residual: Tensor
    finite: Tensor

    def rows(self, which: slice) -> Codes:
        """Return the codes of some of the tokens."""
        parts = (self.latents[which], self.values[which], self.residual[which])
        return Codes(*parts, self.finite)


@dataclass(frozen=True, slots=True)
class TokenCodes:
    """The sparse codes of one document.

    Attributes:
        latents: uint16[T, S]; latent ids, local to the SAE whose slots the columns are.
        values: uint8[T, S]; quantised activations, 0 where a slot is empty.
        residual: uint8[T, W]; what the latents leave over; W is 0 in a bank without it.
        starts: int32[T]; first character of each token in the document's ``str``.
        ends: int32[T]; one past its last character.
    """

    latents: np.ndarray
    values: np.ndarray
    residual: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(self, name).nbytes for name in ARRAYS)


def join(parts: Sequence[TokenCodes]) -> Codes:
    """The codes of several documents as one, each kind in one array."""
    latents, values, residual = (
        torch.from_numpy(np.concatenate([getattr(codes, name) for codes in parts]))
        for name in ("latents", "values", "residual")
    )
    return Codes(latents, values, residual, torch.tensor(True))


def split(whole: Codes, parts: Sequence[TokenCodes]) -> tuple[TokenCodes, ...]:
    """The codes of the documents that were joined, as views of the whole."""
    arrays = (whole.latents, whole.values, whole.residual)
    cuts = np.cumsum([len(codes) for codes in parts])[:-1]
    views = zip(*(np.split(array.numpy(), cuts) for array in arrays), strict=True)
    return tuple(
        replace(codes, latents=latents, values=values, residual=residual)
        for codes, (latents, values, residual) in zip(parts, views, strict=True)
    )
