"""``s3-retriever check``: what it says of a model that serves, and of one that does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import transformers

from s3_retriever.cli import main
from tiny_architectures import tiny_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("S3_RETRIEVER_CACHE", str(tmp_path / "cache"))
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_recognised_model(folder: Path, capsys: Any) -> None:
    tiny_model("qwen3_next").save_pretrained(folder)
    assert main(["check", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["serves"], found["known"], found["architecture"]) == (
        True,
        "recognised",
        "qwen3_next",
    )
    assert (found["layers"], found["readable"], found["heads"], found["kv_heads"]) == (4, [3], 4, 2)
    assert found["taps"] == [{"layer": 3, "kv_head": 0}, {"layer": 3, "kv_head": 1}]
    item = 2 if found["dtype"] == "bfloat16" else 4
    assert found["key_bytes"] == 2 * found["head_dim"] * item
    assert found["cache_bytes"] == 2 * 2 * found["head_dim"] * item
    assert found["seconds"] > 0 and found["tokens"] == 64
    assert found["weight_bytes"] > 10_000


def test_words_for_people(folder: Path, capsys: Any) -> None:
    tiny_model("gemma4_text").save_pretrained(folder)
    assert main(["check", str(folder), "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "model (gemma4_text) can serve" in printed
    assert "layers      4, of which 3 can be read" in printed
    assert "layer 3 cannot: its keys have another shape" in printed
    assert "to be chosen in layers 0 to 1: no bank yet" in printed


def test_refused_model(folder: Path, capsys: Any) -> None:
    config = transformers.MambaConfig(hidden_size=8, num_hidden_layers=1, vocab_size=400)
    transformers.MambaForCausalLM(config).save_pretrained(folder)
    assert main(["check", str(folder), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["serves"] is False and "no attention with projections" in found["reason"]
    assert main(["check", str(folder)]) == 1
    assert "no attention with projections" in capsys.readouterr().err


def test_default_model_reads_the_taps_of_its_bank(
    default_backbone: Any, loaded_once: None, capsys: Any
) -> None:
    assert main(["check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["known"] == "tested" and found["taps_from"] == "its bank"
    assert found["key_bytes"] == len(found["taps"]) * 64 * (2 if found["dtype"] != "float32" else 4)
