"""Evidence from several sources as one score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

BM25_WEIGHT = 0.6
"""Of standardised BM25 beside the weighted mean of standardised heads; chosen on data, as the
other weights were, by benchmarks/choose_constants.py."""

HOP_WEIGHT = 0.8
"""Of what the second hop adds."""

DOCUMENT_WEIGHT = 0.5
"""Of the best sentence of the same document."""

WEIGHTS = {"s3": 1.0, "bm25": BM25_WEIGHT, "document": DOCUMENT_WEIGHT, "hop": HOP_WEIGHT}
"""Of each part of a score."""


def fuse(parts: Mapping[str, Tensor]) -> Tensor:
    """Weigh and add standardised scores of sentences, ``f32[A]`` each."""
    return torch.stack([WEIGHTS[name] * scores for name, scores in parts.items()]).sum(0)
