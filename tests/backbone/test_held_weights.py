"""Models as people hold them: offloaded, compiled, quantised, with adapters, untied."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from accelerate import cpu_offload
from torch import Tensor

from random_bank import make_bank
from s3_retriever.backbone import Backbone, Tap
from s3_retriever.engine.resolve import resolve_bank
from s3_retriever.errors import ModelMismatchError, UnsupportedModelError
from tiny_architectures import tiny_model

if TYPE_CHECKING:
    from pathlib import Path

TAPS = (Tap(0, 0), Tap(3, 1))


@pytest.fixture(scope="module", params=["listed", "recognised", "latent"])
def model(request: pytest.FixtureRequest) -> Any:
    """One of the table, one that is recognised, and one whose keys are made in several steps."""
    return tiny_model(
        {"listed": "qwen3", "recognised": "granite", "latent": "youtu"}[request.param]
    )


@pytest.fixture(scope="module")
def ids() -> Tensor:
    return torch.randint(3, 200, (1, 10), generator=torch.Generator().manual_seed(1))


def read(model: Any, tokenizer: Any, ids: Tensor) -> tuple[Tensor, str]:
    backbone = Backbone(model, tokenizer)
    with backbone.tap(TAPS) as reader:
        keys = [reader.keys(ids) for _ in range(2)]
    torch.testing.assert_close(*keys)
    return keys[0], backbone.fingerprint(TAPS)


def same(model: Any, other: Any, tokenizer: Any, ids: Tensor) -> None:
    keys, fingerprint = read(model, tokenizer, ids)
    other_keys, other_fingerprint = read(other, tokenizer, ids)
    torch.testing.assert_close(keys, other_keys, atol=1e-4, rtol=1e-4)
    assert other_fingerprint == fingerprint


def test_offloaded_to_disk(model: Any, tiny_tokenizer: Any, ids: Tensor, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    resident = ("lm_head", "model.embed_tokens", "model.norm", "model.rotary_emb")
    places = dict.fromkeys(resident, "cpu")
    places |= {f"model.layers.{layer}": "disk" if layer % 2 else "cpu" for layer in range(4)}
    offloaded = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "model",
        device_map=places,
        offload_folder=str(tmp_path / "disk"),
        dtype=torch.float32,
    )
    assert any(weight.is_meta for weight in offloaded.parameters())
    same(model, offloaded, tiny_tokenizer, ids)
    assert any(weight.is_meta for weight in offloaded.parameters())


def test_offloaded_whole(model: Any, tiny_tokenizer: Any, ids: Tensor) -> None:
    offloaded = cpu_offload(copy.deepcopy(model), execution_device="cpu")
    assert all(weight.is_meta for weight in offloaded.parameters())
    backbone = Backbone(offloaded, tiny_tokenizer)
    assert backbone.device == torch.device("cpu")
    same(model, offloaded, tiny_tokenizer, ids)


def test_compiled(model: Any, tiny_tokenizer: Any, ids: Tensor) -> None:
    same(model, torch.compile(copy.deepcopy(model)), tiny_tokenizer, ids)


def test_untied_head(model: Any, tiny_tokenizer: Any, ids: Tensor) -> None:
    untied = copy.deepcopy(model)
    untied.lm_head.weight = torch.nn.Parameter(torch.randn_like(untied.lm_head.weight))
    same(model, untied, tiny_tokenizer, ids)


def test_adapters_on_and_merged(tiny_tokenizer: Any, ids: Tensor) -> None:
    peft = pytest.importorskip("peft")
    model = tiny_model("granite")
    config = peft.LoraConfig(target_modules=["q_proj", "k_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(copy.deepcopy(model), config)
    merged = copy.deepcopy(adapted).merge_and_unload()
    same(adapted, merged, tiny_tokenizer, ids)
    _, plain = read(model, tiny_tokenizer, ids)
    assert read(adapted, tiny_tokenizer, ids)[1] != plain
    with adapted.disable_adapter():
        same(model, adapted, tiny_tokenizer, ids)


def test_quantised_by_torchao(tiny_tokenizer: Any, ids: Tensor) -> None:
    quantization = pytest.importorskip("torchao.quantization")
    model = tiny_model("granite")
    quantised = copy.deepcopy(model)
    quantization.quantize_(quantised, quantization.Int8WeightOnlyConfig())
    keys, fingerprint = read(model, tiny_tokenizer, ids)
    coarse, other = read(quantised, tiny_tokenizer, ids)
    assert other != fingerprint == read(model, tiny_tokenizer, ids)[1]
    torch.testing.assert_close(coarse[:, :, 0], keys[:, :, 0], atol=0.1, rtol=0.1)


@pytest.mark.parametrize("bits", [8, 4])
def test_quantised_by_bitsandbytes(
    tiny_tokenizer: Any, ids: Tensor, tmp_path: Path, bits: int
) -> None:
    pytest.importorskip("bitsandbytes")
    model = tiny_model("granite")
    model.save_pretrained(tmp_path / "model")
    settings = transformers.BitsAndBytesConfig(load_in_8bit=bits == 8, load_in_4bit=bits == 4)
    quantised = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "model", quantization_config=settings, device_map="cpu"
    )
    keys, fingerprint = read(model, tiny_tokenizer, ids)
    coarse, other = read(quantised, tiny_tokenizer, ids)
    assert other != fingerprint
    alike = torch.cosine_similarity(coarse[:, :, 0], keys[:, :, 0], dim=-1)
    assert alike.min() > (0.99 if bits == 8 else 0.9)
    assert Backbone(quantised, tiny_tokenizer).held_as == "quantised (bitsandbytes)"


def test_an_error_says_how_weights_are_held(tiny_tokenizer: Any, tiny_backbone: Backbone) -> None:
    peft = pytest.importorskip("peft")
    quantization = pytest.importorskip("torchao.quantization")
    bank = make_bank(tiny_backbone)
    config = peft.LoraConfig(target_modules=["q_proj", "k_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(copy.deepcopy(tiny_backbone.model), config)
    quantised = copy.deepcopy(tiny_backbone.model)
    quantization.quantize_(quantised, quantization.Int8WeightOnlyConfig())
    for model, held in ((adapted, "under the adapter 'default'"), (quantised, "quantised \\(Int8")):
        with pytest.raises(ModelMismatchError, match=f"weights or sizes differ: it is {held}"):
            resolve_bank(bank, Backbone(model, tiny_tokenizer), (), False)
    assert tiny_backbone.held_as == ""


def test_several_models_at_once(tiny_tokenizer: Any, ids: Tensor) -> None:
    first, second = (Backbone(tiny_model(name), tiny_tokenizer) for name in ("granite", "gpt2"))
    alone = [read(each.model, tiny_tokenizer, ids)[0] for each in (first, second)]
    taps = (Tap(0, 0), Tap(3, 1))
    with first.tap(taps) as one, second.tap(taps) as other:
        torch.testing.assert_close([one.keys(ids), other.keys(ids)], alone)
    assert first.fingerprint(taps) != second.fingerprint(taps)


def test_weights_that_were_never_loaded_are_named(tiny_tokenizer: Any) -> None:
    model = tiny_model("granite").to("meta")
    with pytest.raises(UnsupportedModelError, match=r"never loaded \(meta device\).*weight"):
        Backbone(model, tiny_tokenizer)
