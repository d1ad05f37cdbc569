"""Folders that cannot be read or written, and processes that meet in one folder."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from index_samples import (
    HEADER,
    SampleTables,
    expected,
    loaded,
    plain,
    sample,
    samples,
    segment_files,
)
from s3_retriever.documents import Document
from s3_retriever.errors import FormatVersionError, IndexFileError
from s3_retriever.storage import (
    StoredDocument,
    files,
    index_info,
    load_index,
    save_index,
    verify_index,
)

READERS = [load_index, verify_index, index_info]


def save_into(folder):
    save_index(folder, documents=samples(3), header=HEADER)


@pytest.fixture
def folder(tmp_path):
    """A whole index."""
    save_into(tmp_path / "index")
    return tmp_path / "index"


def segment_of(folder):
    (path,) = (folder / "segments").iterdir()
    return path


def change(folder, *statements):
    with sqlite3.connect(folder / "catalogue.sqlite") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("use", READERS)
def test_a_folder_that_is_not_there(tmp_path, use):
    with pytest.raises(IndexFileError, match=r"there is no folder .*nowhere; check the path"):
        use(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("use", READERS)
def test_a_folder_that_is_no_index(tmp_path, use):
    with pytest.raises(IndexFileError, match=r"is not an index: it has no catalogue\.sqlite"):
        use(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("use", READERS)
def test_a_file_where_an_index_should_be(tmp_path, use):
    path = tmp_path / "file"
    path.write_text("text")
    with pytest.raises(IndexFileError, match=r"is a file, not an index"):
        use(path)


@pytest.mark.parametrize("inside", [".", "deeper"])
def test_saving_where_a_file_is(tmp_path, inside):
    path = tmp_path / "file"
    path.write_text("text")
    with pytest.raises(IndexFileError, match="there is a file where a folder is needed"):
        save_into(path / inside)
    assert path.read_text() == "text"


@pytest.mark.parametrize("use", [*READERS, save_into])
@pytest.mark.parametrize("contents", ["another database", b"", b"no database at all" * 100])
def test_a_catalogue_of_someone_else_is_left_alone(tmp_path, use, contents):
    path = tmp_path / "catalogue.sqlite"
    if isinstance(contents, bytes):
        path.write_bytes(contents)
    else:
        change(tmp_path, "CREATE TABLE mine (x)")
    before = path.read_bytes()
    with pytest.raises(IndexFileError, match=r"is not an index|is damaged"):
        use(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("use", [*READERS, save_into])
def test_a_newer_format_version(folder, use):
    change(folder, "PRAGMA user_version = 3")
    with pytest.raises(FormatVersionError, match=r"version 3, newer than 2.*pip install --upgrade"):
        use(folder)
    change(folder, "PRAGMA user_version = 2")
    assert loaded(folder) == expected(samples(3))


@pytest.mark.parametrize("use", [*READERS, save_into])
@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6])
def test_a_truncated_catalogue(folder, use, keep):
    path = folder / "catalogue.sqlite"
    os.truncate(path, int(path.stat().st_size * keep))
    with pytest.raises(IndexFileError, match=r"damaged.*build the index again"):
        use(folder)


@pytest.mark.parametrize("use", READERS)
@pytest.mark.parametrize("table", ["header", "segments", "tables", "documents"])
def test_a_catalogue_without_a_table(folder, use, table):
    change(folder, f"DROP TABLE {table}")
    with pytest.raises(IndexFileError, match="damaged"):
        use(folder)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM texts",
        "UPDATE texts SET text = x'ff'",
        "DELETE FROM segments",
        "UPDATE documents SET metadata = '{'",
        "UPDATE documents SET first_row = 1000",
        "UPDATE documents SET first_row = -1",
        "UPDATE documents SET rows = 'many'",
        "UPDATE segments SET rows = rows + 1",
        "UPDATE header SET value = ''",
    ],
)
def test_a_catalogue_with_wrong_rows_does_not_load(folder, statement):
    change(folder, statement)
    with pytest.raises(IndexFileError, match=r"damaged.*build the index again"):
        load_index(folder)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE texts SET text = CAST('x' || substr(text, 2) AS BLOB)", "the text"),
        ("UPDATE texts SET text = CAST('short' AS BLOB)", "characters long"),
        ("DELETE FROM texts", "its text is missing"),
        ("DELETE FROM segments", "not in the catalogue"),
        ("UPDATE documents SET metadata = '{}'", "its rows are not those"),
        ("UPDATE documents SET id = 'x' || id", "its rows are not those"),
        ("UPDATE header SET value = 'true'", "its rows are not those"),
        ("UPDATE documents SET first_row = 0", "'d1': its arrays are not what was written"),
        ("UPDATE documents SET first_row = 41", "rows 41 to 61 are not in segment"),
        ("UPDATE segments SET rows = 61", "no valid header"),
    ],
)
def test_verify_finds_changes_in_the_catalogue(folder, statement, finding):
    change(folder, statement)
    report = verify_index(folder)
    assert not report.ok
    assert any(finding in problem for problem in report.problems)


@pytest.mark.parametrize("use", [load_index, lambda folder: raise_problems(verify_index(folder))])
@pytest.mark.parametrize("damage", ["missing", "truncated", "longer", "a folder"])
def test_a_segment_that_is_not_as_it_was(folder, use, damage):
    path = segment_of(folder)
    size = path.stat().st_size
    if damage == "truncated":
        os.truncate(path, size - 1)
    elif damage == "longer":
        os.truncate(path, size + 1)
    else:
        path.unlink()
        if damage == "a folder":
            path.mkdir()
    with pytest.raises(IndexFileError, match=r"is missing|bytes where") as caught:
        use(folder)
    assert path.name in str(caught.value)
    assert index_info(folder).documents == 3


def raise_problems(report):
    raise IndexFileError("; ".join(report.problems))


@pytest.mark.parametrize("header", [b"\0" * 8, b"\xff" * 8, b"\x02" + b"\0" * 7 + b"[]"])
def test_a_segment_with_a_wrong_header(folder, header):
    path = segment_of(folder)
    with path.open("r+b") as file:
        file.write(header)
    with pytest.raises(IndexFileError, match="no valid header"):
        load_index(folder)
    assert not verify_index(folder).ok


def test_verify_finds_a_flipped_bit_anywhere_in_a_segment(folder):
    path = segment_of(folder)
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        assert not verify_index(folder).ok
    path.write_bytes(whole)
    assert verify_index(folder).ok


def test_verify_finds_a_flipped_bit_anywhere_in_tables(folder):
    save_index(folder, documents=samples(3), header=HEADER, maker=SampleTables("one"))
    (table,) = load_index(folder).version.contents.tables.values()
    path = table.path(folder)
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        assert not verify_index(folder).ok
    path.write_bytes(whole)
    assert verify_index(folder).ok


def test_flipped_bits_in_the_catalogue_are_found_or_do_no_harm(folder):
    path = folder / "catalogue.sqlite"
    whole, choose = path.read_bytes(), random.Random(1)
    found = 0
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[choose.randrange(len(whole))] ^= 1 << choose.randrange(8)
        path.write_bytes(damaged)
        try:
            if verify_index(folder).ok:
                assert loaded(folder) == expected(samples(3))
            else:
                found += 1
            load_index(folder)
        except IndexFileError:
            found += 1
    assert found > 20


@pytest.mark.parametrize(
    ("starts", "ends", "finding"),
    [
        ([0, 3, 6], [2, 2, 8], "ends before it starts"),
        ([0, 5, 3], [2, 6, 7], "order"),
        ([0, 1, 2], [3, 9, 4], "order"),
        ([0, 3, 6], [2, 5, 11], "outside the text's 10 characters"),
        ([-1, 3, 6], [2, 5, 8], "outside"),
    ],
)
def test_verify_checks_the_offsets(tmp_path, starts, ends, finding):
    arrays = {"starts": np.array(starts, np.int32), "ends": np.array(ends, np.int32)}
    documents = [StoredDocument(Document("bent", "ten chars!"), arrays)]
    save_index(tmp_path, documents=documents, header={})
    (problem,) = verify_index(tmp_path).problems
    assert "'bent'" in problem
    assert finding in problem


def test_offsets_of_tokens_that_share_a_character_are_fine(tmp_path):
    arrays = {"starts": np.array([0, 0, 0, 1], np.int32), "ends": np.array([1, 1, 1, 10], np.int32)}
    documents = [StoredDocument(Document("emoji", "👩 and more"), arrays)]
    save_index(tmp_path, documents=documents, header={})
    assert verify_index(tmp_path).ok


def test_compacting_does_not_bless_damaged_arrays(folder):
    path = segment_of(folder)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(samples(3)[2].arrays["values"].tobytes(), bytes(120)))
    with pytest.raises(IndexFileError, match="the arrays of document 'd2'"):
        save_index(folder, documents=samples(3)[2:], header=HEADER)
    path.write_bytes(whole)
    assert loaded(folder) == expected(samples(3))


@contextmanager
def unprivileged():
    """Be nobody for a while where the tests run as root, whom permissions do not stop."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def read_only():
    """A whole index that may be read but not written."""
    home = Path(tempfile.mkdtemp())
    folder = home / "index"
    save_into(folder)
    home.chmod(0o755)
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in [folder, folder / "segments"]:
        path.chmod(0o755)
    shutil.rmtree(home)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
