"""What the SAEs leave over of a key, at two bits a number.

A TopK code keeps what many keys have in common and drops what is particular to one: a rare name, a
figure. Those are what a question asks for, so the code's error costs more recall than its size
says. The residual ``x - x̂`` restores them: a gain for each token, a scale for each input, and four
even levels, the uniform quantiser of least error for a normal variable (Max 1960).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from s3_retriever.errors import InputError

STEP = 0.9957
"""Distance of the levels, in standard deviations (Max 1960, table II, four levels)."""

_PER_BYTE = 4


@dataclass(frozen=True, eq=False, kw_only=True)
class Residual:
    """Quantiser of the residuals of all taps together.

    Attributes:
        scale: ``f32[D]``, root mean square of each input's residual, above 0; D = N · d.
        gain_scale: A token's gain is ``gain_scale · q²`` with q its stored byte.

    Raises:
        InputError: a scale that is not positive and finite.
    """

    scale: Tensor
    gain_scale: float

    def __post_init__(self) -> None:
        good = bool(torch.isfinite(self.scale).all()) and bool((self.scale > 0).all())
        if not good or not 0 < self.gain_scale < float("inf"):
            raise InputError("residual: scales must be positive and finite")

    @property
    def width(self) -> int:
        """Bytes for each token: one for the gain, and one for each four inputs."""
        return 1 + -(-len(self.scale) // _PER_BYTE)

    def encode(self, left: Tensor) -> Tensor:
        """Quantise residuals ``[R, D]`` to ``uint8[R, width]``."""
        relative = left.float() / self.scale.to(left.device)
        gain = relative.square().mean(1, keepdim=True).sqrt()
        q = (gain / self.gain_scale).sqrt().round().clamp(1, 255)
        levels = torch.floor(relative / (STEP * self._gain(q))).add(2).clamp(0, 3).to(torch.uint8)
        short = -levels.shape[1] % _PER_BYTE
        quads = torch.nn.functional.pad(levels, (0, short)).view(len(levels), -1, _PER_BYTE)
        packed = quads[..., 0] | quads[..., 1] << 2 | quads[..., 2] << 4 | quads[..., 3] << 6
        return torch.cat((q.to(torch.uint8), packed), 1)

    def decode(self, stored: Tensor) -> Tensor:
        """Restore residuals ``f32[R, D]`` from ``uint8[R, width]``."""
        levels, gain = self.levels(stored)
        return levels.mul_(self.scale.to(stored.device)).mul_(gain)

    def levels(self, stored: Tensor) -> tuple[Tensor, Tensor]:
        """What is stored, before it is scaled.

        Args:
            stored: ``uint8[R, width]``.

        Returns:
            Levels ``f32[R, D]`` in standard deviations, and gains ``f32[R, 1]``; the residual is
            their product with `scale`.
        """
        quads = _table(stored.device).index_select(0, stored[:, 1:].flatten().int())
        levels = quads.view(torch.float32).view(len(stored), -1)[:, : len(self.scale)]
        return levels, self._gain(stored[:, :1])

    def to(self, device: torch.device | str) -> Residual:
        """Return a copy with the tensor on `device`."""
        return replace(self, scale=self.scale.to(device))

    def _gain(self, q: Tensor) -> Tensor:
        return self.gain_scale * q.float().square()


@cache
def _table(device: torch.device) -> Tensor:
    """Lookup table from a byte to its four levels, ``complex128[256]``.

    The four floats are stored as one complex128 so that one gather moves 16 bytes, several times
    faster than rows of four numbers; this is no complex arithmetic.
    """
    byte = torch.arange(256)[:, None]
    quads = ((byte >> torch.tensor([0, 2, 4, 6]) & 3) - 1.5) * STEP
    return quads.view(torch.complex128).flatten().to(device)


def fit_residual(left: Tensor) -> Residual:
    """Fit a quantiser to residuals like these, ``[R, D]``."""
    rows = left.float()
    scale = rows.square().mean(0).sqrt().clamp_min(1e-6)
    gain = (rows / scale).square().mean(1).sqrt()
    place = max(1, round(0.9999 * len(gain)))
    highest = max(float(gain.kthvalue(place).values), 1e-6)
    return Residual(scale=scale, gain_scale=highest / 255**2)
