"""Tiny random models in folders as sentence-transformers saves them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from transformers import PretrainedConfig, PreTrainedModel

WORDS = "the a cat dam of river water bread sleeps holds back rises query passage : The Cat"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WIDTH = 16


def write_sentence_folder(
    folder: Path,
    *layers: str,
    pooling: dict[str, Any] | None = None,
    said: dict[str, Any] | None = None,
    reading: dict[str, Any] | None = None,
    model: type[PreTrainedModel] = BertModel,
    config: PretrainedConfig | None = None,
) -> Path:
    """Write a model: a transformer, a pooling, and layers by the names of their types.

    Args:
        folder: To make.
        layers: Such as ``"Dense"``, which halves the width.
        pooling: Configuration; None for the mean.
        said: Of the whole model, such as its prompts.
        reading: Of its transformer, such as the limit of tokens.
        model: Class of the transformer.
        config: Of the transformer; None for that of a tiny BERT.
    """
    made(model, config or tiny_bert()).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for number, layer in enumerate(layers, start=2):
            _write_layer(folder / f"{number}_{layer}", layer)
    tokenizer().save_pretrained(folder)
    write_json(folder / "1_Pooling/config.json", pooling or {"pooling_mode_mean_tokens": True})
    if said is not None:
        write_json(folder / "config_sentence_transformers.json", said)
    if reading is not None:
        write_json(folder / "sentence_bert_config.json", reading)
    write_modules(folder, ["Transformer", "Pooling", *layers])
    return folder


def write_modules(folder: Path, kinds: Sequence[str]) -> None:
    """Write which modules there are, each in a folder of its number and name."""
    paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds[1:], start=1))]
    modules = [
        {
            "idx": number,
            "name": str(number),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for number, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    write_json(folder / "modules.json", modules)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON into a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def tiny_bert() -> BertConfig:
    """A BERT of two layers."""
    return BertConfig(
        vocab_size=len(_vocabulary()),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
    )


def tokenizer() -> PreTrainedTokenizerFast:
    """Words, between ``[CLS]`` and ``[SEP]``."""
    words = Tokenizer(models.WordLevel(_vocabulary(), unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


def made(model: type[PreTrainedModel], config: PretrainedConfig) -> PreTrainedModel:
    """A random model, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model(config).eval()


def _write_layer(folder: Path, kind: str) -> None:
    if kind == "Dense":
        shape = {"in_features": WIDTH, "out_features": WIDTH // 2, "bias": True}
        activation = "torch.nn.modules.activation.Tanh"
        write_json(folder / "config.json", {**shape, "activation_function": activation})
        weight, bias = torch.randn(WIDTH // 2, WIDTH), torch.randn(WIDTH // 2)
        save_file({"linear.weight": weight, "linear.bias": bias}, folder / "model.safetensors")
    elif kind == "LayerNorm":
        write_json(folder / "config.json", {"dimension": WIDTH})
        weights = {"norm.weight": torch.rand(WIDTH), "norm.bias": torch.rand(WIDTH)}
        save_file(weights, folder / "model.safetensors")


def _vocabulary() -> dict[str, int]:
    return {word: number for number, word in enumerate((*SPECIAL, *WORDS.split()))}
