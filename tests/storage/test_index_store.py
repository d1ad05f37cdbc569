"""Saving and loading: what goes in comes out, and only what changed is written."""

import random
import sqlite3
from dataclasses import replace
from threading import Thread

import numpy as np
import pytest
from safetensors.numpy import load_file

from index_samples import (
    HEADER,
    SampleTables,
    check_tables,
    expected,
    loaded,
    plain,
    plain_document,
    sample,
    samples,
    segment_files,
)
from s3_retriever.documents import Document
from s3_retriever.errors import IndexConflictError, IndexFileError, InputError
from s3_retriever.storage import (
    StoredDocument,
    catalogue,
    holding,
    index_info,
    load_index,
    save_index,
    tiers,
    verify_index,
)
from s3_retriever.storage import save as storage_save
from s3_retriever.storage.journal import JOURNAL, Journal
from s3_retriever.storage.tiers import Used, groups_to_write


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"


def save(folder, documents, header=HEADER):
    save_index(folder, documents=documents, header=header)
    assert verify_index(folder).problems == ()


def test_what_goes_in_comes_out(folder):
    documents = [sample("b", 7), sample("a", 300, 1), sample("none", 0, 2), sample("z", 1, 3)]
    save(folder, documents)
    assert loaded(folder) == expected(documents)


def test_a_generator_and_a_string_path_will_do(folder):
    save_index(str(folder), documents=(item for item in samples(3)), header=HEADER)
    assert loaded(str(folder)) == expected(samples(3))


def test_an_index_may_be_empty(folder):
    save(folder, [])
    assert loaded(folder) == expected([])
    save(folder, samples(2))
    save(folder, [])
    assert loaded(folder) == expected([])
    assert segment_files(folder) == set()


@pytest.mark.parametrize(
    "text",
    [
        "a\r\nb\rc\n",
        "nul \0 inside",
        "e\u0301 and \u00e9 stay apart",
        "👩‍👩‍👧‍👦 family, 🇩🇪 flag",
        "\u202eright to left\u202c שלום",
        "\ufeffmark first",
        "\U0010ffff last code point \u2028 line",
    ],
)
def test_text_id_and_metadata_are_kept_exactly(folder, text):
    document = Document(text, text, {text: [text, None, 1.5, {"n": True}]})
    save(folder, [StoredDocument(document, {"codes": np.zeros((2, 3), np.uint16)})])
    assert load_index(folder).documents[0].document == document
    assert index_info(folder).characters == len(text)


@pytest.mark.parametrize("kind", ["?", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "i8", "f8"])
def test_every_type_and_odd_lengths_are_kept(folder, kind):
    rows = (np.arange(21).reshape(7, 3) % 2).astype(kind)
    arrays = {"a": rows, "odd": np.arange(7, dtype=np.uint8), "deep": rows.reshape(7, 1, 3)}
    document = Document("d", "text")
    save(folder, [StoredDocument(document, arrays)])
    assert plain_document(load_index(folder).documents[0]) == plain_document(
        StoredDocument(document, arrays)
    )


def test_strided_arrays_are_kept(folder):
    wide = np.arange(60, dtype=np.int32).reshape(10, 6)
    document = Document("d", "text")
    save(folder, [StoredDocument(document, {"codes": wide[::-2, ::3]})])
    np.testing.assert_array_equal(load_index(folder).documents[0].arrays["codes"], wide[::-2, ::3])


def test_arrays_are_read_only_views_of_one_mapping(folder):
    save(folder, samples(4))
    index = load_index(folder)
    array = index.documents[1].arrays["values"]
    assert not array.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1
    roots = set()
    for item in index.documents:
        for view in item.arrays.values():
            while isinstance(view.base, np.ndarray):
                view = view.base
            roots.add(id(view))
    assert len(roots) == 1


def test_segments_are_safetensors_files(folder):
    documents = samples(3)
    save(folder, documents)
    (path,) = (folder / "segments").iterdir()
    arrays = load_file(path)
    assert arrays.keys() == documents[0].arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(
            array, np.concatenate([item.arrays[name] for item in documents])
        )


