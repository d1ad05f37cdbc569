"""Labelled questions: which characters of which document answer them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.documents import Document
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Evidence:
    """Characters ``start`` to ``end`` of a document that help to answer a question."""

    document_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """A question with its evidence.

    Attributes:
        id: Unique in its set.
        question: The question.
        answers: Acceptable short answers.
        evidence: Where the answer stands; may be empty where it is not known.
        kind: Type of question, where the data has one, else ``""``.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Documents and questions about them.

    Attributes:
        name: For tables.
        documents: The corpus that is searched.
        questions: Asked of the whole corpus.
    """

    name: str
    documents: tuple[Document, ...]
    questions: tuple[LabelledQuestion, ...]


def builtin_sets() -> tuple[LabelledSet, ...]:
    """Return the sets that ship with the package: own texts of nine kinds, 420 questions."""
    folder = resources.files("s3_retriever") / "data" / "calibration"
    with resources.as_file(folder) as path:
        whole = load_set(path)
    kinds = dict.fromkeys(_kind(document.id) for document in whole.documents)
    return tuple(
        LabelledSet(
            kind,
            tuple(document for document in whole.documents if _kind(document.id) == kind),
            tuple(question for question in whole.questions if _kind(question.id) == kind),
        )
        for kind in kinds
    )


def _kind(id: str) -> str:
    return id.rpartition("-")[0]


def load_set(folder: str | Path) -> LabelledSet:
    """Read a folder with ``documents.jsonl`` and ``questions.jsonl``.

    Documents are ``{"id", "text"}``; questions are ``{"id", "question", "answers": [...],
    "evidence": [{"doc_id", "start", "end"}]}`` with offsets in characters of the document's text;
    a ``"type"`` is kept.

    Raises:
        InputError: a file is missing, a line is not JSON or lacks a field, or evidence lies
            outside its document; the message names file and line.
    """
    folder = Path(folder)
    documents = tuple(
        Document(id=row["id"], text=row["text"])
        for row in _rows(folder / "documents.jsonl", ("id", "text"))
    )
    lengths = {document.id: len(document.text) for document in documents}
    path = folder / "questions.jsonl"
    questions = tuple(
        _question(row, lengths, path) for row in _rows(path, ("id", "question", "evidence"))
    )
    if not documents or not questions:
        raise InputError(f"{folder} needs at least one document and one question")
    return LabelledSet(folder.name, documents, questions)


def _question(row: dict[str, Any], lengths: dict[str, int], path: Path) -> LabelledQuestion:
    try:
        evidence = tuple(Evidence(e["doc_id"], e["start"], e["end"]) for e in row["evidence"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path}: question {row['id']!r}: evidence must be a list of "
            '{"doc_id", "start", "end"}'
        ) from error
    for place in evidence:
        if not 0 <= place.start < place.end <= lengths.get(place.document_id, 0):
            raise InputError(f"{path}: question {row['id']!r}: {place} lies in no document")
    return LabelledQuestion(
        id=str(row["id"]),
        question=row["question"],
        answers=tuple(row.get("answers", ())),
        evidence=evidence,
        kind=str(row.get("type", "")),
    )


def _rows(path: Path, fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            missing = [field for field in fields if field not in row]
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}, line {number}: not a JSON object") from error
        if missing:
            raise InputError(f"{path}, line {number}: no {missing[0]!r}")
        yield row
