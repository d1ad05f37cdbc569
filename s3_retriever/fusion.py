"""Evidence from several sources as one score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

BM25_WEIGHT = 0.45
"""Of standardised BM25 beside the weighted mean of standardised heads; chosen on the
calibration set and on development data, where anything from 0.25 to 0.6 does about as well."""

HOP_WEIGHT = 0.4
"""Of what the second hop adds; chosen as `BM25_WEIGHT` was, 0.3 to 0.5 doing about as well."""

DOCUMENT_WEIGHT = 0.3
"""Of the best sentence of the same document; chosen as `HOP_WEIGHT` was, 0.15 to 0.5 doing about as
well."""

WEIGHTS = {"s3": 1.0, "bm25": BM25_WEIGHT, "document": DOCUMENT_WEIGHT, "hop": HOP_WEIGHT}
"""Of each part of a score."""


def fuse(parts: Mapping[str, Tensor]) -> Tensor:
    """Weigh and add standardised scores of sentences, ``f32[A]`` each."""
    return torch.stack([WEIGHTS[name] * scores for name, scores in parts.items()]).sum(0)
