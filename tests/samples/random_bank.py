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


def make_bank(backbone: Backbone, seed: int = 0) -> Bank:
    """Three one-tap SAEs of 64 latents, 4 of which are kept, over the first three layers."""
    size = backbone.spec.head_dim
    random = torch.Generator().manual_seed(seed)
    eye = torch.eye(size).expand(len(TAPS), size, size).clone()
    calibration = Calibration(
        taps=TAPS,
        heads=HEADS,
        group=backbone.spec.heads // backbone.spec.kv_heads,
        head_weights=torch.ones(len(HEADS)),
        key_mean=torch.zeros(len(TAPS), size),
        query_mean=torch.zeros(len(HEADS), size),
        whiten=eye,
        unwhiten=eye,
        scaling=backbone.spec.scaling,
        metadata={"made": "for a test"},
    )
    saes = tuple(_make_sae(tap, size, random) for tap in TAPS)
    return Bank(
        calibration=calibration,
        saes=saes,
        fingerprint=backbone.fingerprint(TAPS),
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
