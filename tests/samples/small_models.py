"""Every causal architecture of transformers as a tiny random model."""

from __future__ import annotations

from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

ARCHITECTURES = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
"""By the ``model_type`` of their configurations."""

_LAYERS = 4
_MOST_PARAMETERS = 20_000_000
_SIZES: dict[int, tuple[str, ...]] = {
    300: ("vocab_size", "vocab_size_per_layer_input"),
    128: ("max_position_embeddings", "n_positions", "d_inner"),
    96: (
        *("intermediate_size", "ffn_dim", "n_inner", "d_ff", "decoder_ffn_dim"),
        *("encoder_ffn_dim", "ffn_hidden_size", "dff", "intermediate_size_mlp"),
    ),
    64: (
        *("hidden_size", "n_embd", "d_model", "dim", "n_embed", "embed_dim", "lru_width"),
        *("word_embed_proj_dim", "attention_hidden_size"),
    ),
    32: ("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size"),
    24: ("q_lora_rank", "kv_lora_rank", "qk_head_dim"),
    16: (
        *("head_dim", "global_head_dim", "d_kv", "qk_nope_head_dim", "v_head_dim"),
        *("qk_rope_head_dim", "mamba_d_head"),
        *("linear_key_head_dim", "linear_value_head_dim", "hidden_size_per_layer_input"),
        *("mamba_head_dim", "index_head_dim"),
    ),
    8: (
        *("rotary_dim", "mamba_d_state", "mamba_n_heads", "n_mamba_heads"),
        *("mamba_num_heads", "index_topk"),
    ),
    _LAYERS: (
        *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"),
        *("encoder_layers", "num_attention_heads", "n_head", "n_heads", "num_heads"),
        *("encoder_attention_heads", "decoder_attention_heads", "linear_num_value_heads"),
        *("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts"),
    ),
    2: (
        *("num_key_value_heads", "num_global_key_value_heads", "num_experts_per_tok"),
        *("num_attention_groups", "moe_k", "moe_topk", "linear_num_key_heads", "index_n_heads"),
    ),
    1: ("n_group", "topk_group", "first_k_dense_replace", "n_shared_experts"),
    0: ("num_kv_shared_layers", "pad_token_id"),
}
_KINDS = (
    *("layer_types", "mlp_layer_types", "layers_block_type", "block_types", "no_rope_layers"),
    *("attention_layers", "attn_type_list"),
)
_LATENT = {"num_key_value_heads": 4}
_OWN: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("axk1", "axk2", "deepseek_v3", "deepseek_v32"), _LATENT),
    **dict.fromkeys(("glm4_moe_lite", "glm_moe_dsa", "minicpm3", "youtu", "hy_v4"), _LATENT),
    "ministral": {"head_dim": 16},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "deepseek_v2": _LATENT | {"num_experts_per_tok": 2},
    "bamba": {"attn_layer_indices": [1, 3]},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "nemotron": {"num_key_value_heads": 2, "head_dim": 16},
    "qwen4_exp_text": {"num_key_value_heads": 2, "head_dim": 16},
}
"""What a configuration names no value for, or cannot do without when it is small."""


def shrunk(config: Any) -> Any:
    """The same configuration, made small in place, with every kind of layer that it has."""
    for size, names in _SIZES.items():
        for name in names:
            known = config.__dict__.get(name)
            if isinstance(known, int) and not isinstance(known, bool):
                setattr(config, name, size)
    for name in _KINDS:
        kinds = config.__dict__.get(name)
        if isinstance(kinds, list) and len(kinds) > _LAYERS:
            every = [*dict.fromkeys(kinds)]
            setattr(config, name, (every * _LAYERS)[:_LAYERS])
    for name, value in _OWN.get(config.model_type, {}).items():
        setattr(config, name, value)
    for part in ("text_config", "vision_config", "audio_config", "decoder"):
        if hasattr(config.__dict__.get(part), "model_type"):
            shrunk(config.__dict__[part])
    return config


def small_model(architecture: str) -> Any:
    """A random model, or None where the configuration does not shrink to one.

    Args:
        architecture: One of `ARCHITECTURES`.
    """
    try:
        config = shrunk(CONFIG_MAPPING[architecture]())
        with torch.device("meta"):
            whole = AutoModelForCausalLM.from_config(config)
        if sum(weight.numel() for weight in whole.parameters()) > _MOST_PARAMETERS:
            return None
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(config).eval()
            for weight in model.parameters():
                if weight.ndim > 1:
                    torch.nn.init.normal_(weight, std=0.3)
    except Exception:  # whatever a configuration's own checks raise
        return None
    return model