def test_a_read_only_index_loads_and_does_not_save(read_only):
    before = {path: path.read_bytes() for path in read_only.rglob("*") if path.is_file()}
    with unprivileged():
        assert loaded(read_only) == expected(samples(3))
        assert verify_index(read_only).ok
        assert index_info(read_only).documents == 3
        for place in (read_only, read_only / "new"):
            with pytest.raises(IndexFileError, match="read-only; make it writable or save else"):
                save_into(place)
    after = {path: path.read_bytes() for path in read_only.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
def test_an_index_that_may_not_be_read(read_only):
    (read_only / "catalogue.sqlite").chmod(0)
    with unprivileged(), pytest.raises(IndexFileError, match="check the permissions"):
        load_index(read_only)
    (read_only / "catalogue.sqlite").chmod(0o444)
    segment_of(read_only).chmod(0)
    with unprivileged(), pytest.raises(IndexFileError, match="check the permissions"):
        load_index(read_only)


def test_an_old_journal_does_not_spoil_a_new_index(folder, tmp_path):
    """As when someone deletes the catalogue alone after a crash."""
    save_index(folder, documents=samples(30), header=HEADER)
    connection = sqlite3.connect(folder / "catalogue.sqlite", isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("PRAGMA cache_spill = 1")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE documents SET metadata = randomblob(9000)")
    journal = (folder / "catalogue.sqlite-journal").read_bytes()
    spilt = (folder / "catalogue.sqlite").read_bytes()
    connection.close()
    (folder / "catalogue.sqlite").write_bytes(spilt)
    (folder / "catalogue.sqlite-journal").write_bytes(journal)
    crashed = tmp_path / "crashed"
    shutil.copytree(folder, crashed)
    assert loaded(crashed) == expected(samples(30))
    (folder / "catalogue.sqlite").unlink()
    shutil.rmtree(folder / "segments")
    save_index(folder, documents=samples(5, seed=40), header={})
    assert loaded(folder) == expected(samples(5, seed=40), {})
    assert verify_index(folder).ok


SLOW_SAVE = """
import sys
from index_samples import HEADER, sample, samples
from s3_retriever.storage import save_index

def slowly():
    yield sample("first", 9, 9)
    print("saving", flush=True)
    sys.stdin.readline()
    yield from samples(2, seed=70)

save_index(sys.argv[1], documents=slowly(), header=HEADER)
print("saved", flush=True)
"""


@contextmanager
def slow_save(folder):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", SLOW_SAVE, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        assert process.stdout.readline() == "saving\n"
        yield process
        process.kill()


def test_two_processes_do_not_save_at_once(tmp_path):
    folder = tmp_path / "index"
    with slow_save(folder) as process:
        with pytest.raises(IndexFileError, match="another process is saving the index"):
            save_into(folder)
        process.communicate("go on\n", timeout=60)
    assert loaded(folder) == expected([sample("first", 9, 9), *samples(2, seed=70)])
    save_into(folder)
    assert loaded(folder) == expected(samples(3))


def test_readers_go_on_while_another_process_saves(folder):
    opened = load_index(folder)
    with slow_save(folder) as process:
        assert loaded(folder) == expected(samples(3))
        assert verify_index(folder).ok
        process.communicate("go on\n", timeout=60)
    assert plain(opened) == expected(samples(3))
    assert loaded(folder) == expected([sample("first", 9, 9), *samples(2, seed=70)])


def test_the_lock_of_a_killed_process_is_free(folder):
    with slow_save(folder) as process:
        process.kill()
    save_index(folder, documents=samples(4), header=HEADER)
    assert loaded(folder) == expected(samples(4))
    assert len(segment_files(folder)) == index_info(folder).segments


def test_a_save_waits_for_no_reader_for_ever(folder, monkeypatch):
    """A program that keeps a read transaction open in the catalogue is named as the cause."""
    monkeypatch.setattr(files, "BUSY_SECONDS", 0.05)
    before = segment_files(folder)
    reader = sqlite3.connect(folder / "catalogue.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM documents").fetchone()
    with pytest.raises(IndexFileError, match="another process is using it"):
        save_index(folder, documents=samples(5), header=HEADER)
    reader.close()
    assert before <= segment_files(folder)
    assert loaded(folder) == expected(samples(3))
    save_index(folder, documents=samples(5), header=HEADER)
    assert loaded(folder) == expected(samples(5))


def test_a_database_that_is_full_is_said_to_be_full(folder, monkeypatch):
    connect = files.connect

    def small(path, mode):
        connection = connect(path, mode)
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    monkeypatch.setattr(files, "connect", small)
    with pytest.raises(IndexFileError, match="the disk is full; free some space and save again"):
        save_index(folder, documents=samples(50, tokens=300), header=HEADER)
    monkeypatch.undo()
    assert loaded(folder) == expected(samples(3))
