"""Folders of sentence-transformers, against what their files say, computed text by text."""

from __future__ import annotations

import json
import shutil
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import (
    BertModel,
    Gemma3TextConfig,
    Gemma3TextModel,
    T5Config,
    T5EncoderModel,
    T5Model,
)

from s3_retriever.errors import InputError
from s3_retriever.evaluate import SentenceEmbedder, embedding
from s3_retriever.evaluate.rankers import sentence_embedder
from s3_retriever.evaluate.rankers.embedders import as_embedder
from sentence_folder import (
    WIDTH,
    made,
    tiny_bert,
    tokenizer,
    write_json,
    write_modules,
    write_sentence_folder,
)

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["the cat sleeps", "a dam holds back the water of the river", "bread rises", "water"]
PROMPTS = {"query": "query : ", "passage": "passage : "}
RAW = {"similarity_fn_name": "dot"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """Mean of the states of a tiny BERT, compared by their inner product."""
    return write_sentence_folder(tmp_path_factory.mktemp("models") / "plain", said=RAW)


@pytest.fixture(scope="module")
def dense(tmp_path_factory) -> Path:
    """One with a layer that halves the width, prompts, and vectors of length 1."""
    said = {**RAW, "prompts": PROMPTS}
    folder = tmp_path_factory.mktemp("models") / "dense"
    return write_sentence_folder(folder, "Dense", "Normalize", said=said)


@pytest.fixture
def copy(plain, tmp_path) -> Path:
    return shutil.copytree(plain, tmp_path / "copy")


@cache
def parts(model=BertModel, folder: Path | None = None):
    """The tokenizer of all models, and a model: that of a folder, or the tiny BERT."""
    bert = made(BertModel, tiny_bert()) if folder is None else model.from_pretrained(folder)
    return tokenizer(), bert.eval()


@torch.no_grad()
def states(text: str, *which) -> np.ndarray:
    """States ``[t, d]`` of one text, read alone."""
    tokenizer, model = parts(*which)
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    return model(input_ids=ids).last_hidden_state[0].numpy()


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_all_modules_and_prompts(dense):
    weights = load_file(dense / "2_Dense/model.safetensors")

    def wanted(text):
        mean = states(text).mean(0)
        return unit(np.tanh(weights["linear.weight"] @ mean + weights["linear.bias"]))

    model = SentenceEmbedder(dense)
    found = model.texts(TEXTS)
    assert (found.dtype, found.shape) == (np.float32, (4, WIDTH // 2))
    np.testing.assert_allclose(found, [wanted(f"passage : {t}") for t in TEXTS], atol=1e-6)
    np.testing.assert_allclose(model.question("cat"), wanted("query : cat"), atol=1e-6)


POOLED = {
    "cls": lambda x: x[0],
    "max": lambda x: x.max(0),
    "mean": lambda x: x.mean(0),
    "mean_sqrt_len_tokens": lambda x: x.sum(0) / np.sqrt(len(x)),
    "weightedmean": lambda x: np.average(x, axis=0, weights=range(1, len(x) + 1)),
    "lasttoken": lambda x: x[-1],
}
FLAGS = {
    "cls": "cls_token",
    "max": "max_tokens",
    "mean": "mean_tokens",
    "weightedmean": "weightedmean_tokens",
}


@pytest.mark.parametrize("mode", POOLED)
def test_each_way_to_pool(copy, mode):
    flags = {f"pooling_mode_{FLAGS.get(key, key)}": key == mode for key in POOLED}
    wanted = [POOLED[mode](states(text)) for text in TEXTS]
    for config in (flags, {"pooling_mode": mode}):
        write_json(copy / "1_Pooling/config.json", {"embedding_dimension": WIDTH, **config})
        np.testing.assert_allclose(SentenceEmbedder(copy).texts(TEXTS), wanted, atol=1e-6)


def test_ways_to_pool_are_joined(copy):
    flags = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}
    wanted = [np.concatenate([x[0], x.mean(0)]) for x in (states(text) for text in TEXTS)]
    for config in (flags, {"pooling_mode": ["cls", "mean"]}):
        write_json(copy / "1_Pooling/config.json", config)
        np.testing.assert_allclose(SentenceEmbedder(copy).texts(TEXTS), wanted, atol=1e-6)


def test_a_prompt_may_be_left_out_of_the_pooling(copy):
    pooling = {"pooling_mode": "mean", "include_prompt": False}
    write_json(copy / "1_Pooling/config.json", pooling)
    model = SentenceEmbedder(copy, prompts=("query : ", "passage : "))
    wanted = [states(f"passage : {text}")[3:].mean(0) for text in TEXTS]
    np.testing.assert_allclose(model.texts(TEXTS), wanted, atol=1e-6)
    assert SentenceEmbedder(copy).prompts == ("", "")


@pytest.mark.parametrize(
    ("prompts", "default", "wanted"),
    [
        (PROMPTS, None, ("query : ", "passage : ")),
        ({"query": "q", "document": "d", "passage": "p"}, None, ("q", "d")),
        ({"query": "q", "document": ""}, None, ("q", "")),
        ({"query": "q"}, "query", ("q", "")),
        ({"corpus": "c", "task": "t"}, "task", ("t", "c")),
        ({"task": "t"}, "task", ("t", "t")),
        ({"task": "t"}, None, ("", "")),
        (None, None, ("", "")),
    ],
)
def test_prompts_are_those_of_their_side(copy, prompts, default, wanted):
    said = {"prompts": prompts, "default_prompt_name": default}
    write_json(copy / "config_sentence_transformers.json", said)
    assert SentenceEmbedder(copy).prompts == wanted
    assert SentenceEmbedder(copy, prompts=("a", "b")).prompts == ("a", "b")


def test_long_texts_are_cut_and_capitals_lowered(copy):
    long = " ".join(["The Cat"] * 100)
    whole = SentenceEmbedder(copy).question(long)  # 64 places of the model
    np.testing.assert_allclose(whole, states("The Cat " * 31).mean(0), atol=1e-6)
    write_json(copy / "sentence_bert_config.json", {"max_seq_length": 6, "do_lower_case": True})
    model = SentenceEmbedder(copy)
    np.testing.assert_allclose(model.question(long), states("the cat the cat").mean(0), atol=1e-6)


def test_vectors_do_not_depend_on_batches(plain, monkeypatch, capsys):
    model, many = SentenceEmbedder(plain), TEXTS * 5
    alone = np.stack([model.question(text) for text in many])
    assert capsys.readouterr().err == ""
    for size in (1, 25, 10_000):
        monkeypatch.setattr(sentence_embedder, "_BATCH", size)
        np.testing.assert_allclose(model.texts(many, progress=True), alone, atol=1e-6)
    assert "plain" in capsys.readouterr().err


def test_vectors_are_of_unit_length_unless_their_inner_products_are_asked_for(copy):
    raw = SentenceEmbedder(copy).texts(TEXTS)
    for said in ({}, {"similarity_fn_name": None}, {"similarity_fn_name": "cosine"}):
        write_json(copy / "config_sentence_transformers.json", said)
        found = SentenceEmbedder(copy).texts(TEXTS)
        np.testing.assert_allclose(found, [unit(row) for row in raw], atol=1e-6)


def test_layers_without_and_with_weights(tmp_path):
    folder = write_sentence_folder(tmp_path / "normed", "Dropout", "LayerNorm", said=RAW)
    weights = load_file(folder / "3_LayerNorm/model.safetensors")
    mean = states(TEXTS[0]).mean(0)
    normed = (mean - mean.mean()) / np.sqrt(mean.var() + 1e-5)
    wanted = normed * weights["norm.weight"] + weights["norm.bias"]
    np.testing.assert_allclose(SentenceEmbedder(folder).question(TEXTS[0]), wanted, atol=1e-5)


def test_pickled_weights_and_an_own_folder_for_the_transformer(tmp_path, dense):
    folder = shutil.copytree(dense, tmp_path / "model")
    wanted = SentenceEmbedder(folder).texts(TEXTS)
    from safetensors.torch import load_file as load

    for file, name in (("model", "pytorch_model"), ("2_Dense/model", "2_Dense/pytorch_model")):
        torch.save(load(folder / f"{file}.safetensors"), folder / f"{name}.bin")
        (folder / f"{file}.safetensors").unlink()
    inner = folder / "0_Transformer"
    inner.mkdir()
    for path in list(folder.iterdir()):
        if path.is_file() and path.name not in (
            "modules.json",
            "config_sentence_transformers.json",
        ):
            path.rename(inner / path.name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = inner.name
    write_json(folder / "modules.json", modules)
    np.testing.assert_allclose(SentenceEmbedder(folder).texts(TEXTS), wanted, atol=1e-6)


def test_the_encoder_of_an_encoder_and_decoder(tmp_path):
    config = T5Config(
        vocab_size=40, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0
    )
    folder = write_sentence_folder(tmp_path / "t5", said=RAW, model=T5Model, config=config)
    wanted = [states(text, T5EncoderModel, folder).mean(0) for text in TEXTS]
    np.testing.assert_allclose(SentenceEmbedder(folder).texts(TEXTS), wanted, atol=1e-6)


@pytest.mark.parametrize("both", [False, True])
def test_attention_in_both_directions_where_the_model_says_so(tmp_path, both):
    config = Gemma3TextConfig(
        vocab_size=40,
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        use_bidirectional_attention=both,
        pad_token_id=0,
    )
    folder = write_sentence_folder(
        tmp_path / "gemma",
        pooling={"pooling_mode": "cls"},
        model=Gemma3TextModel,
        config=config,
    )
    first, other = SentenceEmbedder(folder).texts(["the cat sleeps", "the river"])
    assert np.allclose(first, other, atol=1e-6) != both


def test_a_folder_makes_two_rankers_of_its_name(plain, tmp_path):
    for model in (plain, str(plain), SentenceEmbedder(plain)):
        alone, fused = embedding(model)
        assert (alone.name, fused.name) == ("plain", "bm25+plain")
        assert (alone.title, fused.title) == ("plain + FAISS", "BM25 + plain, RRF")
    assert embedding(plain, name="mine", title="Mine")[0].title == "Mine + FAISS"
    cached = tmp_path / "models--who--small-model/snapshots/0123abcd"
    shutil.copytree(plain, cached)
    assert as_embedder(cached).name == "small-model"
    assert SentenceEmbedder(cached, name="other").name == "other"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: shutil.rmtree(f), "there is no folder"),
        (lambda f: (f / "modules.json").unlink(), "no modules.json"),
        (lambda f: (f / "modules.json").write_text("{}"), "must list types and paths"),
        (lambda f: (f / "modules.json").write_text("["), "cannot be read"),
        (lambda f: write_modules(f, ["Transformer", "CNN"]), r"CNN; known: Transformer, .*Dense"),
        (lambda f: write_json(f / "modules.json", [{"type": "mine.Pooling", "path": ""}]), "mine."),
        (lambda f: write_modules(f, ["Transformer"]), "modules Transformer, and only"),
        (lambda f: shutil.rmtree(f / "1_Pooling"), "1_Pooling.config.json is missing"),
        (lambda f: write_json(f / "1_Pooling/config.json", []), "must hold an object"),
        (
            lambda f: write_json(f / "1_Pooling/config.json", {"pooling_mode_middle": True}),
            "pools by 'pooling_mode_middle'",
        ),
        (lambda f: write_json(f / "1_Pooling/config.json", {"pooling_mode": "men"}), "'mean'"),
        (
            lambda f: write_json(
                f / "config_sentence_transformers.json", {"similarity_fn_name": "euclidean"}
            ),
            "euclidean; known: cosine, dot",
        ),
        (lambda f: (f / "config.json").unlink(), "config.json is missing"),
        (lambda f: (f / "model.safetensors").unlink(), "cannot load a model"),
        (lambda f: (f / "model.safetensors").write_bytes(b"no"), "cannot load a model"),
        (lambda f: (f / "tokenizer.json").write_text("no"), "cannot load a model"),
        (
            lambda f: shutil.copy(f / "2_Dense/model.safetensors", f / "model.safetensors"),
            "holds no weights for embeddings",
        ),
        (lambda f: (f / "2_Dense/model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda f: (f / "2_Dense/model.safetensors").write_bytes(b"no"), "are damaged"),
        (
            lambda f: shutil.copy(f / "model.safetensors", f / "2_Dense/model.safetensors"),
            "lack linear.weight",
        ),
        (lambda f: change(f, activation_function="mine.Swish"), "unknown activation mine.Swish"),
        (lambda f: change(f, activation_function="torch.nn.Swoosh"), "unknown activation"),
        (lambda f: change(f, use_residual=True), "a residual"),
        (lambda f: change(f, module_input_name="token_embeddings"), "on tokens"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(tmp_path, dense, spoil, words):
    folder = shutil.copytree(dense, tmp_path / "model")
    spoil(folder)
    with pytest.raises(InputError, match=words) as caught:
        SentenceEmbedder(folder)
    assert "\n" not in str(caught.value)


def change(folder: Path, **changes: object) -> None:
    path = folder / "2_Dense/config.json"
    write_json(path, {**json.loads(path.read_text()), **changes})
