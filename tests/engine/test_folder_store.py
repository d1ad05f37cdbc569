"""Saving and loading an engine."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from conftest import make_llama

from random_bank import make_bank
from s3_retriever.backbone import Backbone
from s3_retriever.codec import Bank
from s3_retriever.config import AnswerConfig, ScanConfig, SearchConfig
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex, folder_store
from s3_retriever.errors import BankError, IndexFileError, ModelMismatchError
from s3_retriever.storage import index_info, verify_index

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerFast


SCAN = ScanConfig(chunk_tokens=64, overlap_tokens=8, batch_tokens=512)
DOCUMENTS = [
    Document("france", "Paris is the capital of France. " * 5, {"year": 1, "tags": ["a", "b"]}),
    Document("sea/ü", "The lighthouse 🗼 keeper climbed.\r\nShips saw the lamp. " * 5),
    Document("0", "A violin is made of spruce and maple."),
]
QUESTIONS = ["What is the capital of France?", "Who climbed?", "spruce"]


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    return make_bank(tiny_backbone)


@pytest.fixture
def index(tiny_backbone: Backbone, bank: Bank) -> EndogenousIndex:
    return EndogenousIndex.build(
        DOCUMENTS, model=tiny_backbone, bank=bank, scan=SCAN, progress=False
    )


def found(index: EndogenousIndex) -> list[Any]:
    return [index.search_many(QUESTIONS), index.search(QUESTIONS[0], k=2, scoring="coactivation")]


def test_an_index_answers_after_load_as_before(
    index: EndogenousIndex, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    index.save(tmp_path / "index")
    again = EndogenousIndex.load(tmp_path / "index", model=tiny_backbone)
    assert found(again) == found(index)
    assert again.documents == index.documents
    assert again.stats == index.stats
    assert again.scan_config == SCAN
    assert verify_index(tmp_path / "index").ok


def test_settings_are_kept(tiny_backbone: Backbone, bank: Bank, tmp_path: Path) -> None:
    settings = {
        "search": SearchConfig(k=2, token_budget=30, order="document"),
        "answer": AnswerConfig(max_new_tokens=7, system="Be brief."),
    }
    index = EndogenousIndex.build(
        DOCUMENTS, model=tiny_backbone, bank=bank, scan=SCAN, progress=False, **settings
    )
    index.save(tmp_path)
    again = EndogenousIndex.load(str(tmp_path), model=tiny_backbone)
    assert again.config == settings["search"]
    assert again.answer_config == settings["answer"]
    assert found(again) == found(index)


def test_a_loaded_index_can_be_changed_and_saved_again(
    index: EndogenousIndex, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    index.save(tmp_path)
    first = {path.name for path in (tmp_path / "segments").iterdir()}
    again = EndogenousIndex.load(tmp_path, model=tiny_backbone)
    again.add(["Rye bread needs a sour starter. " * 3])
    again.delete("0")
    again.save(tmp_path)
    third = EndogenousIndex.load(tmp_path, model=tiny_backbone)
    assert list(third.documents) == ["france", "sea/ü", "3"]
    assert found(third) == found(again)
    assert first < {path.name for path in (tmp_path / "segments").iterdir()}
    assert found(EndogenousIndex.load(tmp_path, model=tiny_backbone)) == found(again)


def test_an_empty_index_can_be_saved(
    index: EndogenousIndex, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    index.delete(list(index.documents))
    index.save(tmp_path)
    assert len(EndogenousIndex.load(tmp_path, model=tiny_backbone)) == 0


def test_the_header_tells_what_it_was_made_with(
    index: EndogenousIndex, bank: Bank, tmp_path: Path
) -> None:
    index.save(tmp_path)
    header = index_info(tmp_path).header
    assert header["model_name"] == "tiny"
    assert header["model_fingerprint"] == bank.fingerprint
    assert header["codec_fingerprint"] == bank.digest()
    assert (tmp_path / header["bank"] / "bank.json").is_file()


# --- banks ----------------------------------------------------------------------------------------


def bank_folders(path: Path) -> list[Path]:
    return sorted(path.glob("*bank*"))


def test_a_bank_is_written_once_and_replaced_with_its_index(
    index: EndogenousIndex, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    index.save(tmp_path)
    (folder,) = bank_folders(tmp_path)
    stamp = (folder / "bank.json").stat().st_mtime_ns
    index.save(tmp_path)
    assert (folder / "bank.json").stat().st_mtime_ns == stamp
    other = EndogenousIndex.build(
        DOCUMENTS, model=tiny_backbone, bank=make_bank(tiny_backbone, 1), progress=False
    )
    other.save(tmp_path)
    (replaced,) = bank_folders(tmp_path)
    assert replaced != folder
    assert found(EndogenousIndex.load(tmp_path, model=tiny_backbone)) == found(other)


def test_a_damaged_bank_is_an_error_and_saving_repairs_it(
    index: EndogenousIndex, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    index.save(tmp_path)
    (folder,) = bank_folders(tmp_path)
    weights = folder / "sae_0" / "sae_weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BankError, match=r"sae_weights.*build the index again"):
        EndogenousIndex.load(tmp_path, model=tiny_backbone)
    index.save(tmp_path)
    assert found(EndogenousIndex.load(tmp_path, model=tiny_backbone)) == found(index)


def test_a_bank_in_the_place_of_another_is_an_error(
    index: EndogenousIndex, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    index.save(tmp_path)
    (folder,) = bank_folders(tmp_path)
    shutil.rmtree(folder)
    make_bank(tiny_backbone, 1).save(folder)
    with pytest.raises(BankError, match="does not hold the bank"):
        EndogenousIndex.load(tmp_path, model=tiny_backbone)


# --- models ---------------------------------------------------------------------------------------


def test_another_model_is_refused(
    index: EndogenousIndex, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    index.save(tmp_path)
    other = make_llama(tiny_tokenizer, seed=1)
    with pytest.raises(ModelMismatchError, match=r"'tiny'.*model=") as caught:
        EndogenousIndex.load(tmp_path, model=other, tokenizer=tiny_tokenizer)
    assert str(tmp_path) in str(caught.value)


def test_a_copy_of_the_model_will_do(
    index: EndogenousIndex, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    index.save(tmp_path)
    copy = make_llama(tiny_tokenizer, seed=0)
    again = EndogenousIndex.load(tmp_path, model=copy, tokenizer=tiny_tokenizer)
    assert found(again) == found(index)


def test_without_a_model_the_default_is_taken(
    index: EndogenousIndex,
    tiny_backbone: Backbone,
    tiny_tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index.save(tmp_path)
    monkeypatch.setattr(Backbone, "load", lambda name, **options: tiny_backbone)
    assert found(EndogenousIndex.load(tmp_path)) == found(index)
    other = Backbone(make_llama(tiny_tokenizer, seed=1), tiny_tokenizer)
    monkeypatch.setattr(Backbone, "load", lambda name, **options: other)
    with pytest.raises(ModelMismatchError, match="model="):
        EndogenousIndex.load(tmp_path)


def test_a_save_hashes_no_document_twice(
    index: EndogenousIndex,
    tiny_backbone: Backbone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashed = []
    digest = folder_store.array_digest

    def spy(arrays: Any) -> str:
        hashed.append(len(arrays["starts"]))
        return digest(arrays)

    monkeypatch.setattr(folder_store, "array_digest", spy)
    index.save(tmp_path)
    first = len(hashed)
    index.save(tmp_path)
    again = EndogenousIndex.load(tmp_path, model=tiny_backbone)
    again.save(tmp_path)
    assert len(hashed) == first
    again.add(["One text more."])
    again.save(tmp_path)
    assert len(hashed) == first + 1
    assert verify_index(tmp_path).ok


# --- interruption ---------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("step", [(Bank, "files"), (folder_store, "save_index")])
def test_an_interrupted_save_leaves_the_old_index(
    index: EndogenousIndex,
    tiny_backbone: Backbone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    step: tuple[Any, str],
) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise error("now")

    index.save(tmp_path)
    other = EndogenousIndex.build(
        ["Another text altogether."],
        model=tiny_backbone,
        bank=make_bank(tiny_backbone, 1),
        progress=False,
    )
    monkeypatch.setattr(*step, interrupt)
    with pytest.raises((error, IndexFileError)):
        other.save(tmp_path, overwrite=True)
    monkeypatch.undo()
    assert found(EndogenousIndex.load(tmp_path, model=tiny_backbone)) == found(index)
    other.save(tmp_path, overwrite=True)
    assert len(bank_folders(tmp_path)) == 1
    assert found(EndogenousIndex.load(tmp_path, model=tiny_backbone)) == found(other)
