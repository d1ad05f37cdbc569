"""The plain types that flow through the engine: documents in, spans and answers out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s3_retriever.errors import InputError


@dataclass(frozen=True, slots=True)
class Document:
    """One source text.

    Attributes:
        id: Unique within an index.
        text: Any Unicode; at least one character that is not white space.
        metadata: JSON-serialisable, carried whole to every span.

    Raises:
        InputError: the id or the text is not a string, the text is empty or only white space, or
            the metadata is no mapping.
    """

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise InputError(f"a document id must be a non-empty str, not {self.id!r}")
        if not isinstance(self.text, str):
            kind = type(self.text).__name__
            raise InputError(
                f"document {self.id!r}: its text must be a str, not {kind}; decode it first"
            )
        if not isinstance(self.metadata, Mapping):
            kind = type(self.metadata).__name__
            raise InputError(f"document {self.id!r}: its metadata must be a dict, not {kind}")
        if not self.text.strip():
            raise InputError(
                f"document {self.id!r} is empty or only white space; leave it out of the corpus"
            )


@dataclass(frozen=True, slots=True)
class Span:
    """A retrieved piece of one document.

    Always ``document.text[start:end] == text``.

    Attributes:
        document_id: Id of the source document.
        start: First character (index into the source ``str``).
        end: One past the last character.
        text: The characters themselves.
        score: Fused score; higher is better; comparable within one search only.
        parts: Component scores, in standard deviations above the mean sentence: ``"s3"``, the
            model's attention; ``"bm25"``, words in common; ``"document"``, the best sentence of
            the same document; ``"hop"``, what the best spans lead to; ``"bias"``, 1 for a lead or
            tail; as they apply.
        tokens: Length in tokens of the target model.
        metadata: The source document's metadata.
    """

    document_id: str
    start: int
    end: int
    text: str
    score: float
    parts: Mapping[str, float]
    tokens: int
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Stable identifier ``document:start:end``."""
        return f"{self.document_id}:{self.start}:{self.end}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote, with the numbered spans it was given.

    Attributes:
        text: The generated answer, prompt not included.
        question: The question as asked.
        spans: Spans in prompt order; number ``i`` in the prompt is ``spans[i - 1]``.
        prompt_tokens: Length of the prompt in tokens, which bounds the KV cache.
    """

    text: str
    question: str
    spans: tuple[Span, ...]
    prompt_tokens: int
