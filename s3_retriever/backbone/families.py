"""Where the architectures of the table show their keys and queries; others are recognised.

Everything is read before rotary embedding and after any query/key norm. A family names the
submodule of the attention whose output is read, and how that output splits into heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from s3_retriever.backbone.spec import ModelSpec
from s3_retriever.errors import UnsupportedModelError

Split = Callable[[Tensor, ModelSpec], Tensor]


@dataclass(frozen=True, slots=True)
class Projection:
    """One kind of vector of an attention module.

    Attributes:
        module: Submodule of the attention whose output holds the vectors.
        split: From that output to ``[B, L, heads, d]``.
    """

    module: str
    split: Split


@dataclass(frozen=True, slots=True)
class Family:
    """Where an architecture keeps its keys and queries.

    Attributes:
        attention: Submodule of a decoder layer that holds the attention.
        keys: Projection of the keys.
        queries: Projection of the queries.
    """

    attention: str
    keys: Projection
    queries: Projection


def _flat(output: Tensor, spec: ModelSpec) -> Tensor:
    """``[B, L, heads * d]``: a plain projection."""
    return output.reshape(*output.shape[:2], -1, spec.head_dim)


def _split(output: Tensor, spec: ModelSpec) -> Tensor:
    """``[B, L, heads, d]``: normed per head, already split."""
    return output


def _heads_first(output: Tensor, spec: ModelSpec) -> Tensor:
    """``[B, heads, L, d]``: normed per head after the transposition."""
    return output.transpose(1, 2)


def _joined(start: Callable[[ModelSpec], int], count: Callable[[ModelSpec], int]) -> Split:
    """``[B, L, (heads + 2 * kv_heads) * d]``: queries, keys and values one after another."""

    def split(output: Tensor, spec: ModelSpec) -> Tensor:
        return _flat(output, spec).narrow(2, start(spec), count(spec))

    return split


def _interleaved(part: int) -> Split:
    """``[B, L, heads * 3 * d]``: query, key and value of each head side by side."""

    def split(output: Tensor, spec: ModelSpec) -> Tensor:
        parts = output.reshape(*output.shape[:2], spec.heads, 3, spec.head_dim)
        return parts.select(-2, part)

    return split


_PROJECTED = Family("self_attn", Projection("k_proj", _flat), Projection("q_proj", _flat))

FAMILIES: dict[str, Family] = {
    "llama": _PROJECTED,
    "mistral": _PROJECTED,
    "qwen2": _PROJECTED,
    "qwen3": Family("self_attn", Projection("k_norm", _split), Projection("q_norm", _split)),
    "gemma2": _PROJECTED,
    "gemma3_text": Family(
        "self_attn", Projection("k_norm", _heads_first), Projection("q_norm", _heads_first)
    ),
    "phi3": Family(
        "self_attn",
        Projection("qkv_proj", _joined(lambda spec: spec.heads, lambda spec: spec.kv_heads)),
        Projection("qkv_proj", _joined(lambda spec: 0, lambda spec: spec.heads)),
    ),
    "olmo2": Family("self_attn", Projection("k_norm", _flat), Projection("q_norm", _flat)),
    "gpt_neox": Family(
        "attention",
        Projection("query_key_value", _interleaved(1)),
        Projection("query_key_value", _interleaved(0)),
    ),
}
"""Tested architectures by the ``model_type`` of their text configuration."""


def spec_of(model: Any, decoder: Any, family: Family) -> ModelSpec:
    """Read the sizes of a model from its configuration and its first attention module.

    Raises:
        UnsupportedModelError: its attention also looks ahead, as in an embedding model.
    """
    config = model.config.get_text_config(decoder=True)
    attention = decoder.get_submodule(f"layers.0.{family.attention}")
    if not attention.is_causal:
        raise UnsupportedModelError(
            f"{type(model).__name__} attends in both directions, so a token's key depends on the "
            "text after it; use a causal language model"
        )
    heads = config.num_attention_heads
    return ModelSpec(
        architecture=config.model_type,
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(attention, "head_dim", None) or config.hidden_size // heads,
        hidden=config.hidden_size,
        max_positions=config.max_position_embeddings,
        scaling=float(attention.scaling),
        readable=tuple(range(config.num_hidden_layers)),
    )
