"""Formats of files: one of one's own takes one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.labelled.folder import load_folder
from s3_retriever.text.files import Reading, read_file, read_folder
from s3_retriever.text.formats import FORMATS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def spoken(data: bytes, given: str) -> str:
    """The text of subtitles: lines without numbers and times."""
    return "\n".join(line for line in data.decode().splitlines() if "-->" not in line)


def test_a_new_format_is_read_from_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "film.SRT").write_text("00:01 --> 00:02\nThe lamp is lit.\n")
    (tmp_path / "questions.jsonl").write_text('{"question": "What?", "evidence": ["lamp is lit"]}')
    assert read_folder(tmp_path).files == []
    monkeypatch.setitem(FORMATS, ".srt", spoken)
    (file,) = read_folder(tmp_path).files
    assert (file.place, file.text) == ("film.SRT", "The lamp is lit.")
    alone = Reading()
    read_file(tmp_path / "film.SRT", alone)
    assert alone.files[0].text == file.text
    labelled = load_folder(tmp_path)
    (evidence,) = labelled.questions[0].evidence
    assert labelled.documents[0].text[evidence.start : evidence.end] == "lamp is lit"


def test_a_file_of_a_suffix_that_is_not_known_is_plain_text(tmp_path: Path) -> None:
    (tmp_path / "notes.log").write_text("A line.")
    reading = Reading()
    read_file(tmp_path / "notes.log", reading)
    assert reading.files[0].text == "A line."
