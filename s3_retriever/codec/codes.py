"""Sparse codes: of rows of keys, and of the tokens of a document."""

from __future__ import annotations

from dataclasses import dataclass
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
        """Those of some tokens, without a copy."""
        return Codes(self.latents[which], self.values[which], self.residual[which], self.finite)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class TokenCodes:
    """The sparse codes of one document; compared and hashed by identity.

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


class JoinedCodes:
    """The codes of several documents end to end; only what is read is copied.

    Args:
        parts: Of each document, in order.

    Attributes:
        parts: As given.
        bounds: ``int64[D + 1]``; document number ``i`` owns the rows ``bounds[i]`` to
            ``bounds[i + 1]``.
    """

    def __init__(self, parts: Sequence[TokenCodes]) -> None:
        self.parts = tuple(parts)
        self.bounds = np.cumsum([0, *map(len, self.parts)])

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def rows(self, which: slice) -> Codes:
        """Return the codes of the tokens `which`, in memory of their own.

        A document may be mapped from a file: no more of it is read than these rows.
        """
        start, stop, _ = which.indices(len(self))
        most = len(self.parts) - 1
        first = min(int(np.searchsorted(self.bounds, start, side="right")) - 1, most)
        last = min(max(int(np.searchsorted(self.bounds, stop)) - 1, first), most)
        taken = []
        for part, begin in zip(
            self.parts[first : last + 1], self.bounds[first : last + 1].tolist(), strict=True
        ):
            taken.append((part, slice(max(start - begin, 0), max(stop - begin, 0))))
        return _copied(taken)

    def ranges(self, starts: np.ndarray, stops: np.ndarray) -> Codes:
        """Return the codes of several ranges of tokens, end to end, in memory of their own.

        Args:
            starts: ``int64[C]``, ascending.
            stops: ``int64[C]``; no range overlaps the next.
        """
        pieces: list[tuple[TokenCodes, slice]] = []
        firsts = np.searchsorted(self.bounds, starts, side="right") - 1
        bounds = self.bounds.tolist()
        for number, start, stop in zip(
            firsts.tolist(), starts.tolist(), stops.tolist(), strict=True
        ):
            while start < stop:
                begin, end = bounds[number], bounds[number + 1]
                own = slice(start - begin, min(stop, end) - begin)
                pieces.append((self.parts[number], own))
                start, number = max(end, start), number + 1
        return _copied(pieces or [(self.parts[0], slice(0, 0))])


def _copied(pieces: Sequence[tuple[TokenCodes, slice]]) -> Codes:
    """The codes of pieces of documents, end to end."""
    latents, values, residual = (
        torch.from_numpy(np.concatenate([getattr(part, name)[own] for part, own in pieces]))
        for name in ("latents", "values", "residual")
    )
    return Codes(latents, values, residual, torch.tensor(True))
