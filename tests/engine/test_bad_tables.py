"""Tables and segments that are not what they should be: a clear error, or the old state."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from random_bank import make_bank
from random_head import make_head
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex, folder_store
from s3_retriever.errors import FormatVersionError, IndexFileError, InputError
from s3_retriever.searching import searcher
from s3_retriever.storage import Change, catalogue, extend_index, stored_version, verify_index
from s3_retriever.storage.segments import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from s3_retriever.backbone import Backbone

DOCUMENTS = [Document(name, topics[name][:2000]) for name in ("assert", "class", "with")]


@pytest.fixture
def folder(tiny_backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index with cells, saved in two segments."""
    monkeypatch.setattr(searcher, "FAST_FROM", 0)
    monkeypatch.setattr(folder_store, "FAST_FROM", 0)
    bank = make_bank(tiny_backbone)
    bank = replace(bank, sentences=make_head(bank.calibration))
    index = EndogenousIndex.build(DOCUMENTS[:2], model=tiny_backbone, bank=bank, progress=False)
    index.save(tmp_path / "index")
    index.add(DOCUMENTS[2:])
    index.save(tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def load(tiny_backbone: Backbone, folder: Path) -> Callable[[], EndogenousIndex]:
    return lambda: EndogenousIndex.load(folder, model=tiny_backbone)


def execute(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as connection, connection:
        connection.execute(statement)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the tables of the first segment, with a size and a checksum that are right."""
    version = stored_version(folder)
    assert version is not None
    table = next(iter(version.contents.tables.values()))
    path = table.path(folder)
    arrays = {name: np.array(array) for name, array in load_file(path).items()}
    change(arrays)
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    size, digest = path.stat().st_size, file_digest(path)
    where = f"WHERE segment = '{table.segment}'"
    execute(folder, f"UPDATE tables SET size = {size}, sha256 = '{digest}' {where}")


def more_taps(arrays: dict[str, Any]) -> None:
    """As of a bank that reads one tap more."""
    first = int(arrays["cells.counts"][0])
    sizes = {"cell": 1, "spread": 1, "counts": 1, "means": first, "scales": first}
    for name, size in sizes.items():
        own = arrays[f"cells.{name}"]
        arrays[f"cells.{name}"] = np.concatenate([own, own[:size]])


def smaller_heads(arrays: dict[str, Any]) -> None:
    """As of a bank of a model with smaller heads."""
    arrays["cells.means"] = arrays["cells.means"][:, :-1]


def no_such_cell(arrays: dict[str, Any]) -> None:
    arrays["cells.cell"][0, 0] = 60_000


def fewer_tokens(arrays: dict[str, Any]) -> None:
    """As of a shorter text."""
    arrays["cells.cell"] = arrays["cells.cell"][:, :-1]


def other_sums(arrays: dict[str, Any]) -> None:
    arrays["sums.values"] = arrays["sums.values"][:, :-1]


def no_words(arrays: dict[str, Any]) -> None:
    for name in [name for name in arrays if name.startswith("words.")]:
        del arrays[name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (more_taps, "cells are of another text, or of another bank"),
        (smaller_heads, "cells are of another bank"),
        (no_such_cell, "in cells that there are not"),
        (fewer_tokens, "cells are of another text, or of another bank"),
        (other_sums, "sums of sentences are of another text, or of another bank"),
        (no_words, "words"),
    ],
)
def test_tables_that_do_not_fit_the_bank_or_the_text(
    folder: Path, load: Any, change: Any, said: str
) -> None:
    rewrite(folder, change)
    with pytest.raises(IndexFileError, match=rf"damaged: .*{said}.*build the index again"):
        load()


def test_tables_of_another_segment(folder: Path, load: Any) -> None:
    version = stored_version(folder)
    assert version is not None
    one, other = version.contents.tables.values()
    for table, into in ((one, other), (other, one)):
        execute(
            folder,
            f"UPDATE tables SET name = '{table.name}', size = {table.size}, "
            f"sha256 = '{table.sha256}' WHERE segment = '{into.segment}'",
        )
    with pytest.raises(IndexFileError, match="do not know document"):
        load()


def test_a_newer_release_has_saved_since(
    folder: Path, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = load()
    execute(folder, f"PRAGMA user_version = {catalogue.FORMAT_VERSION + 1}")
    index.delete("class")
    for save in (lambda: index.save(folder), lambda: index.add(["A text."], path=folder)):
        with pytest.raises(FormatVersionError, match="pip install --upgrade"):
            save()
    monkeypatch.setattr(catalogue, "FORMAT_VERSION", catalogue.FORMAT_VERSION + 1)
    assert [*load().documents] == ["assert", "class", "with"]


def test_merging_what_is_damaged_leaves_the_old_state(folder: Path, load: Any) -> None:
    index, before = load(), stored_version(folder)
    assert before is not None
    path = next(iter(before.contents.segments.values())).path(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :: 50] = bytes(len(data[len(data) // 2 :: 50]))
    index.delete("class")
    path.write_bytes(data)
    files = {path.name for path in (folder / "segments").iterdir()}
    with pytest.raises(IndexFileError, match="are not what was written"):
        index.save(folder, compact=True)
    after = stored_version(folder)
    assert after is not None and after.seal == before.seal
    assert {path.name for path in (folder / "segments").iterdir()} == files
    assert not verify_index(folder).ok


def test_what_is_not_there_cannot_be_deleted(folder: Path, load: Any) -> None:
    with pytest.raises(InputError, match="'nobody'; nothing was deleted"):
        load().delete(["with", "nobody"])
    before = stored_version(folder)
    assert before is not None
    header = before.contents.header
    for change in (Change(gone={"nobody"}), Change(metadata={"nobody": {}})):
        with pytest.raises(InputError, match="no document has the id 'nobody'"):
            extend_index(folder, change, header=header)
    assert stored_version(folder) == before
