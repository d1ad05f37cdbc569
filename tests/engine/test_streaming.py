"""Documents are read into a folder: none is held, each is whole or absent, none is read twice."""

from __future__ import annotations

import os
import signal
import sys
import weakref
from functools import partial
from itertools import chain, islice
from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Any

import pytest

from random_bank import make_bank
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex, folder_store, opening, streaming
from s3_retriever.errors import IndexFileError, InputError, SkippedWarning
from s3_retriever.reading import forward
from s3_retriever.reading.chunks import sources
from s3_retriever.reading.scan import scan_groups
from s3_retriever.searching import searcher
from s3_retriever.storage import files, index_info, load_index, verify_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank

SCAN = {"batch_tokens": 256, "chunk_tokens": 64, "overlap_tokens": 16}
QUESTION = "How does a with statement treat an exception?"


def pages(count: int, size: int = 300) -> list[Document]:
    text = topics["formatstrings"] + topics["types"]
    cut = (text[n * size : n * size + size] for n in range(count))
    return [Document(f"page-{n}", page, {"page": n}) for n, page in enumerate(cut)]


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    return make_bank(tiny_backbone)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the documents that the model reads."""
    ids: list[str] = []

    def spy(backbone: Any, bank: Any, documents: Any, *rest: Any, **more: Any) -> Any:
        def noted() -> Iterator[Document]:
            for document in documents:
                ids.append(document.id)
                yield document

        return scan_groups(backbone, bank, noted(), *rest, **more)

    monkeypatch.setattr(streaming, "scan_groups", spy)
    return ids


@pytest.fixture
def build(tiny_backbone: Backbone, bank: Bank, tmp_path: Path) -> Any:
    def make(documents: Any, **settings: Any) -> EndogenousIndex:
        given = {"scan": SCAN, "bank": bank, "path": tmp_path / "index", **settings}
        return EndogenousIndex.build(documents, model=tiny_backbone, progress=False, **given)

    return make


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is saved at once."""
    monkeypatch.setattr(streaming, "SEGMENT_ROWS", 1)
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: None)


def ids_in(folder: Path) -> list[str]:
    return [item.document.id for item in load_index(folder).documents]


def found(index: EndogenousIndex, **settings: Any) -> Any:
    return index.search(QUESTION, k=8, **settings).spans


def stop_after(items: Iterable[Any], count: int, error: BaseException) -> Iterator[Any]:
    yield from islice(items, count)
    raise error


# --- what is built --------------------------------------------------------------------------------


@pytest.mark.parametrize("fast", [True, False])
def test_it_is_the_index_that_is_built_in_memory(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, often: None, fast: bool
) -> None:
    if fast:
        monkeypatch.setattr(searcher, "FAST_FROM", 0)
        monkeypatch.setattr(folder_store, "FAST_FROM", 0)
    documents = pages(20)
    index, whole = build(iter(documents)), build(documents, path=None)
    assert dict(index.documents) == dict(whole.documents)
    assert list(index.documents) == list(whole.documents)
    assert found(index, exact=True) == found(whole, exact=True)
    assert len(found(index)) == len(found(whole))
    assert index.stats.tokens == whole.stats.tokens == index.stats.scan.tokens
    assert index.scan_config == whole.scan_config == ScanConfig(**SCAN)
    assert index_info(tmp_path / "index").segments < 20 and verify_index(tmp_path / "index").ok


def test_what_is_held_does_not_grow(
    build: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Text(str):
        """Can be told when it is let go."""

    monkeypatch.setattr(streaming, "SEGMENT_ROWS", 400)
    monkeypatch.setattr(forward, "sources", partial(sources, window_batches=2))
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: None)

    def most_held(count: int) -> int:
        live: list[weakref.ref[Text]] = []
        most = 0

        def texts() -> Iterator[Document]:
            nonlocal most
            for number in range(count):
                text = Text(topics["types"][250 * number : 250 * number + 250])
                live[:] = [*(held for held in live if held() is not None), weakref.ref(text)]
                most = max(most, len(live))
                yield Document(str(number), text)

        assert len(build(texts(), path=tmp_path / str(count))) == count
        return most

    few, many = most_held(60), most_held(120)
    assert many <= few + 5 < 60


