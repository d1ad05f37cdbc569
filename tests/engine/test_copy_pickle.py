"""What copies share, what a pickle holds, and what cannot be pickled says so."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
import torch

from llama_index.retrievers.s3 import EndogenousRetriever
from random_bank import make_bank
from s3_retriever.answering.generator import TextGenerator
from s3_retriever.backbone import Backbone, Tap
from s3_retriever.backbone.sharing import Origin
from s3_retriever.config import AnswerConfig, ScanConfig, SearchConfig
from s3_retriever.documents import Answer, Document, Span
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.results import IndexStats, SearchResult, SearchSeconds
from s3_retriever.errors import InputError
from s3_retriever.reading.clock import ScanReport

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
}


@pytest.fixture(params=COPIES)
def copied(request):
    return COPIES[request.param]


@pytest.fixture(scope="module")
def folder(tiny_llama, tmp_path_factory):
    """The tiny model, saved."""
    place = tmp_path_factory.mktemp("models") / "tiny"
    for part in tiny_llama:
        part.save_pretrained(place)
    return place


# --- the model ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["copy", "deepcopy"])
def test_copies_of_a_backbone_are_the_backbone(tiny_backbone, how):
    assert COPIES[how](tiny_backbone) is tiny_backbone
    assert COPIES[how]([tiny_backbone])[0] is tiny_backbone


def test_a_model_in_memory_is_not_pickled_and_the_reason_says_what_to_do(tiny_backbone):
    with pytest.raises(InputError, match=r"Backbone\.load\(") as caught:
        pickle.dumps({"deep": [tiny_backbone]})
    assert "." not in str(caught.value).replace("Backbone.load", "")  # one sentence


@pytest.mark.slow
def test_a_pickle_holds_the_call_and_no_weights(folder):
    backbone = Backbone.load(folder, dtype=torch.float32)
    assert len(pickle.dumps(backbone)) < 1000


@pytest.mark.slow
def test_a_process_holds_one_copy_of_the_weights(folder):
    backbone = Backbone.load(folder, device="cpu", dtype=torch.float32)
    pickled = pickle.dumps([backbone, TextGenerator(backbone)])
    again, generator = pickle.loads(pickled)
    assert again is generator.backbone is backbone
    gone = weakref.ref(backbone)
    del backbone, again, generator
    gc.collect()
    assert gone() is None
    first, second = pickle.loads(pickled)[0], pickle.loads(pickled)[1].backbone
    assert first is second
    assert (first.dtype, first.device.type) == (torch.float32, "cpu")


@pytest.mark.slow
def test_threads_that_unpickle_at_once_load_once(folder):
    pickled = pickle.dumps(Backbone.load(folder, dtype=torch.float64))
    gc.collect()
    found: list[Backbone] = []
    threads = [
        threading.Thread(target=lambda: found.append(pickle.loads(pickled))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(map(id, found))) == 1


def test_loading_by_hand_always_loads(folder):
    assert Backbone.load(folder) is not Backbone.load(folder)


def test_device_and_dtype_tell_backbones_apart(folder):
    single, double = (Backbone.load(folder, dtype=t) for t in (torch.float32, torch.float64))
    assert pickle.loads(pickle.dumps(single)) is single
    assert pickle.loads(pickle.dumps(double)) is double


def test_a_subclass_comes_back_as_itself(folder):
    backbone = Tuned.load(folder)
    assert pickle.loads(pickle.dumps(backbone)) is backbone
    assert type(pickle.loads(pickle.dumps(Backbone.load(folder)))) is Backbone


class Tuned(Backbone):
    """A backbone by another name."""


OTHER = """
import pickle, sys
from s3_retriever.backbone import Tap
first, second = (pickle.load(open(sys.argv[1], "rb")) for _ in range(2))
assert first is second
print(first.dtype, first.fingerprint([Tap(2, 1)]))
"""


@pytest.mark.slow
def test_another_process_loads_the_same_model_from_anywhere(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    backbone = Backbone.load(folder.name, dtype=torch.float64)
    (tmp_path / "pickled").write_bytes(pickle.dumps(backbone))
    done = subprocess.run(
        [sys.executable, "-c", OTHER, "pickled"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.stdout.split() == ["torch.float64", backbone.fingerprint([Tap(2, 1)])], done.stderr


def test_a_folder_that_has_gone_is_named(folder, tmp_path):
    pickled = pickle.dumps(Origin.of(Backbone, tmp_path, "cpu", None))
    origin = pickle.loads(pickled)
    gone = Origin(origin.kind, f"{origin.source}/gone", origin.device, origin.dtype)
    backbone = Backbone.load(folder)
    backbone._origin = gone
    with pytest.raises(InputError, match="gone"):
        pickle.loads(pickle.dumps(backbone))


def test_what_a_call_loaded_is_noted_as_it_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.gguf").touch()
    asked = [None, "someone/a-model", "model.gguf", Path("model.gguf")]
    sources = [Origin.of(Backbone, name, None, None).source for name in asked]
    assert sources == [None, "someone/a-model", *[str(tmp_path / "model.gguf")] * 2]
    device = Origin.of(Backbone, None, torch.device("cuda", 1), torch.float16)
    assert (device.device, device.dtype) == ("cuda:1", torch.float16)


def test_the_default_model_is_pickled_too(default_backbone):
    assert pickle.loads(pickle.dumps(default_backbone)).dtype == default_backbone.dtype
    assert default_backbone._origin == Origin.of(Backbone, None, None, None)


def test_copies_of_a_text_tokenizer_read_special_tokens_as_text(tiny_backbone, copied):
    text = "a <|im_end|> b"
    expected = tiny_backbone.text.encode(text).ids.tolist()
    assert copied(tiny_backbone.text).encode(text).ids.tolist() == expected


# --- banks and plain values -----------------------------------------------------------------------


def test_copies_of_a_bank_encode_alike_without_what_was_made_ready(tiny_backbone, copied):
    bank = make_bank(tiny_backbone)
    size = len(pickle.dumps(bank))
    keys = torch.randn(5, 3, tiny_backbone.spec.head_dim)
    codes, digest = bank.encode(keys), bank.digest()
    again = copied(bank)
    assert again.digest() == digest
    assert not again._folded
    assert torch.equal(again.encode(keys).latents, codes.latents)
    assert torch.equal(again.encode(keys).values, codes.values)
    assert bank._folded
    assert len(pickle.dumps(bank)) < size + 50_000


SPAN = Span("d", 0, 5, "Paris", 1.5, {"s3": 1.5, "bm25": 0.0}, 1, {"year": 2024, "tags": ["a"]})
VALUES = [
    ScanConfig(chunk_tokens=64),
    SearchConfig(k=3),
    AnswerConfig(k=2),
    ScanReport(tokens=3, seconds=0.5, stages={"forward": 0.25}),
    Document("d", "Paris", {"year": 2024, "tags": ["a", {"b": None}]}),
    SPAN,
    Answer("Paris.", "Where?", (SPAN,), 10),
    SearchResult("Where?", (SPAN,), SearchSeconds(read=0.5), {"d": Document("d", "Paris")}),
    IndexStats(
        documents=1,
        characters=5,
        tokens=1,
        index_bytes=10,
        bank_bytes=10,
        kv_bytes_per_token=4,
        taps=1,
        deepest_layer=0,
        layers=1,
        scan=ScanReport(),
    ),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_plain_values_are_copied_and_pickled(value, copied):
    again = copied(value)
    assert again == value
    assert repr(again) == repr(value)
    assert str(again) == str(value)
    if isinstance(value, SearchResult):
        assert again.sources == value.sources


def test_an_llm_of_llama_index_and_an_index(tiny_llama, tmp_path):
    for part in tiny_llama:
        part.save_pretrained(tmp_path / "model")
    backbone = Backbone.load(tmp_path / "model")
    index = EndogenousIndex.build(
        ["Paris is the capital of France."],
        model=backbone,
        bank=make_bank(backbone),
        progress=False,
    )
    index.save(tmp_path / "index")
    retriever = EndogenousRetriever(index)
    llm = retriever.as_llm(max_new_tokens=4)
    for again in (copy.copy, copy.deepcopy, lambda item: pickle.loads(pickle.dumps(item))):
        assert again(llm).complete("Where?").text == llm.complete("Where?").text
        (found,) = again(retriever).retrieve("Where is Paris?")
        assert found.node.text == "Paris is the capital of France."
    in_memory = EndogenousRetriever(
        EndogenousIndex.load(tmp_path / "index", model=Backbone(*tiny_llama))
    )
    for item in (in_memory, in_memory.as_llm()):
        with pytest.raises(InputError, match=r"Backbone\.load"):
            pickle.dumps(item)
