"""What a person has stays: files beside an index, documents of two writers, the rest of a batch."""

from __future__ import annotations

import copy
import datetime
import json
import multiprocessing
import pickle
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from random_bank import make_bank
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.errors import (
    IndexConflictError,
    IndexFileError,
    InputError,
    SkippedWarning,
)
from s3_retriever.storage import holding, verify_index

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank

PAGES = [f"Page {number} tells of lamp {number}. Its keeper left." for number in range(6)]
QUESTION = "Who left the lamp?"


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    return make_bank(tiny_backbone)


@pytest.fixture
def build(tiny_backbone: Backbone, bank: Bank) -> Any:
    def make(documents: Any, **options: Any) -> EndogenousIndex:
        return EndogenousIndex.build(
            documents, model=tiny_backbone, bank=bank, progress=False, **options
        )

    return make


@pytest.fixture
def load(tiny_backbone: Backbone, tmp_path: Path) -> Any:
    return lambda: EndogenousIndex.load(tmp_path / "index", model=tiny_backbone)


# --- the folder -----------------------------------------------------------------------------------


def test_folders_of_the_users_are_not_removed(build: Any, tmp_path: Path) -> None:
    for name in ("bank-statements/jan.txt", "bank-0000000000000000/mine", ".saving-x/draft"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(IndexFileError, match="not empty and holds no index"):
        build(PAGES).save(tmp_path)
    (tmp_path / "index").mkdir()
    build(PAGES[:3]).save(tmp_path / "index")
    for name in ("bank-statements", "bank-0000000000000000"):
        (tmp_path / name).rename(tmp_path / "index" / name)
    build(PAGES, search={"k": 2}).save(tmp_path / "index")
    assert (tmp_path / "index/bank-statements/jan.txt").read_text() == "mine"
    assert (tmp_path / "index/bank-0000000000000000/mine").read_text() == "mine"
    assert sorted(before.values()) == [b"mine"] * 3


def test_a_file_put_into_the_old_banks_folder_stays(
    build: Any, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    build(PAGES).save(folder)
    (old,) = folder.glob("bank-*")
    (old / "notes.txt").write_text("mine")
    other = EndogenousIndex.build(
        PAGES, model=tiny_backbone, bank=make_bank(tiny_backbone, 1), progress=False
    )
    other.save(folder)
    assert [path.name for path in old.rglob("*")] == ["notes.txt"]
    assert verify_index(folder).ok


# --- two writers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
def test_changes_that_do_not_touch_are_merged(
    build: Any, load: Any, tmp_path: Path, first: int
) -> None:
    build(PAGES[:3]).save(tmp_path / "index")
    writers = [load(), load()]
    writers[0].add([Document("a", "A new page on ropes.")])
    writers[0].delete("0")
    writers[1].add([Document("b", "A new page on sails.")])
    writers[1].delete("1")
    for number in (first, 1 - first):
        writers[number].save(tmp_path / "index")
    last = writers[1 - first]
    assert set(last.documents) == {"2", "a", "b"} == set(load().documents)
    assert last.search(QUESTION).spans == load().search(QUESTION).spans
    assert load().stats.scan.tokens == last.stats.scan.tokens
    writers[first].add([Document("c", "A third new page.")])
    writers[first].save(tmp_path / "index")
    assert set(load().documents) == {"2", "a", "b", "c"}
    assert verify_index(tmp_path / "index").ok


def test_changes_of_one_document_are_refused_and_neither_is_lost(
    build: Any, load: Any, tmp_path: Path
) -> None:
    build(PAGES[:3]).save(tmp_path / "index")
    mine, theirs = load(), load()
    for index, text in ((mine, "Mine."), (theirs, "Theirs.")):
        index.delete("0")
        index.add([Document("0", text)])
    theirs.save(tmp_path / "index")
    with pytest.raises(IndexConflictError, match="so was '0' here; nothing was saved"):
        mine.save(tmp_path / "index")
    assert mine.documents["0"].text == "Mine."
    assert load().documents["0"].text == "Theirs."
    mine.save(tmp_path / "index", overwrite=True)
    assert load().documents["0"].text == "Mine."


def test_another_index_is_not_written_over(build: Any, load: Any, tmp_path: Path) -> None:
    first, second = build(PAGES[:3]), build(PAGES[3:])
    first.save(tmp_path / "index")
    with pytest.raises(IndexConflictError, match=r"overwrite=True"):
        second.save(tmp_path / "index")
    assert load().documents == first.documents
    build(PAGES).save(tmp_path / "index")  # all of the first's are in it
    assert len(load()) == 6
    second.save(tmp_path / "index", overwrite=True)
    assert load().documents == second.documents
    with pytest.raises(IndexConflictError):
        first.save(tmp_path / "index")


def test_settings_changed_by_two(build: Any, load: Any, tmp_path: Path) -> None:
    build(PAGES[:2]).save(tmp_path / "index")
    mine, theirs = load(), load()
    theirs.config = theirs.config.replace(k=3)
    theirs.save(tmp_path / "index")
    mine.answer_config = mine.answer_config.replace(k=2)
    mine.save(tmp_path / "index")
    assert (load().config.k, load().answer_config.k, mine.config.k) == (3, 2, 3)
    mine.config, theirs.config = mine.config.replace(k=4), theirs.config.replace(k=5)
    mine.save(tmp_path / "index")
    with pytest.raises(IndexConflictError, match="'search'"):
        theirs.save(tmp_path / "index")


def write_until_killed(name: str, folder: Path, backbone: Backbone, said: Connection) -> None:
    torch.set_num_threads(1)  # those of the parent do not run in a forked child
    index, number = EndogenousIndex.load(folder, model=backbone), 0
    while True:
        index.add([f"Text {name} {number}"])
        try:
            index.save(folder)
        except IndexFileError as error:
            assert "another process" in str(error), error
            index = EndogenousIndex.load(folder, model=backbone)
            continue
        said.send(number)
        number += 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has run torch")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_among_other_writers(
    build: Any, load: Any, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    """Whatever moment a writer is killed at, the folder opens and what was saved is there."""
    folder, forking = tmp_path / "index", multiprocessing.get_context("fork")
    build(PAGES[:1]).save(folder)
    writers = []
    for name in "ab":
        hears, says = forking.Pipe(duplex=False)
        arguments = (name, folder, tiny_backbone, says)
        process = forking.Process(target=write_until_killed, args=arguments)
        process.start()
        says.close()
        writers.append((name, process, hears))
    saved = {}
    for (name, _, hears), count in zip(writers, (3, 8), strict=True):
        saved[name] = [hears.recv() for _ in range(count)]
    for _, process, hears in writers:
        process.kill()
        process.join()
        hears.close()
        assert process.exitcode == -signal.SIGKILL
    found = {document.text for document in load().documents.values()}
    for name, numbers in saved.items():
        assert {f"Text {name} {number}" for number in numbers} <= found
    assert verify_index(folder).ok
    load().save(folder)


# --- one bad page ---------------------------------------------------------------------------------

BAD: list[Any] = [" \n", "half \ud800", 7, Document("0x", "twin"), Document("0x", "twin")]


def test_all_that_is_wrong_is_named(build: Any) -> None:
    with pytest.raises(InputError) as caught:
        build([*PAGES, *BAD])
    for words in ("[6]", "[7]", "[8]", "[10]", "white space", "half a character", "duplicate"):
        assert words in str(caught.value)
    assert "4 of 11" in str(caught.value)


def test_the_rest_is_read(build: Any) -> None:
    with pytest.warns(SkippedWarning, match="left out 4 of 11"):
        index = build([*PAGES, *BAD], on_error="skip")
    assert [item.place for item in index.skipped] == [6, 7, 8, 10]
    assert [d.text for d in index.documents.values()] == [*PAGES, "twin"]
    with pytest.warns(SkippedWarning):
        assert len(index.add(["", "good"], on_error="skip")) == 1
    assert [item.place for item in index.skipped] == [0]
    with pytest.raises(InputError, match="'raise' or 'skip'"):
        index.add(["x"], on_error="ignore")


def test_halves_of_one_character_are_joined(build: Any) -> None:
    text = json.loads('"A lamp \\ud83d\\uddfc by the sea. It burns."')
    split = "A lamp \ud83d\uddfc by the sea. It burns."
    assert split != text
    index = build([split])
    assert index.documents["0"].text == text
    assert all(text[s.start : s.end] == s.text for s in index.search("lamp"))


@pytest.mark.parametrize("path", [Path(__file__), str(Path(__file__).parent), Path("gone")])
def test_a_path_in_place_of_documents(build: Any, path: Any) -> None:
    with pytest.raises(InputError, match=r"is a path.*read_text.*s3-retriever index"):
        build(path)


def test_a_document_of_a_framework_is_named_so(build: Any) -> None:
    from langchain_core.documents import Document as LangChainDocument

    with pytest.raises(InputError, match=r"of LangChain; give it to langchain_s3_retriever"):
        build([LangChainDocument("text")])


# --- metadata -------------------------------------------------------------------------------------


def test_metadata_is_converted_or_refused_before_anything_is_read(
    build: Any, load: Any, tmp_path: Path
) -> None:
    given = {
        "day": datetime.date(2024, 2, 29),
        "time": datetime.datetime(2024, 2, 29, 12, 30),
        "size": np.int64(3),
        "scores": np.array([0.5, 1.5], np.float32),
        "path": Path("a/b"),
        "uid": uuid.UUID(int=1),
        "nested": {"tags": ("x", "y"), 3: [datetime.date(2024, 1, 1)]},
    }
    kept = {
        "day": "2024-02-29",
        "time": "2024-02-29T12:30:00",
        "size": 3,
        "scores": [0.5, 1.5],
        "path": str(Path("a/b")),
        "uid": str(uuid.UUID(int=1)),
        "nested": {"tags": ["x", "y"], "3": ["2024-01-01"]},
    }
    index = build([Document("a", PAGES[0], given), Document("b", PAGES[1])])
    index.save(tmp_path / "index")
    assert index.documents["a"].metadata == kept == load().documents["a"].metadata
    for value in (datetime.date(2024, 1, 1), "2024-01-01"):
        assert len(index.search("lamp", filter={"day": {"gt": value}})) == 1
        assert not index.search("lamp", filter={"day": {"lt": value}})
    loop: list[Any] = []
    loop.append(loop)
    for wrong in (object(), {1, 2}, b"bytes", loop, {"deep": [object()]}, {(1, 2): 3}, "\ud800"):
        with pytest.raises(InputError, match=r"'odd'.*'it'.*JSON"):
            Document("odd", "text", {"it": wrong})


def test_metadata_is_copied_at_the_door_and_read_only_after(build: Any) -> None:
    mine = {"tags": ["a"], "nested": {"x": [1]}}
    index = build([Document("a", PAGES[0], mine)])
    mine["tags"].append("b")  # type: ignore[attr-defined]
    mine["new"] = 1  # type: ignore[assignment]
    kept = {"tags": ["a"], "nested": {"x": [1]}}
    assert index.documents["a"].metadata == kept
    span = index.search("lamp")[0]
    changes = (
        lambda m: m.update(x=1),
        lambda m: m["tags"].append(1),
        lambda m: m["nested"]["x"].clear(),
        lambda m: m.__setitem__("x", 1),
        lambda m: m.pop("tags"),
    )
    for change in changes:
        for metadata in (span.metadata, index.documents["a"].metadata):
            with pytest.raises(TypeError, match="read-only"):
                change(metadata)  # type: ignore[no-untyped-call]
    own = copy.deepcopy(span.metadata)
    own["tags"].append("mine")
    assert index.search("lamp")[0].metadata == kept


@pytest.mark.parametrize("size", ["plenty", "0", -1, "4 apples"])
def test_a_memory_that_is_none_is_refused_at_once(size: Any) -> None:
    with pytest.raises(InputError, match="max_memory"):
        ScanConfig(max_memory=size)


# --- copies ---------------------------------------------------------------------------------------


def test_a_copy_shares_the_weights_and_changes_by_itself(build: Any) -> None:
    index = build(PAGES[:3])
    for other in (copy.copy(index), copy.deepcopy(index)):
        assert other.backbone is index.backbone and other.bank is index.bank
        other.add(["A fourth page."])
        other.delete("0")
        assert len(index) == 3 and len(other) == 3
        assert index.search(QUESTION) != other.search(QUESTION)


def test_an_index_is_pickled_by_its_folder(
    build: Any, tiny_backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = build(PAGES[:3])
    with pytest.raises(InputError, match=r"index\.save\(folder\)"):
        pickle.dumps(index)
    index.save(tmp_path / "index")
    monkeypatch.setattr(type(tiny_backbone), "__reduce__", lambda self: (_tiny, ()), raising=False)
    global _shared
    _shared = tiny_backbone
    again = pickle.loads(pickle.dumps(index))
    assert again.search(QUESTION) == index.search(QUESTION)
    index.add(["More."])
    with pytest.raises(InputError, match=r"index\.save\(folder\)"):
        pickle.dumps(index)


_shared: Any = None


def _tiny() -> Any:
    return _shared


def test_a_folder_is_held_from_loading_to_saving(build: Any, load: Any, tmp_path: Path) -> None:
    build(PAGES[:2]).save(tmp_path / "index")
    code = (
        "import sys; from s3_retriever.storage import holding\n"
        "with holding(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "index")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout and process.stdin
    assert process.stdout.readline() == "held\n"
    index = load()
    index.add(["More."])
    with pytest.raises(IndexFileError, match="another process is saving"):
        index.save(tmp_path / "index")
    process.stdin.close()
    process.wait()
    process.stdout.close()
    index.save(tmp_path / "index")
    with holding(tmp_path / "index"):
        index.save(tmp_path / "index")
    assert len(load()) == 3
