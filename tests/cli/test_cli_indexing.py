"""What ``s3-retriever index`` takes for one document, what it forgets, and what it leaves out."""

from __future__ import annotations

import io
import json
import os
import sys
import weakref
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest

from s3_retriever.cli import main
from s3_retriever.engine import streaming
from s3_retriever.files import folders
from s3_retriever.files.extract import Extract
from s3_retriever.files.kinds import extract
from s3_retriever.reading import forward
from s3_retriever.reading.chunks import sources
from s3_retriever.reading.scan import scan_groups
from s3_retriever.storage import load_index


@pytest.fixture
def index(tmp_path: Path, tiny_options: list[str], capsys: Any) -> Any:
    """Runs the command on one index; its report, exit code and what it said besides."""

    def run(*argv: str, output: str | None = None) -> tuple[dict[str, Any], int, str]:
        path = output or str(tmp_path / "all.s3")
        code = main(["index", *argv, "-o", path, "--json", *tiny_options])
        out, err = capsys.readouterr()
        return json.loads(out) if out else {}, code, err

    return run


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def texts(tmp_path: Path) -> dict[str, str]:
    return {d.document.id: d.document.text for d in load_index(tmp_path / "all.s3").documents}


def test_the_target_is_never_a_folder_of_other_things(
    tmp_path: Path, index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = write(tmp_path / "proj" / "bank-statements" / "jan.txt", "Rent was paid.")
    monkeypatch.chdir(tmp_path / "proj")
    report, code, said = index("bank-statements", output=".")
    assert (report, code) == ({}, 1) and "not empty and holds no index" in said
    assert [path for path in (tmp_path / "proj").rglob("*") if path.is_file()] == [mine]


def test_two_working_folders_keep_each_others_documents(
    tmp_path: Path, index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("p1", "p2"):
        write(tmp_path / name / "notes" / "a.md", f"A note of {name}.")
        monkeypatch.chdir(tmp_path / name)
        assert index("notes", output="../all.s3")[0]["forgotten"] == []
    assert texts(tmp_path) == {"a.md": "A note of p1.", "notes/a.md": "A note of p2."}
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "p2" / "notes" / "a.md", "A newer note of p2.")
    assert index("p1/notes", "p2/notes")[0]["read"] == 1
    assert texts(tmp_path) == {"a.md": "A note of p1.", "notes/a.md": "A newer note of p2."}


def test_names_that_are_the_same_in_many_folders(tmp_path: Path, index: Any) -> None:
    folders = [tmp_path / place for place in ("x/docs", "y/docs", "x/z/docs")]
    for folder in folders:
        write(folder / "README.md", f"To be read in {folder}.")
    index(*map(str, folders))
    found = texts(tmp_path)
    assert list(found) == ["README.md", "docs/README.md", "z/docs/README.md"]
    assert index(*map(str, reversed(folders)))[0]["read"] == 0
    assert texts(tmp_path) == found


@pytest.mark.parametrize("first", range(5))
def test_one_file_by_other_spellings_is_one_document(
    tmp_path: Path, index: Any, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    write(tmp_path / "notes" / "sub" / "a.md", "One note.")
    (tmp_path / "link").symlink_to(tmp_path / "notes")
    monkeypatch.chdir(tmp_path)
    spellings = ["notes", "./notes/sub/../sub/a.md", "link", "link/sub/a.md", "notes/sub"]
    spellings = spellings[first:] + spellings[:first]
    reads = [index(spelling)[0]["read"] for spelling in spellings]
    assert reads == [1, 0, 0, 0, 0]
    assert list(texts(tmp_path).values()) == ["One note."]


def test_what_is_gone_is_forgotten_on_request_alone(
    tmp_path: Path,
    index: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    tiny_options: list[str],
) -> None:
    for name in ("one/a.md", "one/b.md", "two/a.md", "one/sub/c.md"):
        write(tmp_path / name, f"Text of {name}.")
    index(str(tmp_path / "one"), str(tmp_path / "two"))
    (tmp_path / "one" / "a.md").unlink()
    (tmp_path / "two" / "a.md").unlink()
    monkeypatch.chdir(tmp_path / "one")
    report = index(".")[0]
    assert (report["forgotten"], report["gone"], report["documents"]) == ([], ["a.md"], 4)
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert main(["index", "--sync", "../link", "-o", "../all.s3", *tiny_options]) == 0
    assert "forgot 1: a.md\n" in capsys.readouterr().out
    assert set(texts(tmp_path)) == {"b.md", "sub/c.md", "two/a.md"}


def test_a_folder_that_was_renamed(tmp_path: Path, index: Any) -> None:
    write(tmp_path / "old" / "a.md", "A note.")
    index(str(tmp_path / "old"))
    (tmp_path / "old").rename(tmp_path / "new")
    assert index(str(tmp_path / "new"))[0]["documents"] == 2
    assert set(texts(tmp_path)) == {"a.md", "new/a.md"}
    assert index("--sync", str(tmp_path / "old"))[0]["forgotten"] == ["a.md"]
    assert set(texts(tmp_path)) == {"new/a.md"}


def test_what_is_there_but_cannot_be_read_is_not_gone(tmp_path: Path, index: Any) -> None:
    folder = tmp_path / "notes"
    write(folder / "a.md", "A note.")
    write(folder / "data.csv", "by,name")
    index(str(folder), str(folder / "data.csv"))
    write(folder / "a.md", b"\0\xff\0")
    report, code, said = index("--sync", str(folder))
    assert (report["forgotten"], code) == ([], 3) and "a.md is no text" in said
    assert texts(tmp_path) == {"a.md": "A note.", "data.csv": "by,name"}


def test_standard_input_by_name(
    tmp_path: Path, index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pipe(text: str | bytes, *argv: str) -> tuple[dict[str, Any], int, str]:
        data = text if isinstance(text, bytes) else text.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        result: tuple[dict[str, Any], int, str] = index("-", *argv)
        return result

    pipe("The first book.", "--name", "one.pdf")
    pipe("The second book.", "--name", "two.pdf")
    pipe("A book without a name.")
    assert pipe("A book without a name.")[0]["read"] == 0
    code, said = pipe("Another one.")[1:]
    assert code == 1 and "--name NAME" in said
    pipe("A newer second book.", "--name", "two.pdf")
    write(tmp_path / "notes" / "a.md", "A note.")
    index(str(tmp_path / "notes"))
    assert "another document" in pipe("A clash.", "--name", "a.md")[2]
    assert texts(tmp_path) == {
        "one.pdf": "The first book.",
        "stdin": "A book without a name.",
        "two.pdf": "A newer second book.",
        "a.md": "A note.",
    }
    for blank in (b" \n", b"\xff\xfe\x00", b"%PDF-1.4 \xe9"):
        assert pipe(blank, "--name", "blank")[1] == 1
    assert "which is given by the path -" in index(str(tmp_path / "notes"), "--name", "x")[2]


BAD = {
    "paper.txt": (b"%PDF-1.7\n\xe2\xe3", "is damaged"),
    "letter.md": (b"PK\x03\x04\xff\xfe", "binary"),
    "raw.txt": (b"\x00\xff\x00\xfe", "binary"),
    "half.txt": (b"\xff\xfe\x00", "is not utf-16"),
    "sheet.xlsx": (b"PK", "is damaged"),
}


def test_one_bad_file_does_not_refuse_the_others(tmp_path: Path, index: Any) -> None:
    folder = tmp_path / "notes"
    write(folder / "good.md", "A good note.")
    write(folder / "blank.md", "\n")
    write(folder / "more" / "picture.png", b"x")
    for name, (data, _) in BAD.items():
        write(folder / name, data)
    write(folder / os.fsdecode(b"na\xefve.txt"), "A name of another time.")
    report, code, said = index(str(folder))
    assert (code, report["read"], len(report["left_out"])) == (3, 1, 6)
    for name, (_, advice) in BAD.items():
        assert name in said and advice in report["left_out"][str(folder / name)]
    assert "rename it" in said and "na\\udcefve.txt" in said
    assert report["empty"] == [str(folder.resolve() / "blank.md")]
    assert {Path(name).name for name in report["other_kinds"]} == {"picture.png"}
    report, code, said = index(str(folder), "--strict", output=str(tmp_path / "other.s3"))
    assert (report, code) == ({}, 1) and all(name in said for name in BAD)
    assert not (tmp_path / "other.s3").exists()
    report, code, said = index(*(str(folder / name) for name in BAD))
    assert code == 3 and all(name in said for name in BAD)


def test_an_interrupted_run_is_taken_up(
    tmp_path: Path, index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number:02}.md" for number in range(12)]
    for name in names:
        write(tmp_path / "notes" / name, f"A note with the name {name}.")

    def interrupted(*given: Any, **more: Any) -> Any:
        entries = chain.from_iterable(scan_groups(*given, **more))
        yield from ([entry] for entry in islice(entries, 5))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(streaming, "scan_groups", interrupted)
        _, code, said = index(str(tmp_path / "notes"))
    assert code == 130 and "the same command reads the rest" in said
    assert list(texts(tmp_path)) == names[:5]
    report, code, _ = index(str(tmp_path / "notes"))
    assert (report["read"], report["documents"], code) == (7, 12, 0)
    assert list(texts(tmp_path)) == names


def test_files_are_let_go_when_they_are_saved(
    tmp_path: Path, index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Text(str):
        """Can be told when it is let go."""

    live: list[weakref.ref[Text]] = []
    held = [0]

    def told(file: Any) -> Any:
        text = Text(extract(file).text)
        live[:] = [*(other for other in live if other() is not None), weakref.ref(text)]
        held[0] = max(held[0], len(live))
        return Extract(text)

    monkeypatch.setattr(folders, "extract", told)
    monkeypatch.setattr(forward, "sources", partial(sources, window_batches=1))
    monkeypatch.setattr(streaming, "SEGMENT_ROWS", 1000)
    for number in range(40):
        write(tmp_path / "notes" / f"{number}.md", f"This is line {number} of a note. " * 50)
    assert index(str(tmp_path / "notes"))[0]["documents"] == 40
    assert 0 < held[0] < 30


def test_other_metadata_of_the_same_text_is_taken_without_reading(
    tmp_path: Path, index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "notes" / "a.md", "A note.")
    for title, read in (("Old", 1), ("New", 0)):
        monkeypatch.setattr(folders, "extract", lambda file, t=title: Extract("A note.", title=t))
        assert index(str(tmp_path / "notes"))[0]["read"] == read
    (stored,) = load_index(tmp_path / "all.s3").documents
    assert (stored.document.metadata["title"], stored.document.text) == ("New", "A note.")


def test_what_was_assumed_is_told(tmp_path: Path, index: Any) -> None:
    write(tmp_path / "notes" / "latin.txt", "café über".encode("cp1252"))
    write(tmp_path / "notes" / "wide.md", "Ein Text".encode("utf-16"))
    report, code, said = index(str(tmp_path / "notes"))
    assert (code, report["read"]) == (0, 2)
    assert report["assumed"] == {str(tmp_path.resolve() / "notes" / "latin.txt"): "cp1252"}
    assert "latin.txt was read as cp1252" in said and "wide.md" not in said
    assert texts(tmp_path) == {"latin.txt": "café über", "wide.md": "Ein Text"}
    index(str(tmp_path / "notes"), "--encoding", "mac-roman")
    assert texts(tmp_path)["latin.txt"] != "café über"


def test_a_bad_file_beside_good_ones_that_were_given(tmp_path: Path, index: Any) -> None:
    good = write(tmp_path / "good.md", "A good note.")
    bad = write(tmp_path / "raw.txt", b"\0\xff\0")
    report, code, said = index(str(good), str(bad))
    assert (code, report["read"]) == (3, 1) and "raw.txt is no text" in said
    report, code, said = index(str(good), str(tmp_path / "gone.txt"))
    assert (report, code) == ({}, 1) and "check the path" in said


def test_a_dry_run_writes_nothing(tmp_path: Path, index: Any, tiny_options: list[str]) -> None:
    folder = tmp_path / "notes"
    write(folder / "a.md", "A note of some words.")
    write(folder / "b.md", "Another note.")
    write(folder / ".gitignore", "c.md")
    write(folder / "c.md", "Left out.")
    report, code, _ = index(str(folder), "--dry-run")
    assert code == 0 and set(report["documents"]) == {"a.md", "b.md"}
    assert report["tokens"] == sum(report["documents"].values()) > 0 and report["seconds"] > 0
    assert report["ignored"] == [str(folder / "c.md")]
    assert not (tmp_path / "all.s3").exists()
    index(str(folder), "--exclude", "b.md")
    assert set(texts(tmp_path)) == {"a.md"}
    assert set(index(str(folder), "--dry-run")[0]["documents"]) == {"b.md"}


def test_show_prints_what_was_indexed(
    tmp_path: Path, index: Any, tiny_options: list[str], capsys: Any
) -> None:
    write(tmp_path / "notes" / "a.md", "# Lamp\n\nIt was lit in 1871.\n\n# Bees\n\nElevenhives.")
    index(str(tmp_path / "notes"))
    path = str(tmp_path / "all.s3")
    capsys.readouterr()
    assert main(["show", path]) == 0 and capsys.readouterr().out == "a.md\n"
    assert main(["search", path, "bees", "--json", *tiny_options[:2]]) == 0
    spans = json.loads(capsys.readouterr().out)["spans"]
    for span in spans:
        assert main(["show", path, "a.md", str(span["start"]), str(span["end"])]) == 0
        assert capsys.readouterr().out == span["text"] + "\n"
        assert span["citation"] == f"a.md, {span['metadata']['section']}"
    assert main(["show", path, "a.txt"]) == 1 and "for all ids" in capsys.readouterr().err
    assert main(["show", path, "a.md", "9", "999"]) == 1
    assert "which has" in capsys.readouterr().err


def test_files_that_are_not_read_are_named(
    tmp_path: Path, tiny_options: list[str], capsys: Any
) -> None:
    folder = tmp_path / "notes"
    write(folder / "good.md", "A good note.")
    for number in range(12):
        write(folder / f"{number}.png", b"%PNG")
    write(folder / "core", "all:")
    (folder / "elsewhere").symlink_to(tmp_path)
    assert main(["index", str(folder), "-o", str(tmp_path / "all.s3"), *tiny_options]) == 0
    out = capsys.readouterr().out
    assert (
        "not read: 12 of kind .png (images: " in out and "and 2 more; 2 of kind no suffix: " in out
    )
    assert "core" in out and "elsewhere" in out


def test_a_question_in_another_encoding(tmp_path: Path, index: Any, capsys: Any) -> None:
    assert main(["search", str(tmp_path), os.fsdecode(b"caf\xe9")]) == 1
    said = capsys.readouterr().err
    assert "0xE9" in said and "terminal" in said and "errors" not in said
