"""Tells models apart by the weights that decide their keys."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from s3_retriever.backbone.held import weight, weights

if TYPE_CHECKING:
    from s3_retriever.backbone.anatomy import Anatomy

_ROWS = 16
_SMALLEST = 2.0**-16


def fingerprint(decoder: Any, anatomy: Anatomy, deepest: int) -> str:
    """Return a hex digest of the sizes and weights behind the keys of layers 0 to `deepest`.

    Weights are sampled (evenly spaced rows of the embedding and of every matrix of those layers,
    vectors whole) and rounded to bfloat16, values below 2^-16 to zero. So a renamed copy, a
    bfloat16 copy of float32 weights, and a float16 or float32 copy of bfloat16 weights have the
    same fingerprint, and so have weights that are offloaded, compiled or under an adapter, and
    those merged; a fine-tuned or quantised model has another.

    Args:
        decoder: The stack of decoder layers with its input embedding.
        anatomy: How the model is read.
        deepest: Last layer that counts.
    """
    sizes = asdict(anatomy.spec)
    del sizes["max_positions"]  # says how long a text may be, not what its keys are
    del sizes["readable"]
    digest = hashlib.sha256(json.dumps(sizes, sort_keys=True).encode())
    digest.update(_sample(weight(decoder.get_input_embeddings(), "weight")))
    for name in anatomy.outside:
        digest.update(f"{name}".encode())
        digest.update(_sample(weight(decoder, name)))
    for layer in range(deepest + 1):
        module = decoder.get_submodule(f"{anatomy.stack}.{layer}")
        for name, numbers in weights(module):
            digest.update(f"{layer}.{name}{list(numbers.shape)}".encode())
            digest.update(_sample(numbers))
    return digest.hexdigest()


def _sample(numbers: Tensor) -> bytes:
    step = 1 if numbers.ndim == 1 else max(1, len(numbers) // _ROWS)
    values = numbers[::step].cpu().to(torch.bfloat16)
    values = values.masked_fill(values.abs() < _SMALLEST, 0)
    return values.contiguous().view(torch.int16).numpy().tobytes()
