"""Tells models apart by the weights that decide their keys."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from s3_retriever.backbone.spec import ModelSpec

_ROWS = 16
_SMALLEST = 2.0**-16


def fingerprint(decoder: Any, stack: str, spec: ModelSpec, deepest: int) -> str:
    """Return a hex digest of the sizes and weights behind the keys of layers 0 to `deepest`.

    Weights are sampled (evenly spaced rows of the embedding and of every matrix of those layers,
    vectors whole) and rounded to bfloat16, values below 2^-16 to zero. So a renamed copy, a
    bfloat16 copy of float32 weights, and a float16 or float32 copy of bfloat16 weights have the
    same fingerprint; a fine-tuned or quantised model has another.

    Args:
        decoder: The stack of decoder layers with its input embedding.
        stack: The list of these layers, by its path in the decoder.
        spec: Sizes of the model.
        deepest: Last layer that counts.
    """
    sizes = asdict(spec)
    for name in ("max_positions", "readable"):  # say what may be read, not what its keys are
        del sizes[name]
    digest = hashlib.sha256(json.dumps(sizes, sort_keys=True).encode())
    digest.update(_sample(decoder.get_input_embeddings().weight))
    for layer in range(deepest + 1):
        own = decoder.get_submodule(f"{stack}.{layer}")
        for name, weight in sorted(own.named_parameters()):
            digest.update(f"{layer}.{name}{list(weight.shape)}".encode())
            digest.update(_sample(weight))
    return digest.hexdigest()


def _sample(weight: Tensor) -> bytes:
    step = 1 if weight.ndim == 1 else max(1, len(weight) // _ROWS)
    values = weight.detach()[::step].cpu().to(torch.bfloat16)
    values = values.masked_fill(values.abs() < _SMALLEST, 0)
    return values.contiguous().view(torch.int16).numpy().tobytes()
