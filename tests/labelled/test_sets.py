"""Labelled sets: those in files, and those that ship."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from s3_retriever.documents import Document
from s3_retriever.errors import InputError
from s3_retriever.labelled import (
    Evidence,
    LabelledQuestion,
    builtin_sets,
    load_set,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD: dict[str, Any] = {
    "documents": {"id": "a", "text": "A lamp on a tower."},
    "questions": {
        "id": 1,
        "question": "Where is the lamp?",
        "evidence": [{"doc_id": "a", "start": 2, "end": 17}],
    },
}


@pytest.fixture
def write_set(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder; a file's second line may be given as JSON values or as a string."""

    def write(**second: Any) -> Path:
        for name, row in GOOD.items():
            lines = [json.dumps(row), ""]
            if name in second:
                value = second[name]
                lines.append(value if isinstance(value, str) else json.dumps(value))
            (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return tmp_path

    return write


def test_load_set(write_set: Callable[..., Path]) -> None:
    more = {"id": "b", "question": "Who?", "answers": ["Ada"], "evidence": [], "type": "who"}
    folder = write_set(questions=more)
    loaded = load_set(folder)
    assert loaded.name == folder.name
    assert loaded.documents == (Document("a", "A lamp on a tower."),)
    assert loaded.questions == (
        LabelledQuestion("1", "Where is the lamp?", (), (Evidence("a", 2, 17),)),
        LabelledQuestion("b", "Who?", ("Ada",), (), "who"),
    )


QUESTION = {"id": "2", "question": "Where?", "evidence": []}


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("documents", "{not json", "not JSON"),
        ("documents", ["id", "text"], "not a JSON object"),
        ("documents", '"id text"', "not a JSON object"),
        ("documents", 7, "not a JSON object"),
        ("documents", {"id": "b"}, "no 'text'"),
        ("documents", {"id": 2, "text": "Words."}, "document id must be a non-empty str"),
        ("documents", {"id": "b", "text": " "}, "is empty"),
        ("questions", {"id": "2", "evidence": []}, "no 'question'"),
        ("questions", {"question": "Where?", "evidence": []}, "no 'id'"),
        ("questions", {"id": "2", "question": "Where?"}, "no 'evidence'"),
        ("questions", {**QUESTION, "question": ""}, "not empty"),
        ("questions", {**QUESTION, "answers": "Ada"}, "answers must be a list"),
        ("questions", {**QUESTION, "evidence": 3}, "evidence must be a list"),
        ("questions", {**QUESTION, "evidence": [{"doc_id": "a"}]}, "evidence must be a list"),
        (
            "questions",
            {**QUESTION, "evidence": [{"doc_id": "a", "start": "0", "end": 3}]},
            "evidence must be a list",
        ),
        (
            "questions",
            {**QUESTION, "evidence": [{"doc_id": "a", "start": 3, "end": 3}]},
            "lies in no document",
        ),
        (
            "questions",
            {**QUESTION, "evidence": [{"doc_id": "a", "start": 0, "end": 99}]},
            "lies in no document",
        ),
        (
            "questions",
            {**QUESTION, "evidence": [{"doc_id": "z", "start": 0, "end": 1}]},
            "lies in no document",
        ),
    ],
)
def test_a_wrong_line_is_named(
    write_set: Callable[..., Path], name: str, row: Any, message: str
) -> None:
    folder = write_set(**{name: row})
    with pytest.raises(InputError, match=rf"{name}\.jsonl, line 3: .*{message}"):
        load_set(folder)


def test_files_that_will_not_do(write_set: Callable[..., Path]) -> None:
    folder = write_set(documents=GOOD["documents"])
    with pytest.raises(InputError, match=r"documents\.jsonl: two documents have the same id"):
        load_set(folder)
    write_set()
    (folder / "questions.jsonl").write_text("\n")
    with pytest.raises(InputError, match="at least one document and one question"):
        load_set(folder)
    (folder / "questions.jsonl").write_bytes(b'{"id": "caf\xe9"}')
    with pytest.raises(InputError, match=r"questions\.jsonl cannot be read"):
        load_set(folder)
    (folder / "questions.jsonl").unlink()
    with pytest.raises(InputError, match=r"questions\.jsonl cannot be read: .*No such file"):
        load_set(folder)


def test_the_sets_that_ship() -> None:
    sets = builtin_sets()
    assert len(sets) == 9 and sum(len(one.questions) for one in sets) == 420
    for one in sets:
        texts = {document.id: document.text for document in one.documents}
        for question in one.questions:
            assert question.evidence and question.answers
            assert all(place.document_id in texts for place in question.evidence)
