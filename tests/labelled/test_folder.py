"""A user's own folder as a labelled set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from notes_folder import NOTES, write_lines, write_notes
from s3_retriever.errors import InputError, SkippedWarning
from s3_retriever.labelled.folder import load_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return write_notes(tmp_path / "notes")


def test_quotations_are_found_in_the_files(notes):
    with pytest.warns(SkippedWarning, match=r"not read: 1 of kind \.bin: .*photo\.bin"):
        labelled = load_folder(notes)
    assert labelled.name == "notes"
    texts = {document.id: document.text for document in labelled.documents}
    assert texts == {name: NOTES[name] for name in ("bread.md", "sea/lamp.txt")}
    quoted = [
        [texts[e.document_id][e.start : e.end] for e in question.evidence]
        for question in labelled.questions
    ]
    assert quoted == [["lamp is forty\r\n metres high"], ["starter"], ["1871"], []]
    assert [question.id for question in labelled.questions] == ["1", "3", "5", "x"]
    assert labelled.questions[3].answers == ("the dough",)
    assert labelled.questions[3].kind == "who"


@pytest.mark.filterwarnings("ignore:not read")
@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"question": "Who?"}, "evidence or answers"),
        ({"question": "Who?", "evidence": ["nobody wrote this"]}, "nobody wrote this"),
        ({"question": "Who?", "evidence": [{"doc_id": "bread.md", "text": "lamp"}]}, "bread.md"),
        ({"question": "Who?", "evidence": [{"doc_id": "none", "text": "lamp"}]}, "none"),
        ({"question": "Who?", "evidence": [{"doc_id": "bread.md", "start": 3, "end": 999}]}, "999"),
        ({"question": "Who?", "evidence": [""]}, "quote them"),
        ({"question": "Who?", "evidence": [7]}, "line 1"),
        ({"evidence": ["starter"]}, "question"),
        (["no object"], "line 1"),
    ],
)
def test_a_line_that_will_not_do_is_named(notes, row, words):
    write_lines(notes / "questions.jsonl", [row])
    with pytest.raises(InputError, match=words) as error:
        load_folder(notes)
    assert "questions.jsonl, line 1" in str(error.value)


@pytest.mark.filterwarnings("ignore:not read")
def test_a_folder_without_texts_or_questions(notes, tmp_path):
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="no file that can be read"):
        load_folder(tmp_path / "bare")
    (notes / "questions.jsonl").write_text("\n")
    with pytest.raises(InputError, match="holds no question"):
        load_folder(notes)
    (notes / "questions.jsonl").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        load_folder(notes)
    (notes / "raw.txt").write_bytes(b"\0\xff\0")
    with pytest.raises(InputError, match="is no text"):
        load_folder(notes)
