"""What a search reads besides codes is saved with them: nothing is made twice, nothing is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from copy import copy
from dataclasses import replace
from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.numpy import load_file, save_file

from old_format import as_first_release
from random_bank import make_bank
from random_head import make_head
from s3_retriever.codec import Bank, JoinedCodes
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex, folder_store
from s3_retriever.errors import IndexFileError
from s3_retriever.searching import sample, searcher, tables
from s3_retriever.storage import index_info, stored_version, verify_index
from s3_retriever.storage import tiers as storage_tiers
from s3_retriever.storage.segments import file_digest

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.backbone import Backbone

SCAN = ScanConfig(batch_tokens=4096)
NAMES = ("assert", "break", "class", "debugger", "exceptions", "with", "yield")
DOCUMENTS = tuple(Document(name, topics[name], {"size": len(topics[name])}) for name in NAMES)
QUESTIONS = (
    "How does a with statement treat an exception that its block raises?",
    "Which command of the debugger prints a stack trace?",
    "What is the difference between a generator and a coroutine?",
)


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    plain = make_bank(tiny_backbone)
    return replace(plain, sentences=make_head(plain.calibration))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text is searched by its cells."""
    monkeypatch.setattr(searcher, "FAST_FROM", 0)
    monkeypatch.setattr(folder_store, "FAST_FROM", 0)


@pytest.fixture
def build(tiny_backbone: Backbone, bank: Bank) -> Any:
    def make(documents: Any = DOCUMENTS) -> EndogenousIndex:
        return EndogenousIndex.build(
            documents, model=tiny_backbone, bank=bank, scan=SCAN, progress=False
        )

    return make


@pytest.fixture
def load(tiny_backbone: Backbone, tmp_path: Path) -> Any:
    return lambda: EndogenousIndex.load(tmp_path / "index", model=tiny_backbone)


def found(index: EndogenousIndex, **settings: Any) -> list[Any]:
    """What questions find that this index has not read yet: a copy reads them again.

    What is read beside others, or alone since the others were read before, differs by rounding.
    """
    return [result.spans for result in copy(index).search_many(QUESTIONS, k=12, **settings)]


