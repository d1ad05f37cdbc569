"""Indexes by one model and bank become one, as if it had been built so, and none is read again."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from copy import copy
from dataclasses import replace
from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Any

import pytest

from random_bank import make_bank
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex, folder_store
from s3_retriever.engine import index as engine
from s3_retriever.errors import (
    FormatVersionError,
    IndexFileError,
    InputError,
    ModelMismatchError,
)
from s3_retriever.searching import searcher
from s3_retriever.storage import is_index, stored_version, verify_index

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank

NAMES = ("assert", "break", "class", "with", "yield")
DOCUMENTS = [Document(name, topics[name][:2500], {"name": name}) for name in NAMES]
QUESTION = "How does a with statement treat an exception?"


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    return make_bank(tiny_backbone)


@pytest.fixture
def build(tiny_backbone: Backbone, bank: Bank) -> Any:
    def make(documents: Any, **given: Any) -> EndogenousIndex:
        settings = {"model": tiny_backbone, "bank": bank, "progress": False, **given}
        return EndogenousIndex.build(documents, **settings)

    return make


@pytest.fixture
def pair(build: Any, tmp_path: Path) -> list[Path]:
    """Two indexes; of the first something was deleted."""
    one, two = build(DOCUMENTS[:3]), build(DOCUMENTS[3:], search={"k": 3})
    one.save(tmp_path / "one")
    one.delete("break")
    one.save(tmp_path / "one")
    two.save(tmp_path / "two")
    return [tmp_path / "one", tmp_path / "two"]


@pytest.fixture
def merge(tiny_backbone: Backbone, tmp_path: Path) -> Any:
    def run(*paths: Path) -> EndogenousIndex:
        return EndogenousIndex.merge(paths, tmp_path / "both", model=tiny_backbone)

    return run


def found(index: EndogenousIndex, **settings: Any) -> Any:
    return copy(index).search(QUESTION, k=8, **settings).spans


@pytest.mark.parametrize("fast_from", [0, 10**9])
def test_it_is_the_index_of_all_documents(
    pair: list[Path],
    build: Any,
    merge: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fast_from: int,
) -> None:
    monkeypatch.setattr(searcher, "FAST_FROM", fast_from)
    monkeypatch.setattr(folder_store, "FAST_FROM", fast_from)
    whole = build([DOCUMENTS[0], *DOCUMENTS[2:]])
    monkeypatch.setattr(engine, "scan", None)
    before = [stored_version(folder) for folder in pair]
    index = merge(*pair)
    assert dict(index.documents) == dict(whole.documents)
    assert list(index.documents) == list(whole.documents)
    assert found(index, exact=True) == found(whole, exact=True)
    assert {span.document_id for span in found(index)} <= set(whole.documents)
    assert index.config == EndogenousIndex.load(pair[0], model=index.backbone).config
    assert index.stats.scan.tokens > index.stats.tokens == whole.stats.tokens
    assert verify_index(tmp_path / "both").ok
    assert [stored_version(folder) for folder in pair] == before
    made = stored_version(tmp_path / "both").contents.tables.values()  # type: ignore[union-attr]
    assert all(table.made.endswith("cells") is (fast_from == 0) for table in made)
    monkeypatch.undo()
    index.add([DOCUMENTS[1]])
    index.save(tmp_path / "both", compact=True)
    assert len(index) == 5 and verify_index(tmp_path / "both").ok


def test_two_that_began_as_one_are_merged(pair: list[Path], build: Any, merge: Any) -> None:
    shutil.copytree(pair[0], pair[0].with_name("copy"))
    ours, theirs = (
        EndogenousIndex.load(folder, model=build([DOCUMENTS[0]]).backbone)
        for folder in (pair[0], pair[0].with_name("copy"))
    )
    ours.delete("class")
    ours.save(pair[0])
    theirs.delete("assert")
    theirs.save(pair[0].with_name("copy"))
    index = merge(pair[0], pair[0].with_name("copy"))
    assert found(index, exact=True) == found(build([DOCUMENTS[0], DOCUMENTS[2]]), exact=True)


def test_ids_that_clash_are_named(pair: list[Path], build: Any, merge: Any, tmp_path: Path) -> None:
    build([Document("with", "A text."), Document("x", "Y.")]).save(tmp_path / "three")
    with pytest.raises(InputError, match=r"two and .*three both have .* the id 'with'; nothing"):
        merge(*pair, tmp_path / "three")
    assert not (tmp_path / "both").exists()


def test_other_banks_models_and_readings(
    pair: list[Path], build: Any, merge: Any, tiny_backbone: Backbone, bank: Bank, tmp_path: Path
) -> None:
    text, other = ["A text."], tmp_path / "other"
    build(text, bank=make_bank(tiny_backbone, seed=1)).save(other)
    with pytest.raises(InputError, match="were made with two banks; build one of them again"):
        merge(pair[0], other)
    build(text, bank=replace(bank, model_name="huge")).save(other, overwrite=True)
    with pytest.raises(ModelMismatchError, match=r"the model 'tiny' and .* with 'huge'"):
        merge(pair[0], other)
    build(text, scan={"chunk_tokens": 32}).save(other, overwrite=True)
    with pytest.raises(InputError, match=r"chunk_tokens=512 and .* chunk_tokens=32; build one"):
        merge(pair[0], other)
    assert not (tmp_path / "both").exists()


def test_folders_that_cannot_be_merged(pair: list[Path], merge: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two indexes or more"):
        merge(pair[0])
    with pytest.raises(IndexFileError, match="there is no folder"):
        merge(*pair, tmp_path / "nowhere")
    (tmp_path / "begun" / "segments").mkdir(parents=True)
    with pytest.raises(IndexFileError, match=r"is not an index: it has no catalogue\.sqlite"):
        merge(pair[0], tmp_path / "begun")
    with closing(sqlite3.connect(pair[1] / "catalogue.sqlite")) as connection, connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(FormatVersionError, match="pip install --upgrade"):
        merge(*pair)
    assert not (tmp_path / "both").exists()


def test_the_new_folder_is_new(pair: list[Path], merge: Any, tmp_path: Path) -> None:
    merge(*pair)
    with pytest.raises(IndexFileError, match="holds an index already"):
        merge(*pair)
    assert verify_index(tmp_path / "both").ok


@pytest.mark.parametrize("what", ["segments", "tables"])
def test_a_damaged_source_is_refused(
    pair: list[Path], merge: Any, tmp_path: Path, what: str
) -> None:
    version = stored_version(pair[1])
    assert version is not None
    (file,) = getattr(version.contents, what).values()
    path = file.path(pair[1])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(IndexFileError, match=r"two is damaged: .* checksum"):
        merge(*pair)
    assert not is_index(tmp_path / "both") and not list((tmp_path / "both" / "segments").iterdir())
    path.unlink()
    with pytest.raises(IndexFileError, match=r"two is damaged: .* is missing"):
        merge(*pair)
