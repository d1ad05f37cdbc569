"""Every architecture of transformers' causal-LM mapping: read, or refused for a reason."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from s3_retriever.backbone import FAMILIES, Backbone, Head, Tap
from s3_retriever.backbone.anatomy import decoder_of
from s3_retriever.backbone.recognise import recognise
from s3_retriever.errors import InputError, UnsupportedModelError
from tiny_architectures import mapped_architectures, tiny_model

_NO_KEYS = "no attention with projections of keys and queries"
_OTHER = "do not give its attention weights"

REFUSED = {
    "axk2": _NO_KEYS,  # latent attention of other parts than DeepSeek's
    "cpmant": "does not show its attention weights",
    "deepseek_v4": _NO_KEYS,  # compressed keys
    "doge": _OTHER,  # a mask made of the values
    "falcon_mamba": _NO_KEYS,
    "inkling2_text": _OTHER,  # keys convolved over neighbours, relative logits
    "inkling_text": _OTHER,
    "jetmoe": _NO_KEYS,  # queries by experts
    "longcat_flash": _OTHER,  # latents scaled by their ranks
    "mamba": _NO_KEYS,
    "mamba2": _NO_KEYS,
    "musicgen": "a pass over a few tokens",  # embeds codebooks, not text
    "musicgen_melody": "a pass over a few tokens",
    "prophetnet": "do not split",  # several streams of queries
    "roformer": _OTHER,  # turns by its own count of places
    "rwkv": _NO_KEYS,
    "xlnet": _NO_KEYS,
    "xlstm": "does not show its attention weights",
    "zaya": "projections did not run",
}
"""Architectures that cannot be read, and what is said of them."""

NOT_MADE = {
    "blt": "its byte patches do not shrink with the other sizes",
    "dots3_note": "holds one configuration for each of its own layers",
    "dots3_note_text": "holds one configuration for each of its own layers",
    "gemma3n": "needs the package timm; its text tower is gemma3n_text",
    "gemma4_assistant": "drafts for another model with that model's keys",
    "gemma4_unified_assistant": "drafts for another model with that model's keys",
}
"""Architectures of which no tiny model is made here."""

SUPPORTED = [name for name in mapped_architectures() if name not in {*REFUSED, *NOT_MADE}]


@pytest.fixture(scope="module")
def ids() -> Tensor:
    return torch.randint(3, 200, (1, 10), generator=torch.Generator().manual_seed(3))


def test_most_are_supported_and_named_in_the_documentation() -> None:
    assert len(SUPPORTED) >= 0.85 * len(mapped_architectures())
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    listed = page.split("test_architectures.py`:")[1].split("That their keys")[0]
    assert re.findall(r"`(\S+)`", listed) == sorted(SUPPORTED)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", SUPPORTED)
def test_supported(architecture: str, ids: Tensor, tiny_tokenizer: Any) -> None:
    """Its keys are read in every layer it names, and come of the text before them alone."""
    model = tiny_model(architecture)
    before = model.config.get_text_config(decoder=True)._attn_implementation
    backbone = Backbone(model, tiny_tokenizer)
    assert model.config.get_text_config(decoder=True)._attn_implementation == before
    assert not any(module._forward_hooks for module in model.modules())
    spec = backbone.spec
    taps = [Tap(layer, spec.kv_heads - 1) for layer in spec.readable]
    heads = [Head(layer, spec.heads - 1) for layer in spec.readable]
    with backbone.tap(taps, heads) as reader:
        keys, queries = reader.keys(ids), reader.queries(ids)
        shorter = reader.keys(ids[:, :6])
    assert keys.shape == queries.shape == (1, 10, len(taps), spec.head_dim)
    assert keys.isfinite().all() and queries.isfinite().all() and keys.std() > 0
    torch.testing.assert_close(keys[:, :6], shorter, atol=1e-3, rtol=1e-3)
    assert len(backbone.fingerprint(taps)) == 64


@pytest.mark.slow
@pytest.mark.parametrize("architecture", REFUSED)
def test_refused(architecture: str, tiny_tokenizer: Any) -> None:
    with pytest.raises(UnsupportedModelError, match=re.escape(REFUSED[architecture])):
        Backbone(tiny_model(architecture), tiny_tokenizer)


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_what_the_table_says_is_recognised_too(
    architecture: str, ids: Tensor, tiny_tokenizer: Any
) -> None:
    model = tiny_model(architecture)
    backbone = Backbone(model, tiny_tokenizer)
    spec, found = backbone.spec, recognise(model, decoder_of(model))
    assert [layer.layer for layer in found.layers] == list(spec.readable)
    assert found.layers[1].scaling == pytest.approx(spec.scaling)
    way = found.layers[1].way
    assert (way.heads, way.kv_heads, way.head_dim) == (spec.heads, spec.kv_heads, spec.head_dim)
    caught: dict[str, Tensor] = {}
    attention = decoder_of(model).get_submodule(found.layers[1].attention)
    for name in {way.keys.module, way.queries.module}:
        module = attention.get_submodule(name)
        module.register_forward_hook(lambda _, __, out, name=name: caught.update({name: out}))
    with backbone.tap(
        [Tap(1, head) for head in range(spec.kv_heads)], [Head(1, head) for head in range(4)]
    ) as reader:
        keys = reader.keys(ids)
        torch.testing.assert_close(way.keys.split(caught[way.keys.module], spec), keys)
        queries = reader.queries(ids)
        torch.testing.assert_close(way.queries.split(caught[way.queries.module], spec), queries)


def test_layers_without_keys_are_told(tiny_tokenizer: Any) -> None:
    backbone = Backbone(tiny_model("qwen3_next"), tiny_tokenizer)
    assert backbone.spec.readable == (3,) and backbone.spec.layers == 4
    with pytest.raises(InputError, match="layer 0 cannot be read: it has no keys; read layers 3"):
        backbone.fingerprint([Tap(0, 0)])


def test_layers_of_another_shape_are_told(tiny_tokenizer: Any) -> None:
    backbone = Backbone(tiny_model("gemma4_text"), tiny_tokenizer)
    assert backbone.spec.readable == (0, 1, 2)
    with pytest.raises(InputError, match="layer 3 cannot be read: its keys have another shape"):
        backbone.fingerprint([Tap(3, 0)])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_recognised(dtype: torch.dtype, tiny_tokenizer: Any) -> None:
    for architecture in ("granite", "gpt2", "gpt_oss"):
        model = tiny_model(architecture)
        whole = Backbone(model, tiny_tokenizer).spec
        assert Backbone(model.to(dtype), tiny_tokenizer).spec == whole


def test_an_encoder_is_refused(tiny_tokenizer: Any) -> None:
    model = tiny_model("bert")
    for module in model.modules():
        for name in ("is_causal", "is_decoder"):
            if hasattr(module, name):
                setattr(module, name, False)
    model.config.is_decoder = False
    with pytest.raises(UnsupportedModelError, match="both directions"):
        Backbone(model, tiny_tokenizer)


class TestTheCheck:
    """A reading that is not what the model attends with does not pass."""

    @pytest.fixture
    def model(self) -> Any:
        return copy.deepcopy(tiny_model("granite"))

    def refused(self, model: Any, tokenizer: Any) -> None:
        with pytest.raises(UnsupportedModelError, match=r"at best \d+% .* unexplained"):
            Backbone(model, tokenizer)

    def test_attention_that_tells_nothing(self, model: Any, tiny_tokenizer: Any) -> None:
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight.data.zero_()
        with pytest.raises(UnsupportedModelError, match="the same for every text"):
            Backbone(model, tiny_tokenizer)

    def test_queries_in_another_order(self, model: Any, tiny_tokenizer: Any) -> None:
        name = transformers.models.granite.modeling_granite
        plain = name.apply_rotary_pos_emb
        name.apply_rotary_pos_emb = lambda q, k, cos, sin: plain(q.flip(1), k, cos, sin)
        try:
            self.refused(model, tiny_tokenizer)
        finally:
            name.apply_rotary_pos_emb = plain

    def test_keys_that_are_changed_behind_their_projection(
        self, model: Any, tiny_tokenizer: Any
    ) -> None:
        name = transformers.models.granite.modeling_granite
        plain = name.apply_rotary_pos_emb
        name.apply_rotary_pos_emb = lambda q, k, cos, sin: plain(q, k + 0.3 * k.abs(), cos, sin)
        try:
            self.refused(model, tiny_tokenizer)
        finally:
            name.apply_rotary_pos_emb = plain
