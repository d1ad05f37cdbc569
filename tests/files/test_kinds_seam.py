"""Kinds of files: one of one's own takes one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3_retriever.errors import InputError
from s3_retriever.files import KINDS, Reading, read_folder
from s3_retriever.files.extract import Extract, RawFile, needed
from s3_retriever.files.folders import read_path
from s3_retriever.labelled.folder import load_folder

if TYPE_CHECKING:
    from pathlib import Path


def without_numbers(file: RawFile) -> Extract:
    """The lines of a play, their numbers left out."""
    lines = file.decoded()[0].splitlines()
    return Extract("\n".join(line.lstrip("0123456789 ") for line in lines))


def test_a_new_kind_is_read_from_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scene.PLAY").write_text("12 The lamp is lit.\n")
    (tmp_path / "questions.jsonl").write_text('{"question": "What?", "evidence": ["lamp is lit"]}')
    assert [file.place for file in read_folder(tmp_path).files] == ["questions.jsonl"]
    monkeypatch.setitem(KINDS, ".play", without_numbers)
    file = read_folder(tmp_path).files[-1]
    assert (file.place, file.text) == ("scene.PLAY", "The lamp is lit.")
    alone = Reading()
    read_path(tmp_path / "scene.PLAY", alone)
    assert alone.files[0].text == file.text
    labelled = load_folder(tmp_path)
    (document,), (question,) = labelled.documents, labelled.questions
    (evidence,) = question.evidence
    assert document.text[evidence.start : evidence.end] == "lamp is lit"


def test_a_file_of_a_kind_that_is_not_known_is_plain_text(tmp_path: Path) -> None:
    (tmp_path / "notes.unheard").write_text("A line.")
    assert read_folder(tmp_path).others == [str(tmp_path / "notes.unheard")]
    reading = Reading()
    read_path(tmp_path / "notes.unheard", reading)
    assert reading.files[0].text == "A line."


def test_what_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(InputError, match=r"is a scroll; .*pip install 's3-retriever\[files\]'"):
        needed("no_such_library", "a scroll")
