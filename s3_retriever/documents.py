"""The plain types that flow through the engine: documents in, spans and answers out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from s3_retriever.errors import InputError
from s3_retriever.metadata import freeze

PLACES = "_places"
"""The key of a document's metadata that says where its pages, slides, sheets and sections begin:
for each kind pairs of a character and a number or name, in order; ``"line"`` has none, for lines
are counted."""

_CITED = {
    "page": "page {}",
    "slide": "slide {}",
    "sheet": "sheet {}",
    "message": "message {}",
    "cell": "cell {}",
    "section": "{}",
    "time": "at {}",
    "line": "line {}",
}


@dataclass(frozen=True, slots=True)
class Document:
    """One source text.

    Attributes:
        id: Unique within an index.
        text: Any Unicode; at least one character that is not white space. Characters that came in
            two halves (a pair of surrogates) are joined.
        metadata: Carried whole to every span; a copy of what was given, in JSON's terms (see
            `s3_retriever.metadata.freeze`), that cannot be changed.

    Raises:
        InputError: the id or the text is not a string or holds half a character, the text is
            empty or only white space, or the metadata is no mapping or cannot be stored.
    """

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise InputError(f"a document id must be a non-empty str, not {self.id!r}")
        where = f"document {self.id!r}"
        if not isinstance(self.text, str):
            kind = type(self.text).__name__
            raise InputError(f"{where}: its text must be a str, not {kind}; decode it first")
        if not isinstance(self.metadata, Mapping):
            kind = type(self.metadata).__name__
            raise InputError(f"{where}: its metadata must be a dict, not {kind}")
        object.__setattr__(self, "id", whole_text(self.id, f"the id {self.id!r}"))
        object.__setattr__(self, "text", whole_text(self.text, where))
        object.__setattr__(self, "metadata", freeze(self.metadata, f"{where}: its metadata"))
        if not self.text.strip():
            raise InputError(f"{where} is empty or only white space; leave it out of the corpus")

    def at(self, start: int) -> Mapping[str, Any]:
        """Its metadata for a span that begins at a character.

        Returns:
            The metadata as it is where the document has no places; else without them, and with the
            place of each kind that the character lies in, such as ``"page": 12``, and with a
            ``"citation"`` (see `Span.citation`).
        """
        places = self.metadata.get(PLACES)
        if not isinstance(places, Mapping):
            return self.metadata
        own = {name: value for name, value in self.metadata.items() if name != PLACES}
        for kind, starts in places.items():
            if kind == "line":
                own[kind] = self.text.count("\n", 0, start) + 1
                continue
            before = bisect_right(starts, start, key=lambda pair: pair[0])
            if before:
                own[kind] = starts[before - 1][1]
        own.setdefault("citation", cite(self.id, own))
        return freeze(own, f"document {self.id!r}: its metadata")


def whole_text(text: str, what: str) -> str:
    """Return a text with its pairs of surrogates joined to the characters they stand for.

    Args:
        text: Any `str`.
        what: What it is, for the message of an error.

    Raises:
        InputError: a surrogate without its other half, which no encoding of Unicode can hold.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            raise InputError(
                f"{what} holds half a character (a lone surrogate, {text[error.start]!r}) at "
                f'{error.start}; decode its bytes with errors="replace", or replace it: '
                'text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")'
            ) from error
    return text


def cite(id: str, metadata: Mapping[str, Any]) -> str:
    """A document and the place in it that metadata names, if it does."""
    places = ((form, metadata.get(kind)) for kind, form in _CITED.items())
    named = (form.format(value) for form, value in places if isinstance(value, str | int))
    return ", ".join([id, *named])


class Draft(NamedTuple):
    """A document as it was handed in, not yet looked at.

    Attributes:
        id: None for the next free number.
        text: Whatever was given as the text.
        metadata: Whatever was given as the metadata.
        problem: What is wrong with it at first sight, if anything.
    """

    id: str | None
    text: Any
    metadata: Any
    problem: str | None = None


class Skipped(NamedTuple):
    """A document that was handed in and left out.

    Attributes:
        place: Its number among those handed in, from 0.
        id: Its id, where it had one.
        reason: What is wrong with it, and what to do.
    """

    place: int
    id: str | None
    reason: str

    def __str__(self) -> str:
        return f"documents[{self.place}]: {self.reason}"


@dataclass(frozen=True, slots=True)
class Span:
    """A retrieved piece of one document.

    Always ``document.text[start:end] == text``.

    Attributes:
        document_id: Id of the source document.
        start: First character (index into the source ``str``).
        end: One past the last character.
        text: The characters themselves.
        score: Fused score; higher is better; comparable within one search only (see `relevance`).
        parts: Component scores, in standard deviations above the mean sentence: ``"s3"``, the
            model's attention; ``"bm25"``, words in common; ``"meaning"``, the same in whatever
            words; ``"place"``, how well the document fits the words of the question that name one;
            ``"whole"``, how well it fits the others; ``"document"``, the best sentence of the same
            document; ``"hop"``, what the best spans lead to; ``"bias"``, 1 for a lead or tail; as
            they apply.
        tokens: Length in tokens of the target model.
        metadata: The source document's metadata, read-only, with the page, slide, sheet, section,
            or line that the span begins in, where the document came from a file that has them.
        relevance: How likely the span holds evidence for the question, from 0 to 1; the same means
            the same for every question and every index of a bank. None where the bank cannot tell,
            and for a lead or tail.
        header: Of a span that begins with a row of a table: what stands above the table's rows, the
            names of its columns, as it stands in the document; else empty.
    """

    document_id: str
    start: int
    end: int
    text: str
    score: float
    parts: Mapping[str, float]
    tokens: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    relevance: float | None = None
    header: str = ""

    @property
    def id(self) -> str:
        """Stable identifier ``document:start:end``."""
        return f"{self.document_id}:{self.start}:{self.end}"

    @property
    def citation(self) -> str:
        """The source as people cite it, such as ``"report.pdf, page 12"``."""
        return cite(self.document_id, self.metadata)


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
