"""Indexes are joined file by file: the new one is whole or is not there."""

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
    is_index,
    join_indexes,
    save_index,
    verify_index,
)

ONE = samples(4)
TWO = [sample("same text", 20, 1), sample("other", 30, 100)]
NEW_HEADER = {"model": "both"}
BANK = {f"bank-{'0' * 16}/bank.json": b"a bank"}


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Two indexes, of the first of which something was deleted, and one without documents."""
    monkeypatch.setattr(catalogue, "SYNCHRONOUS", "OFF")
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: None)
    folders = [tmp_path / name for name in ("one", "two", "none")]
    for folder, documents in zip(folders, ([*ONE, sample("gone")], TWO, []), strict=True):
        save_index(folder, documents=documents, header=HEADER, maker=SampleTables("made"))
    extend_index(folders[0], Change(gone={"gone"}), header=HEADER, maker=SampleTables("made"))
    return folders


def join(sources, folder):
    return join_indexes(sources, folder, header=NEW_HEADER, attached=BANK)


def test_the_documents_of_all_in_order(sources, tmp_path):
    before = [loaded(folder) for folder in sources]
    join(sources, tmp_path / "all")
    assert loaded(tmp_path / "all") == expected([*ONE, *TWO], NEW_HEADER)
    assert verify_index(tmp_path / "all").ok
    check_tables(tmp_path / "all", "made")
    assert [loaded(folder) for folder in sources] == before
    save_index(tmp_path / "all", documents=TWO, header=HEADER)
    assert loaded(tmp_path / "all") == expected(TWO)


def test_clashes_are_named(sources, tmp_path):
    save_index(tmp_path / "more", documents=samples(3)[1:], header=HEADER)
    with pytest.raises(InputError, match=r"one and .*more both have .* the id 'd1', 'd2'; nothing"):
        join([*sources, tmp_path / "more"], tmp_path / "all")
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize("failure", [disk_full, interrupt])
def test_whichever_call_fails_it_is_whole_or_not_there(sources, tmp_path, failure):
    folder, names, outcomes = tmp_path / "all", [], []

    def note(name, function, arguments):
        names.append(name)
        return function(*arguments)

    with intercepted(note):
        join(sources, folder)
    whole = loaded(folder)
    for at in range(len(names)):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with intercepted(failing_at(at, failure)):
                join(sources, folder)
        except (IndexFileError, KeyboardInterrupt):
            pass
        outcomes.append(is_index(folder))
        if not outcomes[-1]:
            join(sources, folder)
        assert loaded(folder) == whole and verify_index(folder).ok
    assert False in outcomes and outcomes == sorted(outcomes)
