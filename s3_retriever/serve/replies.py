"""What is answered, field by field."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Refusal(BaseModel):
    """Why a request is refused."""

    error: str = Field(description="One sentence.")


class SpanReply(BaseModel):
    """A piece of a document: ``text`` is its characters ``start`` to ``end``."""

    id: str
    document: str
    start: int
    end: int
    score: float
    relevance: float | None = Field(
        default=None, description="How likely it holds evidence, from 0 to 1."
    )
    parts: dict[str, float] = Field(description="What each kind of evidence gave.")
    tokens: int
    text: str
    citation: str
    metadata: dict[str, Any]
    header: str | None = Field(
        default=None, description="Where it begins with a row of a table: the names of its columns."
    )


class SearchReply(BaseModel):
    """What a search found."""

    question: str
    spans: list[SpanReply]
    seconds: dict[str, float] = Field(description="Where the time went.")


class CitationReply(BaseModel):
    """A sentence of the answer, ``start`` to ``end``, and the number of the span it rests on."""

    start: int
    end: int
    number: int
    written: bool = Field(description="Whether the model wrote the number itself.")


class AnswerReply(BaseModel):
    """An answer, with the spans that the model was given, numbered from 1."""

    question: str
    answer: str
    spans: list[SpanReply]
    citations: list[CitationReply]
    prompt_tokens: int
    seconds: dict[str, float]


class DocumentEntry(BaseModel):
    """A document, without its text."""

    id: str
    characters: int
    metadata: dict[str, Any]


class DocumentsReply(BaseModel):
    """Some of the documents, in the order in which they were added."""

    total: int = Field(description="Of all that match.")
    documents: list[DocumentEntry]


class DocumentReply(DocumentEntry):
    """A range of a document's text.

    ``blocks`` are places where the text may be cut to be shown piece by piece: the first character
    of each piece.
    """

    start: int
    end: int
    text: str
    blocks: list[int] | None = None


class PlaceHeat(BaseModel):
    """The tokens of one place.

    ``ends`` are the ends of its tokens, from the place's start; ``shares`` holds for each token a
    list with the share that each word of the question gives it.
    """

    ends: list[int]
    shares: list[list[float]]


class HeatReply(BaseModel):
    """What each word of a question attends to."""

    words: list[tuple[int, int]] = Field(description="Where the words stand in the question.")
    places: list[PlaceHeat]


class RankerEntry(BaseModel):
    """Something to compare with."""

    name: str
    title: str


class AboutReply(BaseModel):
    """The index, and what may be asked of it."""

    model: str
    version: str
    documents: int
    characters: int
    tokens: int
    settings: dict[str, Any]
    metadata: dict[str, list[Any]] = Field(description="Keys with some of their values.")
    rankers: list[RankerEntry]
    limits: dict[str, int]


class QueueReply(BaseModel):
    """Who waits for the model."""

    waiting: int
    at_work: int
