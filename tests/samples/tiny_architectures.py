"""A tiny random model of any architecture of transformers' causal-LM mapping."""

from __future__ import annotations

import inspect
from typing import Any

import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

VOCABULARY, HIDDEN, HEADS, KV_HEADS, LAYERS = 512, 32, 4, 2, 4

_SIZES: dict[str, Any] = {
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), VOCABULARY),
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "embed_dim", "emb_dim"), HIDDEN),
    **dict.fromkeys(("embedding_size", "word_embed_proj_dim", "dim_model"), HIDDEN),
    **dict.fromkeys(("intermediate_size", "moe_intermediate_size", "d_ff", "ffn_dim"), 48),
    **dict.fromkeys(("ffn_hidden_size", "dim_ff", "n_inner", "dff", "d_inner"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "decoder_layers"), LAYERS),
    **dict.fromkeys(("encoder_layers", "num_layers"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), HEADS),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), HEADS),
    **dict.fromkeys(("num_key_value_heads", "n_kv_heads"), KV_HEADS),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim"), 48),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 64),
    **dict.fromkeys(("head_dim", "attention_head_dim", "global_head_dim"), 8),
    **dict.fromkeys(("num_experts", "n_routed_experts", "num_local_experts"), 4),
    **dict.fromkeys(("pad_token_id", "bos_token_id"), 1),
    **dict.fromkeys(("eos_token_id", "decoder_start_token_id"), 2),
    "is_decoder": True,
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk"), 2),
}
"""Sizes by the names that configurations give them; only those a configuration has are set."""


def mapped_architectures() -> list[str]:
    """Every ``model_type`` of the mapping."""
    return list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_model(architecture: str, **settings: Any) -> Any:
    """Make a random model in evaluation mode; weights and biases are large enough to matter."""
    config = tiny_config(CONFIG_MAPPING[architecture], **settings)
    kind = getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[architecture])
    with torch.device("meta"):
        count = sum(weight.numel() for weight in kind(config).parameters())
    if count > 3_000_000:
        raise ValueError(f"not tiny: {count:,} parameters")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = kind(config)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3 if weight.ndim > 1 else 0.5)
    return model.eval()


def tiny_config(kind: Any, **settings: Any) -> Any:
    names = set(inspect.signature(kind.__init__).parameters) | set(vars(kind()))
    small = {name: value for name, value in _SIZES.items() if name in names}
    for name, value in getattr(kind, "sub_configs", {}).items():
        if name in names and hasattr(value, "__init__"):
            small[name] = tiny_config(value).to_dict()
    return kind(**small | settings)
