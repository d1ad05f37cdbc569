"""A user's own folder: files and a few questions about them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.errors import InputError, SkippedWarning
from s3_retriever.files.documents import documents_of
from s3_retriever.files.folders import read_folder
from s3_retriever.files.kinds import kind_names
from s3_retriever.files.selection import Selection
from s3_retriever.labelled.locate import locate
from s3_retriever.labelled.rows import rows
from s3_retriever.labelled.sets import Evidence, LabelledQuestion, LabelledSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3_retriever.documents import Document

QUESTIONS = "questions.jsonl"


def load_folder(folder: str | Path) -> LabelledSet:
    """Read a folder of files with a ``questions.jsonl``.

    Files are found in subfolders too; a document's id is its path from the folder. A line of
    ``questions.jsonl`` is ``{"question", "evidence": [...], "answers": [...]}``; evidence is a
    quotation from one of the files, ``"the very words"`` (white space may differ), or
    ``{"doc_id", "text"}``, or ``{"doc_id", "start", "end"}`` in characters. ``"answers"``,
    ``"id"`` and ``"type"`` may be left out, and so may ``"evidence"`` where there are answers.

    Raises:
        InputError: no files with text, no questions, or evidence that no file holds; the message
            names the line.
    """
    folder = Path(folder)
    documents = tuple(_documents(folder))
    if not documents:
        raise InputError(f"{folder} holds no file that can be read ({kind_names()})")
    texts = {document.id: document.text for document in documents}
    questions = tuple(rows(folder / QUESTIONS, lambda row, line: _question(row, line, texts)))
    if not questions:
        raise InputError(
            f'{folder / QUESTIONS} holds no question; write lines such as {{"question": "...", '
            '"evidence": ["words of the file that answer it"]}'
        )
    return LabelledSet(folder.resolve().name, documents, questions)


def _documents(folder: Path) -> list[Document]:
    reading = read_folder(folder, selection=Selection(exclude=(f"/{QUESTIONS}",)))
    if reading.failed:
        raise InputError(f"{folder} holds what cannot be read: {reading.problems()}")
    if others := reading.other_kinds():
        warnings.warn(f"not read: {others}", SkippedWarning, stacklevel=3)
    return documents_of(reading.files, {})


def _question(row: dict[str, Any], line: int, texts: Mapping[str, str]) -> LabelledQuestion:
    answers = row.get("answers", [])
    if not row.get("evidence") and not answers:
        raise InputError("a question needs evidence or answers")
    return LabelledQuestion(
        id=str(row.get("id", line)),
        question=row["question"],
        answers=(answers,) if isinstance(answers, str) else tuple(answers),
        evidence=tuple(_evidence(item, texts) for item in row.get("evidence", ())),
        kind=str(row.get("type", "")),
    )


def _evidence(item: Any, texts: Mapping[str, str]) -> Evidence:
    if isinstance(item, str):
        item = {"text": item}
    id, quotation = item.get("doc_id"), item.get("text")
    if quotation is None:
        start, end = int(item["start"]), int(item["end"])
        if not 0 <= start < end <= len(texts.get(id, "")):
            raise InputError(f"the evidence {item} lies in no document")
        return Evidence(id, start, end)
    found = locate(quotation, texts, None if id is None else [i for i in texts if i == str(id)])
    if found is None:
        where = "any file" if id is None else repr(id)
        raise InputError(f"the words {quotation!r} do not stand in {where}; quote them exactly")
    return found