def test_a_second_run_reads_nothing(build: Any, read: list[str]) -> None:
    index = build(iter(pages(6)))
    assert read == [document.id for document in pages(6)]
    read.clear()
    again = build(pages(6))
    assert (
        read == [] and found(again) == found(index) and list(again.documents) == [*index.documents]
    )
    assert again.stats.scan.tokens == index.stats.scan.tokens


def test_what_is_new_or_changed_alone_is_read(build: Any, read: list[str], tmp_path: Path) -> None:
    build(pages(4), search={"k": 3})
    read.clear()
    changed = Document("page-1", "Another text.", {"page": 1})
    told = Document("page-2", pages(3)[2].text, {"page": "two"})
    index = build([changed, told, pages(5)[4]], search={"k": 4})
    assert read == ["page-1", "page-4"]
    assert list(index.documents) == ["page-0", "page-2", "page-3", "page-1", "page-4"]
    assert index.documents["page-1"] == changed and index.documents["page-2"] == told
    assert index.config.k == 4 and verify_index(tmp_path / "index").ok
    same = build(index.documents.values(), path=None)
    assert found(index, exact=True) == found(same, exact=True)


def test_texts_without_ids_are_known_again(build: Any, read: list[str]) -> None:
    texts = [page.text for page in pages(3)]
    assert list(build(texts).documents) == ["0", "1", "2"]
    read.clear()
    assert list(build([*texts, "And one more."]).documents) == ["0", "1", "2", "3"]
    assert read == ["3"]


def test_a_bank_that_must_be_made_is_made_of_the_first(
    build: Any, bank: Bank, monkeypatch: pytest.MonkeyPatch, read: list[str]
) -> None:
    seen: list[str] = []

    def resolve(given: Any, backbone: Any, documents: Any, *_: Any) -> Bank:
        seen.extend(document.id for document in documents)
        return bank

    monkeypatch.setattr(opening, "resolve_bank", resolve)
    monkeypatch.setattr(opening, "_SAMPLE_CHARACTERS", 500)
    assert len(build(iter(pages(5)), bank=None)) == 5
    assert seen == ["page-0", "page-1"] and read == [page.id for page in pages(5)]


# --- interrupted ----------------------------------------------------------------------------------


