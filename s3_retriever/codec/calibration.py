"""Calibration: where a model is read, and the change of basis that makes keys comparable."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from s3_retriever.backbone.spec import Head, Tap
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3_retriever.codec.places import PlaceHead

TENSORS = ("head_weights", "key_mean", "query_mean", "whiten", "unwhiten")
"""Names of the tensors of a calibration."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Calibration:
    """Means, whitening and head weights of one model.

    With Σ the covariance of the queries at a tap, ``x = (k - key_mean) @ whiten`` and
    ``y = scaling · (q - query_mean) @ unwhiten``, where ``whiten = Σ^½`` and ``unwhiten = Σ^-½``,
    give ``y·x = scaling · (q - query_mean)·(k - key_mean)``: the centred attention logit. So an
    error in x is an error in the logit, in every direction alike.

    Attributes:
        taps: The N places where keys are read.
        heads: The H query heads that rank; each reads one of the taps.
        group: Query heads per key-value head of the model.
        head_weights: ``f32[H]``, at least 0.
        key_mean: ``f32[N, d]``.
        query_mean: ``f32[H, d]``.
        whiten: ``f32[N, d, d]``.
        unwhiten: ``f32[N, d, d]``.
        scaling: Factor between ``q·k`` and the attention logit.
        metadata: How it was made; JSON-serialisable.
        places: Finds the words of a question that name a document; None in old banks, where no
            question is seen to name one.

    Raises:
        InputError: shapes that do not fit, a head that reads none of the taps, a negative weight.
    """

    taps: tuple[Tap, ...]
    heads: tuple[Head, ...]
    group: int
    head_weights: Tensor
    key_mean: Tensor
    query_mean: Tensor
    whiten: Tensor
    unwhiten: Tensor
    scaling: float
    metadata: Mapping[str, Any] = field(default_factory=dict)
    places: PlaceHead | None = None

    def __post_init__(self) -> None:
        taps, heads, d = len(self.taps), len(self.heads), self.key_mean.shape[-1]
        wanted = {
            "head_weights": (heads,),
            "key_mean": (taps, d),
            "query_mean": (heads, d),
            "whiten": (taps, d, d),
            "unwhiten": (taps, d, d),
        }
        for name, shape in wanted.items():
            if tuple(getattr(self, name).shape) != shape:
                found = list(getattr(self, name).shape)
                raise InputError(f"calibration: {name} is {found}, want {list(shape)}")
        if len(set(self.taps)) != taps or len(set(self.heads)) != heads:
            raise InputError("calibration: the same tap or head is named twice")
        for head in self.heads:
            if self._tap_of(head) not in self.taps:
                raise InputError(
                    f"calibration: head {head.layer}.{head.head} reads {self._tap_of(head)}, "
                    "which is not among the taps"
                )
        if self.places is not None and len(self.places.weight) != heads * d:
            raise InputError(
                f"calibration: the place head reads {len(self.places.weight)} numbers a token, "
                f"want {heads * d}"
            )
        if bool((self.head_weights < 0).any()):
            raise InputError("calibration: head_weights must not be negative")

    @property
    def head_dim(self) -> int:
        """Size d of one key."""
        return self.key_mean.shape[1]

    @property
    def tap_of_head(self) -> tuple[int, ...]:
        """For every head, the number (in `taps`) of the tap it reads."""
        return tuple(self.taps.index(self._tap_of(head)) for head in self.heads)

    @property
    def head_shares(self) -> Tensor:
        """``f32[H]``: the weights of the heads as shares of 1."""
        return self.head_weights / self.head_weights.sum()

    def keys(self, keys: Tensor) -> Tensor:
        """Centre and whiten raw keys.

        Args:
            keys: ``[..., N, d]``, before rotary embedding, any float dtype.

        Returns:
            x, ``f32[..., N, d]``.
        """
        mean, whiten = self.key_mean.to(keys.device), self.whiten.to(keys.device)
        return torch.einsum("...ni,nij->...nj", keys.float() - mean, whiten)

    def queries(self, queries: Tensor) -> Tensor:
        """Centre raw queries, bring them into the dual basis and scale them.

        Args:
            queries: ``[..., H, d]``, before rotary embedding, any float dtype.

        Returns:
            y, ``f32[..., H, d]``; its dot product with the x of its head's tap is the centred
            attention logit.
        """
        mean = self.query_mean.to(queries.device)
        unwhiten = self.unwhiten[list(self.tap_of_head)].to(queries.device)
        return self.scaling * torch.einsum("...hi,hij->...hj", queries.float() - mean, unwhiten)

    def to(self, device: torch.device | str) -> Calibration:
        """Return a copy with the tensors on `device`."""
        return replace(self, **{name: getattr(self, name).to(device) for name in TENSORS})

    def replace(self, **changes: Any) -> Calibration:
        """Return a copy with some fields changed and everything validated again."""
        return replace(self, **changes)

    def _tap_of(self, head: Head) -> Tap:
        return Tap(head.layer, head.head // self.group)
