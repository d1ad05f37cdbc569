"""Keys and queries of every tested architecture, against the weights by hand."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from s3_retriever.backbone import FAMILIES, Backbone, Head, Tap
from s3_retriever.errors import UnsupportedModelError

COMMON = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}
GROUPED = COMMON | {"num_key_value_heads": 2}
WINDOW = {"sliding_window": 4}  # shorter than the texts below
LAYER_TYPES = ["sliding_attention", "sliding_attention", "full_attention"]
GEMMA = GROUPED | WINDOW | {"head_dim": 12, "query_pre_attn_scalar": 20}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", GROUPED | {"attention_bias": True}),
    "mistral": ("Mistral", GROUPED | WINDOW | {"head_dim": 12}),
    "qwen2": ("Qwen2", GROUPED),
    "qwen3": ("Qwen3", GROUPED | {"head_dim": 12}),
    "gemma2": ("Gemma2", GEMMA),
    "gemma3_text": ("Gemma3", GEMMA | {"layer_types": LAYER_TYPES}),
    "phi3": ("Phi3", GROUPED),
    "olmo2": ("Olmo2", GROUPED),
    "gpt_neox": ("GPTNeoX", COMMON),
}


def make(architecture: str) -> Any:
    """A random model whose norms and biases are random too."""
    name, settings = CONFIGS[architecture]
    config_name = "Gemma3TextConfig" if name == "Gemma3" else f"{name}Config"
    config = getattr(transformers, config_name)(**settings)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = getattr(transformers, f"{name}ForCausalLM")._from_config(
            config, attn_implementation="eager"
        )
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def by_hand(model: Any, ids: Tensor, layer: int) -> tuple[Tensor, Tensor]:
    """Keys ``[B, L, kv_heads, d]`` and queries ``[B, L, heads, d]`` from nothing but weights."""
    architecture = model.config.model_type
    x = model(ids, output_hidden_states=True, use_cache=False).hidden_states[layer]
    weights = {
        name.split(f"layers.{layer}.")[1]: weight
        for name, weight in model.named_parameters()
        if f"layers.{layer}." in name
    }

    def project(x: Tensor, name: str) -> Tensor:
        bias = weights.get(f"{name}.bias", torch.zeros(()))
        return x @ weights[f"{name}.weight"].T + bias

    if architecture == "gpt_neox":
        x = torch.nn.functional.layer_norm(
            x,
            x.shape[-1:],
            weights["input_layernorm.weight"],
            weights["input_layernorm.bias"],
            model.config.layer_norm_eps,
        )
        qkv = project(x, "attention.query_key_value").view(*x.shape[:2], 4, 24)
        return qkv[..., 8:16], qkv[..., :8]

    eps = model.config.rms_norm_eps
    plus = 1.0 if architecture.startswith("gemma") else 0.0
    if architecture != "olmo2":
        x = rms(x, plus + weights["input_layernorm.weight"], eps)
    if architecture == "phi3":
        qkv = project(x, "self_attn.qkv_proj").view(*x.shape[:2], 8, 8)
        return qkv[:, :, 4:6], qkv[:, :, :4]

    keys, queries = project(x, "self_attn.k_proj"), project(x, "self_attn.q_proj")
    if architecture == "olmo2":  # norms over all heads together
        keys = rms(keys, weights["self_attn.k_norm.weight"], eps)
        queries = rms(queries, weights["self_attn.q_norm.weight"], eps)
    keys, queries = keys.view(*x.shape[:2], 2, -1), queries.view(*x.shape[:2], 4, -1)
    if architecture in ("qwen3", "gemma3_text"):  # norms of each head
        keys = rms(keys, plus + weights["self_attn.k_norm.weight"], eps)
        queries = rms(queries, plus + weights["self_attn.q_norm.weight"], eps)
    return keys, queries


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def model(request: pytest.FixtureRequest) -> Any:
    return make(request.param)


@pytest.fixture(scope="module")
def ids() -> Tensor:
    return torch.randint(3, 400, (2, 9), generator=torch.Generator().manual_seed(0))


def every(backbone: Backbone) -> tuple[list[Tap], list[Head]]:
    layers = range(backbone.spec.layers)
    taps = [Tap(layer, head) for layer in layers for head in range(backbone.spec.kv_heads)]
    return taps, [Head(layer, head) for layer in layers for head in range(backbone.spec.heads)]


def test_every_family_is_tested() -> None:
    assert set(CONFIGS) == set(FAMILIES)


@torch.no_grad()
def test_keys_and_queries_are_those_of_the_weights(
    model: Any, ids: Tensor, tiny_tokenizer: Any
) -> None:
    backbone = Backbone(model, tiny_tokenizer)
    taps, heads = every(backbone)
    with backbone.tap(taps, heads) as reader:
        keys, queries = reader.keys(ids), reader.queries(ids)
    spec = backbone.spec
    assert keys.shape == (2, 9, len(taps), spec.head_dim)
    assert queries.shape == (2, 9, len(heads), spec.head_dim)
    for layer in range(spec.layers):
        hand_keys, hand_queries = by_hand(model, ids, layer)
        mine = slice(layer * spec.kv_heads, (layer + 1) * spec.kv_heads)
        torch.testing.assert_close(keys[:, :, mine], hand_keys, atol=1e-4, rtol=1e-4)
        mine = slice(layer * spec.heads, (layer + 1) * spec.heads)
        torch.testing.assert_close(queries[:, :, mine], hand_queries, atol=1e-4, rtol=1e-4)


def rotated(model: Any, layer: int, *vectors: Tensor) -> tuple[Tensor, ...]:
    """Rotary embedding of ``[B, L, d]`` vectors, by the model's own function."""
    kind = {}
    if model.config.model_type == "gemma3_text":
        kind = {"layer_type": model.config.layer_types[layer]}
    cos, sin = model.get_decoder().rotary_emb(vectors[0], torch.arange(9)[None], **kind)
    rotate = sys.modules[type(model).__module__].apply_rotary_pos_emb
    turned = rotate(*(vector[:, None] for vector in vectors), cos, sin)
    return tuple(vector[:, 0] for vector in turned)


