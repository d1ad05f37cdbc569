"""Bad input gets an error that says what to do, or a documented result, and nothing is lost."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import make_llama

from random_bank import make_bank
from s3_retriever.backbone import Backbone, gguf
from s3_retriever.codec import Bank
from s3_retriever.config import AnswerConfig, ScanConfig, SearchConfig
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.errors import (
    BankError,
    IndexFileError,
    InputError,
    MissingExtraError,
    ModelMismatchError,
    S3Error,
)
from s3_retriever.storage import files, verify_index
from small_disk import no_file_above

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerFast

SCAN = ScanConfig(chunk_tokens=64, overlap_tokens=8, batch_tokens=512)
DOCUMENTS = [
    Document("france", "Paris is the capital of France. The Seine runs through it. " * 4),
    Document("bread", "Rye bread needs a sour starter. The dough rests for a night. " * 4),
]
QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    return make_bank(tiny_backbone)


@pytest.fixture(scope="module")
def index(tiny_backbone: Backbone, bank: Bank) -> EndogenousIndex:
    """Shared: every bad call must leave it as it was."""
    return build(DOCUMENTS, tiny_backbone, bank)


@pytest.fixture(autouse=True)
def unharmed(index: EndogenousIndex) -> Any:
    before = index.search(QUESTION)
    yield
    assert list(index.documents) == ["france", "bread"]
    assert index.search(QUESTION) == before


def build(documents: Any, backbone: Any, bank: Any, **options: Any) -> EndogenousIndex:
    return EndogenousIndex.build(
        documents, model=backbone, bank=bank, scan=SCAN, progress=False, **options
    )


# --- settings and paths ---------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["scan", "search", "answer"])
def test_settings_that_are_none(setting: str, tiny_backbone: Backbone, bank: Bank) -> None:
    for wrong, message in ((64, "a dict of them, not int"), ({"kk": 1}, "no setting 'kk'")):
        with pytest.raises(InputError, match=message):
            EndogenousIndex.build(
                DOCUMENTS, model=tiny_backbone, bank=bank, progress=False, **{setting: wrong}
            )


def test_settings_as_a_dict(tiny_backbone: Backbone, bank: Bank) -> None:
    made = EndogenousIndex.build(
        DOCUMENTS, model=tiny_backbone, bank=bank, progress=False, search={"k": 1}
    )
    assert len(made.search(QUESTION)) == 1


@pytest.mark.parametrize("path", [None, 7, b"folder"])
def test_a_path_that_is_none(path: Any, index: EndogenousIndex, tiny_backbone: Backbone) -> None:
    with pytest.raises(InputError, match="given by its path as a str or Path"):
        EndogenousIndex.load(path, model=tiny_backbone)
    for look in (index.save, verify_index):
        with pytest.raises(InputError, match="given by its path as a str or Path"):
            look(path)


@pytest.mark.parametrize("metadata", [None, "source.txt", [("page", 1)]])
def test_metadata_that_is_no_mapping(metadata: Any) -> None:
    with pytest.raises(InputError, match="'odd': its metadata must be a dict"):
        Document("odd", "text", metadata)


# --- documents ------------------------------------------------------------------------------------


@pytest.mark.parametrize("documents", [[], (), iter(())])
def test_empty_corpus(documents: Any, tiny_backbone: Backbone, bank: Bank) -> None:
    with pytest.raises(InputError, match="at least one"):
        build(documents, tiny_backbone, bank)


@pytest.mark.parametrize("text", ["", " ", "\n\t \u3000\r\n"])
def test_empty_document(text: str, index: EndogenousIndex) -> None:
    with pytest.raises(InputError, match="empty or only white space"):
        Document("blank", text)
    with pytest.raises(InputError, match="'2' is empty or only white space"):
        index.add([text, "a good one"])


@pytest.mark.parametrize("text", [b"bytes", None, 7, ["list"]])
def test_content_that_is_no_string(text: Any, index: EndogenousIndex) -> None:
    with pytest.raises(InputError, match="'odd': its text must be a str"):
        Document("odd", text)
    with pytest.raises(InputError, match=r"documents\[1\]: must be a Document or a str"):
        index.add(["good", text])


@pytest.mark.parametrize("id", ["", None, 7])
def test_id_that_is_no_string(id: Any) -> None:
    with pytest.raises(InputError, match="non-empty str"):
        Document(id, "text")


@pytest.mark.parametrize("documents", ["one string", b"bytes", DOCUMENTS[0], {"id": "text"}, 7])
def test_one_thing_in_place_of_many(documents: Any, index: EndogenousIndex) -> None:
    with pytest.raises(InputError, match="must be a list of Document or str"):
        index.add(documents)


def test_half_a_character(index: EndogenousIndex) -> None:
    with pytest.raises(InputError, match=r"'half' holds half a character .* at 4"):
        index.add(["good", Document("half", "text\ud83d more")])
    with pytest.raises(InputError, match=r"the id 'a.udce9' holds half a character .* at 1"):
        index.add(["good", Document("a\udce9", "text")])


def test_duplicate_ids(index: EndogenousIndex, tiny_backbone: Backbone, bank: Bank) -> None:
    pair = [Document("twin", "one text"), Document("twin", "another text")]
    with pytest.raises(InputError, match=r"duplicate document id 'twin'.*; nothing was added"):
        build(pair, tiny_backbone, bank)
    with pytest.raises(InputError, match="'twin'"):
        index.add([Document("new", "a text"), *pair])
    with pytest.raises(InputError, match=r"'france'.*\n.*'bread'"):
        index.add([Document("new", "a text"), *DOCUMENTS])
    many = [Document(str(i), "text") for i in range(9)]
    with pytest.raises(InputError, match="9 of 18 documents cannot be indexed"):
        index.add(many + many)


def test_deleting_what_is_not_there(index: EndogenousIndex) -> None:
    with pytest.raises(InputError, match="no document has the id 'gone'; nothing was deleted"):
        index.delete(["france", "gone"])
    with pytest.raises(InputError, match="'fran'"):
        index.delete("fran")


# --- questions and settings -----------------------------------------------------------------------


@pytest.mark.parametrize("question", ["", "  ", "\n"])
def test_empty_question(question: str, index: EndogenousIndex) -> None:
    for ask in (index.search, index.answer, index.stream_answer):
        with pytest.raises(InputError, match="question is empty"):
            ask(question)
    with pytest.raises(InputError, match="question is empty"):
        index.search_many([QUESTION, question])


@pytest.mark.parametrize("question", [None, 3, b"bytes", ["list"]])
def test_question_that_is_no_string(question: Any, index: EndogenousIndex) -> None:
    with pytest.raises(InputError, match="must be a str"):
        index.search(question)


def test_one_question_in_place_of_many(index: EndogenousIndex) -> None:
    with pytest.raises(InputError, match="use search"):
        index.search_many(QUESTION)


def test_question_longer_than_the_window(index: EndogenousIndex) -> None:
    question = "why " * 5000
    tokens = index.backbone.text.count(question)
    assert tokens > 4096
    with pytest.raises(InputError, match=rf"{tokens} tokens.*4096"):
        index.search(question)


def test_question_as_long_as_the_window(index: EndogenousIndex) -> None:
    question = "?" * 4096
    assert index.backbone.text.count(question) == 4096
    assert index.search(question, k=1).spans


@pytest.mark.parametrize(
    "setting",
    [
        {"k": 0},
        {"k": -3},
        {"k": "many"},
        {"token_budget": 0},
        {"token_budget": -1},
        {"scoring": "cosine"},
        {"order": "random"},
        {"bm25": "perhaps"},
    ],
)
def test_settings_that_will_not_do(setting: dict[str, Any], index: EndogenousIndex) -> None:
    (name,) = setting
    with pytest.raises(InputError, match=name):
        index.search(QUESTION, **setting)


def test_budget_smaller_than_a_span_gives_a_part_of_it(index: EndogenousIndex) -> None:
    (span,) = index.search(QUESTION, token_budget=2).spans
    assert 0 < span.tokens <= 2
    assert index.documents[span.document_id].text[span.start : span.end] == span.text


def test_more_spans_than_there_are(index: EndogenousIndex) -> None:
    assert 0 < len(index.search(QUESTION, k=10_000)) < 100


@pytest.mark.parametrize("filter", ["name", 3, {"year": {"above": 3}}])
def test_filter_that_will_not_do(filter: Any, index: EndogenousIndex) -> None:
    with pytest.raises(InputError, match="filter"):
        index.search(QUESTION, filter=filter)


@pytest.mark.parametrize("config", [ScanConfig, SearchConfig, AnswerConfig])
def test_misspelt_setting(config: Any) -> None:
    with pytest.raises(InputError, match="has no setting 'chunk_token'"):
        config(chunk_token=3)


# --- models and banks -----------------------------------------------------------------------------


def test_bank_with_nan(bank: Bank, tiny_backbone: Backbone, tmp_path: Path) -> None:
    weights = bank.saes[1].w_enc.clone()
    weights[3, 4] = torch.nan
    saes = (bank.saes[0], replace(bank.saes[1], w_enc=weights), bank.saes[2])
    broken = Bank(calibration=bank.calibration, saes=saes, fingerprint=bank.fingerprint)
    broken.save(tmp_path)
    with pytest.raises(BankError, match="NaN or infinity"):
        build(DOCUMENTS, tiny_backbone, tmp_path)
    with pytest.raises(InputError, match="NaN or infinity"):
        build(DOCUMENTS, tiny_backbone, broken)


def test_bank_for_another_model(bank: Bank, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    other = Backbone(make_llama(tiny_tokenizer, seed=5), tiny_tokenizer)
    with pytest.raises(ModelMismatchError, match="the bank was made with the model 'tiny'"):
        build(DOCUMENTS, other, bank)


def test_bank_that_is_none(tiny_backbone: Backbone, tmp_path: Path) -> None:
    with pytest.raises(BankError, match=r"bank\.json"):
        build(DOCUMENTS, tiny_backbone, tmp_path / "nowhere")
    with pytest.raises(InputError, match="not int"):
        build(DOCUMENTS, tiny_backbone, 7)


def test_model_without_its_tokenizer(
    tiny_backbone: Backbone, bank: Bank, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(InputError, match="needs its tokenizer"):
        build(DOCUMENTS, tiny_backbone.model, bank)
    for model in (None, "some/name", tiny_backbone):
        with pytest.raises(InputError, match="tokenizer= goes with a loaded model"):
            build(DOCUMENTS, model, bank, tokenizer=tiny_tokenizer)


def test_model_that_is_none(bank: Bank, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(S3Error, match="object"):
        build(DOCUMENTS, object(), bank, tokenizer=tiny_tokenizer)
    with pytest.raises(InputError, match="/no/such/folder"):
        build(DOCUMENTS, "/no/such/folder", bank)


def test_missing_default_model(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "DEFAULT_PACKAGE", "llm_no_such_model")
    with pytest.raises(MissingExtraError, match="pip install"):
        build(DOCUMENTS, None, bank)


# --- folders --------------------------------------------------------------------------------------


def test_loading_what_is_no_index(tiny_backbone: Backbone, tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match="no folder"):
        EndogenousIndex.load(tmp_path / "nowhere", model=tiny_backbone)
    with pytest.raises(IndexFileError, match="not an index"):
        EndogenousIndex.load(tmp_path, model=tiny_backbone)


def test_saving_where_there_is_a_file(index: EndogenousIndex, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(IndexFileError, match="save elsewhere"):
        index.save(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(index: EndogenousIndex, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(IndexFileError, match="read-only"):
            index.save(tmp_path)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("number", "advice"), [(28, "disk is full"), (30, "read-only"), (13, "read-only")]
)
def test_folder_that_cannot_be_written(
    number: int,
    advice: str,
    index: EndogenousIndex,
    tiny_backbone: Backbone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full or read-only disk, at the bank and at the catalogue: the old index stays whole."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(number, os.strerror(number))

    index.save(tmp_path)
    before = index.search(QUESTION)
    other = build(["another text"], tiny_backbone, make_bank(tiny_backbone, 1))
    for name in ("append", "write", "replace"):
        monkeypatch.setattr(files, name, fail)
        with pytest.raises(IndexFileError, match=advice):
            other.save(tmp_path, overwrite=True)
        monkeypatch.undo()
        assert EndogenousIndex.load(tmp_path, model=tiny_backbone).search(QUESTION) == before


def test_full_disk_while_the_bank_is_written(index: EndogenousIndex, tmp_path: Path) -> None:
    with no_file_above(4096), pytest.raises(IndexFileError, match="disk is full"):
        index.save(tmp_path / "new")
    assert not [path for path in (tmp_path / "new").rglob("*") if path.suffix]
    index.save(tmp_path / "new")
    assert verify_index(tmp_path / "new").ok


def test_full_disk_while_an_index_grows(
    tiny_backbone: Backbone, bank: Bank, tmp_path: Path
) -> None:
    grown = build(DOCUMENTS, tiny_backbone, bank)
    grown.save(tmp_path)
    before = grown.search(QUESTION)
    grown.add(["A line that comes again. " * 500])
    with no_file_above(20_000), pytest.raises(IndexFileError, match="disk is full"):
        grown.save(tmp_path)
    assert EndogenousIndex.load(tmp_path, model=tiny_backbone).search(QUESTION) == before
    assert verify_index(tmp_path).ok
    grown.save(tmp_path)
    again = EndogenousIndex.load(tmp_path, model=tiny_backbone)
    assert again.search(QUESTION) == grown.search(QUESTION)
