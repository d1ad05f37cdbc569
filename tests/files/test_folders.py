"""Which files of folders and globs are read, and that none is passed over in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from s3_retriever.errors import InputError, SkippedWarning
from s3_retriever.files import Reading, Selection, read_files, read_folder
from s3_retriever.files.folders import read_path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "README.md": "Read me.",
        "src/lamp.py": "lit = 1871",
        "src/lamp.dat": "raw data",
        "src/build/out.txt": "made",
        "docs/guide.txt": "A guide.",
        "docs/draft.txt": "A draft.",
        "docs/keep/draft.txt": "A draft to keep.",
        ".hidden/secret.txt": "hidden",
        "photo.png": "x",
        ".gitignore": "build/\ndraft.txt\n",
        "docs/keep/.gitignore": "!draft.txt\n",
    }
    for name, text in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


def places(reading: Reading) -> list[str]:
    return [file.place for file in reading.files]


def test_gitignore_is_honoured_the_deepest_first(project: Path) -> None:
    reading = read_folder(project)
    assert places(reading) == ["README.md", "docs/guide.txt", "docs/keep/draft.txt", "src/lamp.py"]
    ignored = {os.path.relpath(name, project) for name in reading.ignored}
    assert ignored == {"docs/draft.txt", "src/build"}
    assert {Path(name).name for name in reading.others} == {"photo.png", "lamp.dat"}
    assert "images: recognise their text first" in reading.other_kinds()
    assert "draft.txt" in reading.left_out()
    everything = read_folder(project, selection=Selection(ignore_files=False))
    assert {"docs/draft.txt", "src/build/out.txt"} <= set(places(everything))


def test_the_gitignore_of_the_repository_above(project: Path) -> None:
    assert places(read_folder(project / "docs")) == ["draft.txt", "guide.txt", "keep/draft.txt"]
    (project / ".git").mkdir()
    assert places(read_folder(project / "docs")) == ["guide.txt", "keep/draft.txt"]


def test_include_and_exclude(project: Path) -> None:
    only = read_folder(project, selection=Selection(include=("*.dat", "docs/**")))
    assert places(only) == ["docs/guide.txt", "docs/keep/draft.txt", "src/lamp.dat"]
    rest = read_folder(project, selection=Selection(exclude=("docs/", "*.py")))
    assert places(rest) == ["README.md"]
    assert any(name.endswith("docs/") for name in rest.ignored)


def test_globs(project: Path) -> None:
    reading = Reading()
    read_path(project / "**" / "*.txt", reading)
    assert {"guide.txt", "draft.txt", "out.txt"} == set(places(reading))
    reading = Reading()
    read_path(project / "*", reading)
    assert set(places(reading)) >= {"README.md", "lamp.py", "guide.txt"}
    assert any("photo.png" in name for name in reading.others) and not reading.failed


def test_a_name_that_looks_like_a_glob(tmp_path: Path) -> None:
    (tmp_path / "notes [1].txt").write_text("One.")
    assert [document.id for document in read_files(tmp_path / "notes [1].txt")] == ["notes [1].txt"]


def test_read_files_names_what_is_wrong(project: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.txt cannot be read"):
        read_files(tmp_path / "gone.txt")
    with pytest.raises(InputError, match="no file there that can be read"):
        read_files(project, include=["*.nothing"])
    with pytest.raises(InputError, match=r"\.gitignore has a wrong pattern|--include has a wrong"):
        read_files(project, include=["!"])
    (project / "old.txt").write_bytes("Größe".encode("cp1252"))
    with pytest.warns(SkippedWarning, match=r"old\.txt was read as cp1252"):
        found = read_files(project)
    assert "Größe" in {document.text for document in found}
    assert "Größe" in {d.text for d in read_files(project / "old.txt", encoding="latin-1")}


def test_ids_tell_files_apart(project: Path) -> None:
    found = read_files(project / "docs", project / "docs" / "keep", exclude=["guide.txt"])
    assert [document.id for document in found] == ["draft.txt", "keep/draft.txt"]
    assert all(document.metadata["path"].endswith(document.id) for document in found)
