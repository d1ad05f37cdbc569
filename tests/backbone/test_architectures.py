"""Every causal architecture of the installed transformers: read, or refused for a reason."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from s3_retriever.backbone import Head, Tap
from s3_retriever.backbone.reader import TapReader
from s3_retriever.backbone.recognise import Recognised, decoder_of, recognise
from s3_retriever.errors import UnsupportedModelError
from small_models import ARCHITECTURES, small_model

SUPPORTED = (
    *("afmoe", "apertus", "arcee", "bamba", "bitnet", "bloom", "codegen", "cohere", "cohere2"),
    *("ctrl", "cwm", "diffllama", "doge", "emu3", "ernie4_5", "ernie4_5_moe", "exaone4", "falcon"),
    *("flex_olmo", "gemma", "gemma2", "gemma3_text", "gemma3n_text", "gemma4_text", "glm", "glm4"),
    *("glm4_moe", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gpt_oss", "gptj", "granite"),
    *("granitemoe", "granitemoehybrid", "helium", "hunyuan_v1_dense", "hunyuan_v1_moe", "jamba"),
    *("jais2", "lfm2", "lfm2_moe", "llama", "llama4", "llama4_text", "minimax", "minimax_m2"),
    *("ministral", "ministral3", "mistral", "mixtral", "mpt", "nanochat", "nemotron", "olmo"),
    *("olmo2", "olmo3", "olmoe", "opt", "persimmon", "phi", "phi3", "phimoe", "qwen2"),
    *("qwen2_moe", "qwen3", "qwen3_5_text", "qwen3_moe", "qwen3_next", "recurrent_gemma"),
    *("seed_oss", "smollm3", "solar_open", "stablelm", "starcoder2", "vaultgemma", "xglm"),
)
"""Some of those that must be read."""

REASONS = (
    "from parts that no module shows whole",
    "attends in both directions",
    "never calls an attention function",
    "encoder-decoder",
    "cannot read .* short rows",
)
IDS = torch.tensor([[5, 9, 5, 41, 5, 9], [70, 5, 8, 13, 2, 5]])


def recognised(architecture: str) -> tuple[Any, Recognised]:
    model = small_model(architecture)
    if model is None:
        pytest.skip("its configuration does not shrink to a small model")
    return model, recognise(model, decoder_of(model))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_architecture_is_read_or_refused(architecture: str) -> None:
    try:
        model, found = recognised(architecture)
    except UnsupportedModelError as error:
        assert architecture not in SUPPORTED, error
        assert any(re.search(reason, str(error)) for reason in REASONS)
        return
    spec = found.spec
    assert spec.heads % spec.kv_heads == 0 and spec.scaling > 0
    layers = spec.readable[:1] + spec.readable[-1:]
    taps = [Tap(layer, head) for layer in layers for head in range(spec.kv_heads)]
    heads = [Head(layer, head) for layer in layers for head in range(spec.heads)]
    reader = TapReader(decoder_of(model), found.reads, spec, taps, heads)
    with warnings.catch_warnings(action="ignore"), reader.attached():
        keys, queries = reader.keys(IDS), reader.queries(IDS)
    assert keys.shape == (2, 6, len(taps), spec.head_dim)
    assert queries.shape == (2, 6, len(heads), spec.head_dim)
    assert keys.isfinite().all() and queries.isfinite().all()
    assert not torch.equal(keys[0, 0], keys[1, 0])


def test_the_named_ones_exist() -> None:
    assert set(SUPPORTED) <= set(ARCHITECTURES)


@pytest.mark.parametrize("architecture", ["llama", "phi3", "qwen3", "gptj", "falcon", "cohere2"])
def test_keys_do_not_depend_on_their_place(architecture: str) -> None:
    """In the first layer a key before rotation is that of its token alone."""
    model, found = recognised(architecture)
    taps = [Tap(0, head) for head in range(found.spec.kv_heads)]
    reader = TapReader(decoder_of(model), found.reads, found.spec, taps, [])
    with reader.attached():
        keys = reader.keys(IDS)
    same: Tensor = keys[IDS == 5]
    torch.testing.assert_close(same, same[:1].expand_as(same), atol=1e-4, rtol=1e-4)


def test_a_bias_by_distance_has_no_part_in_the_scaling() -> None:
    """BLOOM and MPT add ALiBi to the logits."""
    for architecture in ("bloom", "mpt"):
        _, found = recognised(architecture)
        assert found.spec.scaling == pytest.approx(found.spec.head_dim**-0.5, rel=0.01)
