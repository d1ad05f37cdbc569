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
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("index_head_dim", "index_n_heads"), 8),
    **dict.fromkeys(("n_group", "topk_group"), 1),
    **dict.fromkeys(("mamba_n_heads", "mamba_num_heads"), 4),
    **dict.fromkeys(("mamba_d_head", "mamba_head_dim"), 16),
    **dict.fromkeys(("rotary_dim", "swa_head_dim"), 4),
    **dict.fromkeys(("indexer_n_heads", "indexer_head_dim"), 8),
    **dict.fromkeys(("indexer_budget", "encoder_hash_byte_group_vocab"), 64),
    **dict.fromkeys(("mamba_expand", "expand", "indexer_compress_ratio"), 2),
    "indexer_kv_heads": 1,
    **dict.fromkeys(("n_groups", "mamba_n_groups"), 1),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk"), 2),
}
"""Sizes by the names that configurations give them; only those a configuration has are set."""


_HYBRID = ["sliding_attention", "full_attention"] * 2

_SPECIAL: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "big_bird": {"attention_type": "original_full"},
    "cohere_compass_text": {
        "layer_types": _HYBRID,
        "rope_parameters": {kind: {"rope_type": "default", "rope_theta": 1e4} for kind in _HYBRID},
    },
    "bailing_hybrid": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "dbrx": {"attn_config": {"clip_qkv": 2.0, "kv_n_heads": 2, "rope_theta": 1e4}},
    "dots1": {"n_shared_experts": 1},
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma3n_text": {"layer_types": _HYBRID, "num_kv_shared_layers": 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 2},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "longcat_flash": {"num_layers": 2, "expert_ffn_hidden_size": 16, "ffn_hidden_size": 48},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "reformer": {"axial_pos_embds": False},
    "roc_bert": {"pronunciation_vocab_size": 32, "shape_vocab_size": 32},
    "xlm": {"causal": True},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"layers_block_type": ["mamba", "hybrid"] * 2},
    "zamba2": {"layers_block_type": ["mamba", "hybrid"] * 2},
    "zaya": {"num_experts_per_tok": 1},
}
"""What some architectures need beside small sizes."""

_MOST = 8_000_000


def mapped_architectures() -> list[str]:
    """Every ``model_type`` of the mapping."""
    return list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_model(architecture: str) -> Any:
    """Make a random model in evaluation mode; weights and biases are large enough to matter.

    Raises:
        ValueError: the configuration was not made small.
    """
    config = tiny_config(CONFIG_MAPPING[architecture], architecture)
    with torch.device("meta"):
        count = sum(weight.numel() for weight in _from(config).parameters())
    if count > _MOST:
        raise ValueError(f"not tiny: {count:,} parameters")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = _from(config)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3 if weight.ndim > 1 else 0.5)
    return model.eval()


def tiny_config(kind: Any, architecture: str = "") -> Any:
    """Make a configuration of small sizes, its parts likewise."""
    default = kind()
    names = set(inspect.signature(kind.__init__).parameters) | set(vars(default))
    small = {name: value for name, value in _SIZES.items() if name in names}
    parts = {name: getattr(default, name, None) for name in getattr(kind, "sub_configs", {})}
    small |= {
        name: tiny_config(type(part), part.model_type) for name, part in parts.items() if part
    }
    if "kv_lora_rank" in names:
        small["num_key_value_heads"] = HEADS
    return kind(**small | _SPECIAL.get(architecture, {}))


def _from(config: Any) -> Any:
    kind = getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[config.model_type])
    if not isinstance(config, kind.config_class):
        config = config.get_text_config(decoder=True)
    return kind(config)