def forbid_making(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cut_passages", "words", "cells_of", "block_sums"):
        monkeypatch.setattr(tables, name, None)


def change(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def files_of(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "segments").iterdir()}


# --- nothing is made twice ------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"exact": True}], ids=str)
def test_a_loaded_index_makes_nothing_and_answers_as_a_built_one(
    large: None,
    build: Any,
    load: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
) -> None:
    index = build()
    before = found(index, **settings)
    index.save(tmp_path / "index")
    again = load()
    forbid_making(monkeypatch)
    assert found(again, **settings) == before == found(index, **settings)
    where = {"filter": {"size": {"gt": 5000}}}
    assert found(again, **settings, **where) == found(index, **settings, **where)


def test_the_first_question_after_load_reads_the_codes_of_candidates_alone(
    large: None, build: Any, load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build().save(tmp_path / "index")
    index = load()
    monkeypatch.setattr(searcher, "CANDIDATES", 20)
    monkeypatch.setattr(searcher, "LEAD_SENTENCES", 20)
    monkeypatch.setattr(sample, "_RUNS", 2)
    monkeypatch.setattr(sample, "_RUN", 4)
    read: list[int] = []
    ranges = JoinedCodes.ranges

    def spy(self: JoinedCodes, starts: Any, stops: Any) -> Any:
        read.append(int((stops - starts).sum()))
        return ranges(self, starts, stops)

    monkeypatch.setattr(JoinedCodes, "ranges", spy)
    monkeypatch.setattr(JoinedCodes, "rows", None)
    assert len(index.search(QUESTIONS[0])) > 0
    assert 0 < max(read) < index.stats.tokens / 8


def test_small_texts_are_saved_without_cells(build: Any, load: Any, tmp_path: Path) -> None:
    index = build()
    index.save(tmp_path / "index")
    (table,) = stored_version(tmp_path / "index").contents.tables.values()  # type: ignore[union-attr]
    names = {name.split(".")[0] for name in load_file(table.path(tmp_path / "index"))}
    assert names == {"sentences", "words", "sums"}
    assert index_info(tmp_path / "index").table_bytes == table.size
    assert found(load()) == found(index)


def test_cells_are_added_where_an_index_has_grown_large(
    build: Any, load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(DOCUMENTS[:4]).save(tmp_path / "index")
    before = files_of(tmp_path / "index")
    index = load()
    monkeypatch.setattr(searcher, "FAST_FROM", 0)
    monkeypatch.setattr(folder_store, "FAST_FROM", 0)
    index.add(DOCUMENTS[4:])
    index.save(tmp_path / "index")
    after = files_of(tmp_path / "index")
    assert len(after) == 4 and len(before.items() & after.items()) == 1  # codes stay
    again = load()
    forbid_making(monkeypatch)
    assert found(again) == found(index)
    monkeypatch.undo()
    again.delete("yield")
    again.save(tmp_path / "index")
    assert files_of(tmp_path / "index") == after  # cells that are not needed any more are kept


# --- what changed alone is touched ----------------------------------------------------------------


def test_adding_makes_tables_of_the_new_alone(
    large: None, build: Any, load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(DOCUMENTS[:5]).save(tmp_path / "index")
    before = files_of(tmp_path / "index")
    index = load()
    index.add(DOCUMENTS[5:])
    cut: list[str] = []
    cut_passages = tables.cut_passages

    def spy(documents: Any, ends: Any) -> Any:
        cut.extend(document.id for document in documents)
        return cut_passages(documents, ends)

    monkeypatch.setattr(tables, "cut_passages", spy)
    expected = found(index)
    index.save(tmp_path / "index")
    assert cut == ["with", "yield"]
    assert before.items() < files_of(tmp_path / "index").items()
    assert found(index) == expected == found(load())
    assert found(index, exact=True) == found(build(), exact=True)


def test_deleting_writes_nothing_anew(
    large: None, build: Any, load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build().save(tmp_path / "index")
    before = files_of(tmp_path / "index")
    index = load()
    forbid_making(monkeypatch)
    index.delete(["break", "exceptions"])
    expected = found(index)
    index.save(tmp_path / "index")
    assert files_of(tmp_path / "index") == before
    assert found(load()) == expected == found(index)
    again = load()
    again.delete("with")
    again.save(tmp_path / "index")
    left = [document for document in DOCUMENTS if document.id in load().documents]
    monkeypatch.undo()
    assert [d.id for d in left] == ["assert", "class", "debugger", "yield"]
    assert found(load(), exact=True) == found(build(left), exact=True)


@pytest.mark.parametrize("many", [True, False])
def test_an_index_made_bit_by_bit_is_that_of_one_build(
    large: None,
    build: Any,
    load: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    many: bool,
) -> None:
    monkeypatch.setattr(storage_tiers, "FAN", 3)
    pages = [Document(str(n), topics["formatstrings"][800 * n : 800 * n + 800]) for n in range(9)]
    index = build(pages[:1])
    for page in pages[1:]:
        index.save(tmp_path / "index")
        index = load() if many else index
        index.add([page])
    index.delete("2")
    index.save(tmp_path / "index")
    whole = build([page for page in pages if page.id != "2"])
    assert list(load().documents) == list(whole.documents)
    assert found(load(), exact=True) == found(whole, exact=True) == found(index, exact=True)
    assert found(load()) == found(index)
    assert index_info(tmp_path / "index").segments < 5
    index.save(tmp_path / "index", compact=True)
    assert index_info(tmp_path / "index").segments == 1
    assert index_info(tmp_path / "index").tokens == whole.stats.tokens
    assert found(load(), exact=True) == found(whole, exact=True)
    assert found(load()) == found(index)
    assert verify_index(tmp_path / "index").ok


def test_what_another_process_added_is_compacted_too(
    large: None, build: Any, load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(DOCUMENTS[:2]).save(tmp_path / "index")
    mine, theirs = load(), load()
    for index, document in ((theirs, DOCUMENTS[2]), (mine, DOCUMENTS[3])):
        index.add([document])
        index.save(tmp_path / "index", compact=True)
    assert index_info(tmp_path / "index").segments == 2  # what is written now is not merged
    assert found(mine) == found(load())
    mine.delete("break")
    theirs = load()
    theirs.add([DOCUMENTS[4]])
    theirs.save(tmp_path / "index")
    mine.save(tmp_path / "index", compact=True)
    assert index_info(tmp_path / "index").segments == 1
    ids = ("assert", "class", "debugger", "exceptions")
    assert set(load().documents) == {*ids}
    assert list(load().documents) == list(mine.documents)
    assert found(load()) == found(mine)
    assert verify_index(tmp_path / "index").ok


# --- other tables than ours -----------------------------------------------------------------------


def test_an_index_of_the_first_release_is_read_and_brought_up_to_date(
    large: None, build: Any, load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = build()
    folder = tmp_path / "index"
    index.save(folder)
    index.delete("class")
    index.save(folder)
    as_first_release(folder)
    assert verify_index(folder).ok and index_info(folder).format_version == 1
    old = load()
    assert found(old, exact=True) == found(index, exact=True)
    old.save(folder)
    assert index_info(folder).format_version == 2 and verify_index(folder).ok
    again = load()
    forbid_making(monkeypatch)
    assert found(again) == found(old)


@pytest.mark.parametrize("made", ["0 older", "99 newer cells", "1 another bank cells"])
def test_tables_of_another_release_or_bank_are_made_anew(
    large: None, build: Any, load: Any, tmp_path: Path, made: str
) -> None:
    index, folder = build(), tmp_path / "index"
    index.save(folder)
    change(folder, f"UPDATE tables SET made = '{made}'")
    before = files_of(folder)
    again = load()
    assert found(again) == found(index)
    again.save(folder)
    assert len(files_of(folder).items() & before.items()) == 1
    assert verify_index(folder).ok and found(load()) == found(index)


def replaced(folder: Path, name: str, cut: int) -> None:
    """Cut an array of the tables short, with a size and a checksum that are right."""
    (table,) = stored_version(folder).contents.tables.values()  # type: ignore[union-attr]
    path = table.path(folder)
    arrays = dict(load_file(path))
    arrays[name] = arrays[name][:-cut]
    save_file(arrays, path)
    size = path.stat().st_size
    change(folder, f"UPDATE tables SET size = {size}, sha256 = '{file_digest(path)}'")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("words.texts", "postings of words are cut short"),
        ("sentences.ends", "table of sentences is cut short"),
        ("sums.scales", "sums of sentences"),
        ("cells.means", "means of cells are cut short"),
    ],
)
def test_a_truncated_array_is_an_error(
    large: None, build: Any, load: Any, tmp_path: Path, name: str, said: str
) -> None:
    build().save(tmp_path / "index")
    replaced(tmp_path / "index", name, 3)
    with pytest.raises(IndexFileError, match=rf"damaged: .*{said}.*build the index again"):
        load()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE documents SET number = 99 WHERE id = 'with'", "do not know document 'with'"),
        ("UPDATE documents SET number = -1 WHERE id = 'with'", "do not know document 'with'"),
        ("UPDATE documents SET number = 0 WHERE id = 'with'", "do not know document 'with'"),
        ("UPDATE tables SET size = size - 1", "bytes where"),
        ("UPDATE tables SET name = 'other'", "other.safetensors is missing"),
    ],
)
def test_a_document_or_file_that_is_not_where_it_should_be_is_an_error(
    build: Any, load: Any, tmp_path: Path, statement: str, said: str
) -> None:
    build().save(tmp_path / "index")
    change(tmp_path / "index", statement)
    assert not verify_index(tmp_path / "index").ok
    with pytest.raises(IndexFileError, match=rf"damaged: .*{said}"):
        load()


def test_saving_again_makes_up_for_lost_tables(build: Any, load: Any, tmp_path: Path) -> None:
    index = build()
    index.save(tmp_path / "index")
    (table,) = stored_version(tmp_path / "index").contents.tables.values()  # type: ignore[union-attr]
    table.path(tmp_path / "index").unlink()
    with pytest.raises(IndexFileError, match="is missing"):
        load()
    index.save(tmp_path / "index")
    assert found(load()) == found(index) and verify_index(tmp_path / "index").ok