def test_the_catalogue_is_durable_and_in_one_file(folder):
    save(folder, samples(2))
    with sqlite3.connect(folder / "catalogue.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (1,)
    assert {p.name for p in folder.iterdir()} == {"catalogue.sqlite", "segments", "lock"}
    assert index_info(folder).format_version == catalogue.FORMAT_VERSION


def test_large_documents_are_spread_over_segments(folder, monkeypatch):
    monkeypatch.setattr(storage_save, "SEGMENT_ROWS", 107)
    documents = samples(10, tokens=50)
    save(folder, documents)
    assert index_info(folder).segments == 4
    assert loaded(folder) == expected(documents)


def test_adding_writes_only_the_new(folder):
    documents = samples(5)
    save(folder, documents)
    before = {p: p.stat().st_mtime_ns for p in (folder / "segments").iterdir()}
    save(folder, [*documents, sample("new", 9, 99)], {"other": 1})
    after = {p: p.stat().st_mtime_ns for p in (folder / "segments").iterdir()}
    assert before.items() < after.items()
    assert len(after) == 2
    assert loaded(folder) == expected([*documents, sample("new", 9, 99)], {"other": 1})


def test_saving_the_same_again_writes_no_segment(folder):
    save(folder, samples(5))
    before = segment_files(folder)
    save(folder, load_index(folder).documents)
    assert segment_files(folder) == before
    assert loaded(folder) == expected(samples(5))


def test_new_metadata_text_and_order_need_no_segment(folder):
    documents = samples(4)
    save(folder, documents)
    before = segment_files(folder)
    changed = Document("d1", documents[1].document.text + "!", {"new": "metadata"})
    documents = [documents[3], replace(documents[1], document=changed), documents[0], documents[2]]
    save(folder, documents)
    assert segment_files(folder) == before
    assert loaded(folder) == expected(documents)


def test_a_changed_document_is_written_again(folder):
    documents = samples(5)
    save(folder, documents)
    before = segment_files(folder)
    documents[2] = sample("d2", 31, 77)
    save(folder, documents)
    assert before < segment_files(folder)
    assert loaded(folder) == expected(documents)


def test_a_deleted_document_is_gone(folder):
    documents = [*samples(4), sample("secret", text="the deleted words " * 500)]
    save(folder, documents)
    size = index_info(folder).catalogue_bytes
    assert b"the deleted words" in (folder / "catalogue.sqlite").read_bytes()
    save(folder, documents[:4])
    assert loaded(folder) == expected(documents[:4])
    assert b"the deleted words" not in (folder / "catalogue.sqlite").read_bytes()
    assert index_info(folder).catalogue_bytes < size


def test_a_segment_without_live_documents_is_removed(folder):
    save(folder, samples(2))
    before = segment_files(folder)
    save(folder, samples(2, seed=50))
    assert not before & segment_files(folder)
    assert loaded(folder) == expected(samples(2, seed=50))


def test_a_segment_is_compacted_when_more_than_half_is_dead(folder):
    documents = samples(10)
    save(folder, documents)
    first = segment_files(folder)
    save(folder, documents[5:])
    assert segment_files(folder) == first
    save(folder, documents[6:])
    assert not segment_files(folder) & first
    assert len(segment_files(folder)) == 1
    assert loaded(folder) == expected(documents[6:])
    (path,) = (folder / "segments").iterdir()
    assert len(load_file(path)["values"]) == index_info(folder).tokens == 80


def test_small_segments_are_merged_by_tiers(folder):
    documents, counts = [], []
    for i in range(40):
        documents.append(sample(f"d{i}", 10, i))
        save(folder, documents)
        counts.append(len(segment_files(folder)))
    assert max(counts) <= 2 * tiers.FAN and counts[-1] < 12
    assert loaded(folder) == expected(documents)


def test_compacting_merges_all_that_fit_together(folder, monkeypatch):
    documents = []
    for i in range(6):
        documents.append(sample(f"d{i}", 10 + i, i))
        save(folder, documents)
    documents.pop(2)
    save(folder, documents)
    assert len(segment_files(folder)) == 5
    save_index(folder, documents=documents, header=HEADER, compact=True)
    (path,) = (folder / "segments").iterdir()
    assert len(load_file(path)["values"]) == sum(len(d.arrays["values"]) for d in documents)
    assert loaded(folder) == expected(documents)
    save_index(folder, documents=documents, header=HEADER, compact=True)
    assert segment_files(folder) == {path.name}
    monkeypatch.setattr(storage_save, "SEGMENT_ROWS", 30)
    save(folder, [*documents, *(sample(f"e{i}", 20, 50 + i) for i in range(2))])
    save_index(folder, documents=load_index(folder).documents, header=HEADER, compact=True)
    assert verify_index(folder).ok and len(segment_files(folder)) == 2


@pytest.mark.parametrize("sizes", [[5] * 7, [100, *[5] * 7], [5, 100] * 4, [1] * 8, [900] * 8])
def test_a_merge_at_least_doubles_its_largest_segment(sizes):
    run = [Used(str(n), size, size) for n, size in enumerate(sizes)]
    for group in groups_to_write([run], 1000):
        own = [sizes[int(name)] for name in group]
        assert 2 * max(own) <= sum(own) <= 1000
        assert [int(name) for name in group] == sorted(map(int, group))


def test_what_is_out_of_use_is_written_anew():
    run = [Used("a", 10, 10), Used("b", 4, 10), Used("c", 5, 10)]
    assert groups_to_write([run], 1000) == [("b",)]
    assert groups_to_write([run[:1], run[1:]], 1000, compact=True) == [("b", "c")]
    assert groups_to_write([run], 12, compact=True) == [("b", "c")]
    assert groups_to_write([run[:1]], 12, compact=True) == []


def test_random_histories(folder, monkeypatch):
    """With tables, whose maker changes now and then."""
    monkeypatch.setattr(storage_save, "SEGMENT_ROWS", 89)
    monkeypatch.setattr(tiers, "FAN", 3)
    choose = random.Random(5)
    current = {}
    for step in range(40):
        for _ in range(choose.randint(0, 4)):
            name = f"d{choose.randint(0, 12)}"
            current[name] = sample(name, choose.randint(0, 60), choose.randint(0, 5))
        for name in choose.sample(sorted(current), choose.randint(0, len(current) // 2)):
            del current[name]
        documents = choose.sample(list(current.values()), len(current))
        maker, compact = SampleTables(f"maker {step // 15}"), step % 9 == 5
        save_index(folder, documents=documents, header={"step": step}, maker=maker, compact=compact)
        assert verify_index(folder).problems == ()
        check_tables(folder, maker.name)
        index = load_index(folder)
        assert plain(index) == expected(documents, {"step": step})
        info = index_info(folder)
        assert len(segment_files(folder)) == 2 * info.segments
        files = (folder / "segments").iterdir()
        assert sum(path.stat().st_size for path in files) == info.segment_bytes + info.table_bytes
        current = {item.document.id: item for item in index.documents}


def save_with(maker, folder, documents, **options):
    save_index(folder, documents=documents, header=HEADER, maker=maker, **options)
    check_tables(folder, maker.name)


def test_tables_are_made_once_and_a_deletion_leaves_them(folder):
    made = []

    class Counting(SampleTables):
        def make(self, documents):
            made.append([item.document.id for item in documents])
            return super().make(documents)

    documents = samples(4)
    save_with(Counting("one"), folder, documents)
    save_with(Counting("one"), folder, [*documents, sample("new", 9, 99)])
    save_with(Counting("one"), folder, documents[1:])
    assert made == [["d0", "d1", "d2", "d3"], ["new"]]
    assert [s.numbers for s in load_index(folder).segments] == [(1, 2, 3)]
    save_with(Counting("two"), folder, documents[1:])
    assert made[2:] == [["d1", "d2", "d3"]]
    assert [s.numbers for s in load_index(folder).segments] == [(0, 1, 2)]
    save_with(Counting("two"), folder, documents[1:3], compact=True)
    assert made[3:] == [["d1", "d2"]]
    changed = Document("d2", documents[2].document.text + "!")
    save_with(Counting("two"), folder, [documents[1], replace(documents[2], document=changed)])
    assert made[4:] == [["d2"]]


def test_without_a_maker_no_tables_are_kept(folder):
    save_with(SampleTables("one"), folder, samples(3))
    save(folder, samples(3))
    (segment,) = load_index(folder).segments
    assert segment.tables is None and len(segment_files(folder)) == 1


def test_tables_of_documents_of_another_process(folder):
    """They are made of texts and arrays as they lie in the folder."""
    maker = SampleTables("one")
    save_with(maker, folder, samples(2))
    base = load_index(folder).version
    save_with(maker, folder, [*samples(2), sample("theirs", 5, 50)])
    options = {"base": base, "compact": True}
    save_with(SampleTables("two"), folder, [*samples(2), sample("ours", 6, 60)], **options)
    assert [item.document.id for item in load_index(folder).documents][2:] == ["theirs", "ours"]
    assert verify_index(folder).ok


def test_tables_without_tokens(folder):
    none = [sample("a", 0, 1), sample("b", 0, 2), sample("c", 3, 3)]
    save_with(SampleTables("one"), folder, none)
    save_with(SampleTables("one"), folder, none[1:])
    save_with(SampleTables("two"), folder, none[1:])


def test_equal_texts_are_kept_once(folder):
    save(folder, [sample(f"d{i}", 5, i, text="the same text") for i in range(6)])
    assert index_info(folder).text_bytes == len("the same text")
    save(folder, [sample("d5", 5, 5, text="the same text")])
    assert loaded(folder)[1][0][1] == "the same text"


def test_info_accounts_for_bytes(folder):
    documents = samples(4, tokens=100)
    save(folder, documents)
    info = index_info(folder)
    assert (info.path, info.documents, info.tokens, info.segments) == (folder, 4, 400, 1)
    assert info.header == HEADER
    assert info.characters == info.text_bytes == sum(len(d.document.text) for d in documents)
    (path,) = (folder / "segments").iterdir()
    assert info.segment_bytes == path.stat().st_size
    assert info.segment_bytes == pytest.approx(400 * (6 * 3 + 8 + 2), abs=1000)
    assert info.catalogue_bytes == (folder / "catalogue.sqlite").stat().st_size


def test_verify_counts_what_it_read(folder):
    save(folder, samples(3))
    report = verify_index(folder)
    assert report.ok
    assert (report.documents, report.segments) == (3, 1)
    assert report.bytes == index_info(folder).segment_bytes


def test_leftovers_are_removed_and_other_files_are_not(folder):
    save(folder, samples(2))
    leftovers = [f"{'0' * 32}.safetensors", f"{'1' * 32}.safetensors"]
    journal = Journal(folder)
    journal.note(f"segments/{name}" for name in leftovers)
    theirs = [f"{'2' * 32}.safetensors", f"{'3' * 32}.safetensors.tmp", "mine.safetensors"]
    for name in (leftovers[0], f"{leftovers[1]}.tmp", *theirs):
        (folder / "segments" / name).write_text("x")
    for place in ("readme.md", f"bank-{'4' * 16}/bank.json", "bank-statements/jan.txt"):
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text("x")
    before = {path for path in folder.rglob("*") if path.is_file()}
    save(folder, samples(2))
    gone = {folder / "segments" / leftovers[0], folder / "segments" / f"{leftovers[1]}.tmp"}
    gone |= {folder / JOURNAL}
    assert {path for path in folder.rglob("*") if path.is_file()} == before - gone


@pytest.mark.parametrize(
    "place",
    [
        "jan.txt",
        "bank-statements/jan.txt",
        f"bank-{'0' * 16}/bank.json",
        "segments/notes.txt",
        f"segments/{'0' * 32}.safetensors",
        JOURNAL,
        ".hidden",
    ],
)
def test_a_folder_that_holds_something_else_is_refused(folder, place):
    (folder / place).parent.mkdir(parents=True)
    (folder / place).write_text("mine")
    before = sorted(folder.rglob("*"))
    with pytest.raises(IndexFileError, match="not empty and holds no index"):
        save(folder, samples(2))
    assert sorted(folder.rglob("*")) == before
    assert (folder / place).read_text() == "mine"


def test_a_journal_of_someone_else_is_left_alone(folder):
    save(folder, samples(2))
    (folder / JOURNAL).write_text("mine")
    with pytest.raises(IndexFileError, match="move it away"):
        save(folder, samples(3))
    assert loaded(folder) == expected(samples(2))
    assert (folder / JOURNAL).read_text() == "mine"


def test_two_changes_that_do_not_touch_each_other_are_both_made(folder):
    save(folder, samples(4))
    base = load_index(folder).version
    theirs = [sample("d0", 7, 70), *samples(4)[1:3], sample("theirs", 5, 50)]
    save(folder, theirs)
    ours = [*samples(4)[:2], sample("d2", 9, 90), samples(4)[3], sample("ours", 6, 60)]
    version = save_index(folder, documents=ours, header=HEADER, base=base)
    both = [theirs[0], samples(4)[1], ours[2], theirs[3], ours[4]]
    assert loaded(folder) == expected(both)
    assert load_index(folder).version == version
    assert verify_index(folder).problems == ()


@pytest.mark.parametrize("ours", [[], [sample("d0", 8, 80)], [sample("d0", 7, 71)]])
def test_two_changes_of_one_document_are_refused(folder, ours):
    save(folder, samples(2))
    base = load_index(folder).version
    theirs = [sample("d0", 7, 70), samples(2)[1]]
    save(folder, theirs)
    before = segment_files(folder)
    with pytest.raises(IndexConflictError, match="'d0' here; nothing was saved"):
        save_index(folder, documents=[*ours, samples(2)[1]], header=HEADER, base=base)
    assert loaded(folder) == expected(theirs)
    assert segment_files(folder) == before


def test_who_holds_a_folder_keeps_others_out(folder):
    outcomes = []

    def other():
        try:
            save(folder, samples(1, seed=9))
        except IndexFileError as error:
            outcomes.append(str(error))

    with holding(folder):
        thread = Thread(target=other)
        thread.start()
        thread.join()
        save(folder, samples(2))
    assert "another process is saving" in outcomes[0]
    assert loaded(folder) == expected(samples(2))


def test_an_opened_index_outlives_its_files(folder):
    documents = samples(3, tokens=5000)
    save(folder, documents)
    index = load_index(folder)
    save(folder, samples(1, seed=9))
    assert plain(index) == expected(documents)
    save(folder, index.documents)
    assert loaded(folder) == expected(documents)


def test_a_lost_segment_is_made_up_for_by_saving_again(folder):
    documents = samples(3)
    save(folder, documents)
    index = load_index(folder)
    for path in (folder / "segments").iterdir():
        path.unlink()
    save(folder, index.documents)
    assert loaded(folder) == expected(documents)


def bad(name="bad", text="some text", metadata=None, **arrays):
    document = Document(name, text, metadata or {})
    return StoredDocument(document, arrays or {"latents": np.zeros((3, 6), np.uint16)})


def good(name):
    return bad(name)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (bad("good"), ["two documents", "'good'"]),
        (bad(latents=np.zeros((3, 6), object)), ["'bad'", "'latents'", "object"]),
        (bad(latents=np.zeros((3, 6), complex)), ["'bad'", "'latents'", "complex"]),
        (bad(latents=np.uint16(3)), ["'bad'", "one row per token"]),
        (StoredDocument(Document("bad", "x"), {}), ["'bad'", "arrays"]),
        (bad(latents=np.zeros((3, 7), np.uint16)), ["'bad'", "not like"]),
        (bad(latents=np.zeros((3, 6), np.int16)), ["'bad'", "not like"]),
        (bad(other=np.zeros((3, 6), np.uint16)), ["'bad'", "not like"]),
        (bad(a=np.zeros(3), b=np.zeros(4)), ["'bad'", "length", "3", "4"]),
    ],
)
def test_a_document_that_cannot_be_stored_changes_nothing(folder, document, words):
    with pytest.raises(InputError) as caught:
        save_index(folder, documents=[good("good"), document], header=HEADER)
    assert all(word in str(caught.value) for word in words)
    assert not (folder / "catalogue.sqlite").exists()
    assert segment_files(folder) == set()
    assert {path.name for path in folder.iterdir()} == {"segments", "lock"}
    save(folder, [good("good")])
    with pytest.raises(InputError):
        save_index(folder, documents=[good("good"), document], header=HEADER)
    assert loaded(folder) == expected([good("good")])
    assert len(segment_files(folder)) == 1


def test_a_header_that_is_not_json_is_refused_before_anything_is_made(folder):
    with pytest.raises(InputError, match=r"header.*'codec'"):
        save_index(folder, documents=samples(1), header={"codec": b"bytes"})
    assert not folder.exists()


def test_what_a_generator_raises_passes_through_and_leaves_the_old_index(folder):
    save(folder, samples(2))

    def broken():
        yield sample("new", 9, 9)
        raise FileNotFoundError("chapter-3.txt")

    with pytest.raises(FileNotFoundError, match=r"chapter-3\.txt"):
        save_index(folder, documents=broken(), header={})
    assert loaded(folder) == expected(samples(2))