def visible(model: Any, layer: int) -> Tensor:
    """Which tokens each token may attend to, bool ``[9, 9]``."""
    seen = torch.ones(9, 9).tril().bool()
    kinds = getattr(model.config, "layer_types", None)
    windowed = (
        kinds[layer] == "sliding_attention" if kinds else model.config.model_type == "mistral"
    )
    return seen & ~seen.tril(-WINDOW["sliding_window"]) if windowed else seen


@torch.no_grad()
def test_rotated_they_give_the_attention_of_the_model(
    model: Any, ids: Tensor, tiny_tokenizer: Any
) -> None:
    """So scaling, grouping and "before rotary embedding" are right."""
    backbone = Backbone(model, tiny_tokenizer)
    taps, heads = every(backbone)
    with backbone.tap(taps, heads) as reader:
        keys, queries = reader.keys(ids), reader.queries(ids)
    attentions = model(ids, output_attentions=True, use_cache=False).attentions
    cap = getattr(model.config, "attn_logit_softcapping", None)
    for number, head in enumerate(heads):
        tap = taps.index(backbone.spec.tap_of(head))
        query, key = rotated(model, head.layer, queries[:, :, number], keys[:, :, tap])
        logits = query @ key.transpose(1, 2) * backbone.spec.scaling
        if cap:
            logits = cap * torch.tanh(logits / cap)
        attention = logits.masked_fill(~visible(model, head.layer), -torch.inf).softmax(-1)
        expected = attentions[head.layer][:, head.head]
        torch.testing.assert_close(attention, expected, atol=1e-4, rtol=1e-3)


def test_text_model_inside_a_multimodal_one(tiny_tokenizer: Any, ids: Tensor) -> None:
    text = transformers.Gemma3TextConfig(**CONFIGS["gemma3_text"][1])
    vision = transformers.SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=8,
        patch_size=4,
    )
    config = transformers.Gemma3Config(text_config=text, vision_config=vision)
    model = transformers.Gemma3ForConditionalGeneration(config).eval()
    backbone = Backbone(model, tiny_tokenizer)
    assert backbone.spec.architecture == "gemma3_text"
    with backbone.tap([Tap(1, 1)]) as reader:
        assert reader.keys(ids).isfinite().all()


def test_model_without_keys_is_refused(tiny_tokenizer: Any) -> None:
    config = transformers.MambaConfig(hidden_size=8, num_hidden_layers=1, vocab_size=400)
    with pytest.raises(UnsupportedModelError, match=r"mamba.*no attention with projections"):
        Backbone(transformers.MambaForCausalLM(config), tiny_tokenizer)


def test_encoder_decoder_is_refused(tiny_tokenizer: Any) -> None:
    config = transformers.T5Config(
        d_model=8, d_ff=8, d_kv=4, num_layers=1, num_heads=2, vocab_size=400
    )
    with pytest.raises(UnsupportedModelError, match="decoder-only"):
        Backbone(transformers.T5ForConditionalGeneration(config), tiny_tokenizer)


def test_bidirectional_attention_is_refused(tiny_tokenizer: Any) -> None:
    settings = CONFIGS["gemma3_text"][1] | {"use_bidirectional_attention": True}
    model = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**settings))
    with pytest.raises(UnsupportedModelError, match="both directions"):
        Backbone(model, tiny_tokenizer)
