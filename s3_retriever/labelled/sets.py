"""Labelled questions: which characters of which document answer them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.documents import Document
from s3_retriever.errors import InputError
from s3_retriever.labelled.rows import rows

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        InputError: a file is missing, a line is not a JSON object or lacks a field, or evidence
            lies outside its document; the message names file and line.
    """
    folder = Path(folder)
    documents = tuple(rows(folder / "documents.jsonl", _document))
    texts = {document.id: document.text for document in documents}
    questions = tuple(rows(folder / "questions.jsonl", lambda row, _: _question(row, texts)))
    if not documents or not questions:
        raise InputError(f"{folder} needs at least one document and one question")
    if len(texts) < len(documents):
        raise InputError(f"{folder / 'documents.jsonl'}: two documents have the same id")
    return LabelledSet(folder.name, documents, questions)


def _document(row: dict[str, Any], _: int) -> Document:
    return Document(id=row["id"], text=row["text"])


def _question(row: dict[str, Any], texts: Mapping[str, str]) -> LabelledQuestion:
    if not isinstance(row["question"], str) or not row["question"].strip():
        raise InputError(f"the question must be a str that is not empty, not {row['question']!r}")
    answers, places = row.get("answers", []), row["evidence"]
    if not isinstance(answers, list):
        raise InputError(f"answers must be a list of str, not {answers!r}")
    try:
        evidence = tuple(Evidence(e["doc_id"], e["start"], e["end"]) for e in places)
        for place in evidence:
            if not 0 <= place.start < place.end <= len(texts.get(place.document_id, "")):
                raise InputError(f"{place} lies in no document")
    except (KeyError, TypeError) as error:
        raise InputError(
            'evidence must be a list of {"doc_id": str, "start": int, "end": int}'
        ) from error
    return LabelledQuestion(
        id=str(row["id"]),
        question=row["question"],
        answers=tuple(answers),
        evidence=evidence,
        kind=str(row.get("type", "")),
    )