def test_what_came_before_an_error_is_read(build: Any, read: list[str], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the source has gone"):
        build(stop_after(pages(9), 7, RuntimeError("the source has gone")))
    assert ids_in(tmp_path / "index") == read == [page.id for page in pages(7)]


def scan_until(count: int, stop: Callable[[], None]) -> Any:
    """A scan at whose end something happens, after so many documents."""

    def stopping(*given: Any, **more: Any) -> Iterator[Any]:
        entries = chain.from_iterable(scan_groups(*given, **more))
        yield from ([entry] for entry in islice(entries, count))
        stop()

    return stopping


def interrupt() -> None:
    raise KeyboardInterrupt


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_was_read_before_an_interrupt_is_kept(
    build: Any, read: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = pages(30)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(streaming, "scan_groups", scan_until(20, interrupt))
        build(documents)
    kept = ids_in(tmp_path / "index")
    assert kept == [page.id for page in documents[:20]]
    assert verify_index(tmp_path / "index").ok
    read.clear()
    index = build(documents)
    assert read == [page.id for page in documents[len(kept) :]]
    assert found(index, exact=True) == found(build(documents, path=None), exact=True)


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_killed_build_keeps_whole_documents(
    build: Any, read: list[str], tmp_path: Path, often: None
) -> None:
    documents = pages(30)
    child = os.fork()
    if child == 0:
        try:
            streaming.scan_groups = scan_until(20, kill)
            build(documents)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    kept = ids_in(tmp_path / "index")
    assert kept == [page.id for page in documents[:20]] and verify_index(tmp_path / "index").ok
    index = build(documents)
    assert read == [page.id for page in documents[len(kept) :]]
    assert list(index.documents) == [page.id for page in documents]


def test_a_disk_that_fills_keeps_what_was_saved(
    build: Any, read: list[str], tmp_path: Path, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, left = files.replace, [12]

    def full(*names: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        replace(*names)

    monkeypatch.setattr(files, "replace", full)
    with pytest.raises(IndexFileError, match="free some space"):
        build(pages(20))
    monkeypatch.setattr(files, "replace", replace)
    kept = ids_in(tmp_path / "index")
    assert 0 < len(kept) < 20 and verify_index(tmp_path / "index").ok
    read.clear()
    assert len(build(pages(20))) == 20 and len(read) == 20 - len(kept)


# --- bad input ------------------------------------------------------------------------------------


def test_a_bad_document_stops_or_is_left_out(build: Any, tmp_path: Path) -> None:
    given = [*pages(2), "  ", *pages(3)[2:]]
    with pytest.raises(InputError, match=r"documents\[2\]: .*what was read before it is kept"):
        build(given)
    assert ids_in(tmp_path / "index") == ["page-0", "page-1"]
    with pytest.warns(SkippedWarning, match="left out 1 of 4 documents"):
        index = build(given, on_error="skip")
    assert [skipped.place for skipped in index.skipped] == [2]
    assert list(index.documents) == ["page-0", "page-1", "page-2"]
    with pytest.raises(InputError, match="duplicate document id 'page-0'"):
        build([*pages(1), *pages(1)])


def test_nothing_to_index_makes_no_folder(build: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no document to index"):
        build(iter([]))
    assert not (tmp_path / "index").exists()
    build(pages(2))
    assert len(build([])) == 2


def test_other_codes_than_those_there_are_refused(
    build: Any, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    index = build(pages(2))
    with pytest.raises(InputError, match=r"another bank, or with chunk_tokens=64.*leave them out"):
        build(pages(3), scan={"chunk_tokens": 32})
    with pytest.raises(InputError, match="made with another bank"):
        build(pages(3), bank=make_bank(tiny_backbone, seed=1))
    assert found(build(pages(2), scan=None, bank=None)) == found(index)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(IndexFileError, match="not empty and holds no index"):
        build(pages(2), path=tmp_path / "other")


# --- an index that is there -----------------------------------------------------------------------


def test_adding_to_the_folder_of_an_index(build: Any, read: list[str], tmp_path: Path) -> None:
    index, folder = build(pages(2), path=None), tmp_path / "index"
    assert index.add(iter(pages(4)[2:]), path=folder) == ("page-2", "page-3")
    assert read == ["page-2", "page-3"] and ids_in(folder) == [*index.documents]
    assert index.add(["A text."], path=folder) == ("4",)
    with pytest.raises(InputError, match=r"documents\[1\]: duplicate document id 'page-0'"):
        index.add([*pages(6)[5:], *pages(1)], path=folder)
    assert ids_in(folder) == [*index.documents] and "page-5" in index.documents
    again = EndogenousIndex.load(folder, model=index.backbone)
    assert found(again) == found(index)
    with pytest.raises(RuntimeError):
        index.upsert(stop_after(pages(9)[6:], 2, RuntimeError()), path=folder)
    assert ids_in(folder) == [*index.documents] and len(index) == 4 + 1 + 1 + 2
    read.clear()
    missing = [page.id for page in pages(9) if page.id not in index.documents]
    index.upsert(pages(9), path=folder)
    assert read == missing == ["page-4", "page-8"] and len(index) == 10
    assert index.upsert([], path=folder) == ()
    index.delete("4")
    index.save(folder)
    assert ids_in(folder) == [*index.documents] and verify_index(folder).ok
