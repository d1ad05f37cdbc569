"""An index that grows in place: what it holds stays unread, and a change is made whole or not."""

import shutil

import pytest

from failing_calls import disk_full, failing_at, intercepted, interrupt
from index_samples import HEADER, SampleTables, check_tables, expected, loaded, sample, samples
from s3_retriever.errors import IndexFileError, InputError
from s3_retriever.storage import (
    Change,
    catalogue,
    extend_index,
    files,
    gather,
    index_info,
    save_index,
    stored_version,
    tiers,
    verify_index,
)
from s3_retriever.storage import save as storage_save

OLD = [*samples(8), sample("changed", 30, 100)]
MORE = [sample("changed", 40, 101), sample("new", 60, 102)]
TOLD = sample("d3", 20, 3, metadata={"now": "another"})
AFTER = [*samples(3), TOLD, *samples(8)[5:], *MORE]
MAKER = SampleTables("new")


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch):
    monkeypatch.setattr(storage_save, "SEGMENT_ROWS", 53)
    monkeypatch.setattr(tiers, "FAN", 2)
    monkeypatch.setattr(catalogue, "SYNCHRONOUS", "OFF")
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: None)


def extend(folder, gone=("d4",)):
    told = {"d3": TOLD.document.metadata}
    change = Change(iter(MORE), gone, metadata=told)
    return extend_index(folder, change, header=HEADER, maker=MAKER)


def test_what_is_there_stays_as_it_is(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    save_index(folder, documents=OLD, header=HEADER, maker=MAKER)
    opened = []
    monkeypatch.setattr(gather, "open_segment", lambda *which: opened.append(which))
    extend(folder)
    monkeypatch.undo()
    assert loaded(folder) == expected(AFTER)
    assert verify_index(folder).ok and opened == []
    check_tables(folder, "new")
    with pytest.raises(InputError, match="two documents have the id 'new'"):
        extend_index(folder, Change([MORE[1], MORE[1]]), header=HEADER)
    assert loaded(folder) == expected(AFTER)


def test_an_index_may_begin_so(tmp_path):
    for document in OLD:
        extend_index(tmp_path / "index", Change([document]), header=HEADER, maker=MAKER)
    assert loaded(tmp_path / "index") == expected(OLD)
    assert index_info(tmp_path / "index").segments < len(OLD)
    check_tables(tmp_path / "index", "new")


def test_a_document_that_has_lost_its_segment_is_an_error(tmp_path):
    folder = tmp_path / "index"
    save_index(folder, documents=OLD, header=HEADER)
    before = stored_version(folder).seal
    next((folder / "segments").iterdir()).unlink()
    with pytest.raises(IndexFileError, match="damaged: the arrays of document"):
        extend(folder)
    assert stored_version(folder).seal == before


@pytest.mark.slow
@pytest.mark.parametrize("failure", [disk_full, interrupt])
def test_it_is_the_old_index_or_the_new_one_whichever_call_fails(tmp_path, failure):
    template, folder = tmp_path / "template", tmp_path / "index"
    for document in OLD:  # bit by bit, so that there is something to merge
        extend_index(template, Change([document]), header=HEADER, maker=MAKER)
    old, calls, outcomes = loaded(template), [], []

    def at_each(name, function, arguments):
        calls.append(name)
        return function(*arguments)

    shutil.copytree(template, folder)
    with intercepted(at_each):
        extend(folder)
    new = loaded(folder)
    assert new[1] != old[1]
    for at in range(len(calls)):
        shutil.rmtree(folder)
        shutil.copytree(template, folder)
        try:
            with intercepted(failing_at(at, failure)):
                extend(folder)
        except (IndexFileError, KeyboardInterrupt):
            pass
        assert loaded(folder) in (old, new) and verify_index(folder).ok
        outcomes.append(loaded(folder) == new)
        extend(folder, () if outcomes[-1] else ("d4",))
        assert loaded(folder) == new and verify_index(folder).ok
    assert False in outcomes and outcomes == sorted(outcomes)
