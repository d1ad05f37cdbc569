"""A small bank of random SAEs, for tests of everything around the codec."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from s3_retriever.backbone import Head, Tap
from s3_retriever.codec import Bank, Calibration, Sae

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone

TAPS = (Tap(0, 0), Tap(1, 1), Tap(2, 0))
HEADS = (Head(0, 1), Head(1, 2), Head(2, 0))
LATENTS, K = 64, 4


def make_bank(
    backbone: Backbone, seed: int = 0, layers: int = 3, depth: float | None = None
) -> Bank:
    """One-tap SAEs of 64 latents, 4 of which are kept, one in each of the first layers.

    Args:
        backbone: The model.
        seed: Of the latents.
        layers: How many are read, of at most three.
        depth: Share of the layers that the bank says it was calibrated for.
    """
    taps, heads = TAPS[:layers], HEADS[:layers]
    size = backbone.spec.head_dim
    random = torch.Generator().manual_seed(seed)
    eye = torch.eye(size).expand(len(taps), size, size).clone()
    calibration = Calibration(
        taps=taps,
        heads=heads,
        group=backbone.spec.heads // backbone.spec.kv_heads,
        head_weights=torch.ones(len(heads)),
        key_mean=torch.zeros(len(taps), size),
        query_mean=torch.zeros(len(heads), size),
        whiten=eye,
        unwhiten=eye,
        scaling=backbone.spec.scaling,
        metadata={"made": "for a test"} | ({} if depth is None else {"depth": depth}),
    )
    saes = tuple(_make_sae(tap, size, random) for tap in taps)
    return Bank(
        calibration=calibration,
        saes=saes,
        fingerprint=backbone.fingerprint(taps),
        model_name="tiny",
        metadata={},
    )


def _make_sae(tap: Tap, size: int, random: torch.Generator) -> Sae:
    decoder = torch.nn.functional.normalize(torch.randn(LATENTS, size, generator=random), dim=1)
    return Sae(
        taps=(tap,),
        k=K,
        w_enc=decoder.T.contiguous(),
        b_enc=torch.zeros(LATENTS),
        w_dec=decoder,
        b_dec=torch.zeros(size),
        scale=5e-4,
    )
