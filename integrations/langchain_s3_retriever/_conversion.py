"""Between LangChain's documents and messages and the core's own."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document as LangChainDocument

from s3_retriever.adapters.places import beside, is_place, latest, named_columns, place, place_of
from s3_retriever.documents import Document, Draft
from s3_retriever.engine.intake import as_list
from s3_retriever.errors import InputError
from s3_retriever.text.sentences import header_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from s3_retriever.answering.generator import Message
    from s3_retriever.documents import Span
    from s3_retriever.engine.results import SearchResult

_ROLES = {"human": "user", "ai": "assistant"}
_LOAD = (
    "load a file first: TextLoader(path).load(), or [Document(page_content=Path(path).read_text())]"
)


def from_texts(
    texts: Iterable[str],
    metadatas: Iterable[Mapping[str, Any]] | None,
    ids: Iterable[str] | None,
) -> list[Draft]:
    """Join texts, metadata and ids, one of each for each document.

    Raises:
        InputError: no list, or lists of different lengths.
    """
    if isinstance(texts, str | PathLike) or not isinstance(texts, Iterable):
        kind = type(texts).__name__
        raise InputError(
            f"texts must be a list of str, not one {kind}; put it in a list: [text], and read a "
            "file first: [Path(path).read_text()]"
        )
    texts = list(texts)
    data = _column(metadatas, "metadatas", len(texts), "texts")
    names = _column(ids, "ids", len(texts), "texts")
    return [
        Draft(_id(id), text, {} if metadata is None else metadata)
        for text, metadata, id in zip(texts, data, names, strict=True)
    ]


def _column(values: Iterable[Any] | None, name: str, wanted: int, of: str) -> list[Any]:
    column = [None] * wanted if values is None else list(values)
    if len(column) != wanted:
        raise InputError(f"{wanted} {of} but {len(column)} {name}; give one for each")
    return column


def _id(given: Any) -> Any:
    return str(given) if isinstance(given, int) else given


def to_drafts(documents: Iterable[LangChainDocument]) -> list[Draft]:
    """Turn LangChain documents into the core's, not yet looked at.

    Anything else among them becomes a draft whose problem says what it is.

    Raises:
        InputError: no list of documents.
    """
    advice = f"{_LOAD}; for texts use from_texts"
    given = as_list(documents, LangChainDocument, "LangChain Documents", advice)
    return [_draft(document) for document in given]


def with_ids(drafts: list[Draft], ids: Iterable[str] | None) -> list[Draft]:
    """Put ids in the place of those that documents have.

    Raises:
        InputError: not one for each document.
    """
    if ids is None:
        return drafts
    column = _column(ids, "ids", len(drafts), "documents")
    return [draft._replace(id=_id(id)) for draft, id in zip(drafts, column, strict=True)]


def _draft(document: Any) -> Draft:
    if not isinstance(document, LangChainDocument):
        return Draft(None, None, None, problem=_strange(document))
    return Draft(document.id or None, document.page_content, document.metadata)


def _strange(item: Any) -> str:
    if isinstance(item, Document):
        return (
            f"a Document of s3_retriever, {item.id!r}; give it to EndogenousIndex.build, or make "
            "a LangChain Document of it"
        )
    if isinstance(item, PathLike):
        return f"not a LangChain Document but the path {fspath(item)!r}; {_LOAD}"
    return f"not a LangChain Document but a {type(item).__name__}; for texts use from_texts"


def from_result(result: SearchResult, *, include_scores: bool) -> list[LangChainDocument]:
    """Turn what was found into fresh LangChain documents, with scores only where asked for."""
    return [
        _piece(
            result.sources[span.document_id],
            span.start,
            span.end,
            span.header,
            _scores(span, include_scores),
        )
        for span in result.spans
    ]


def from_ids(ids: Iterable[str], documents: Mapping[str, Document]) -> list[LangChainDocument]:
    """Return documents and spans by their ids, each once; ids of nothing are left out.

    Args:
        ids: Of documents that were indexed, or of spans of them.
        documents: By id, those that are indexed.
    """
    found = (_from_id(id, documents) for id in dict.fromkeys(ids))
    return [document for document in found if document is not None]


def _from_id(id: str, documents: Mapping[str, Document]) -> LangChainDocument | None:
    if id in documents:
        source = documents[id]
        own = deepcopy(dict(source.metadata))
        return LangChainDocument(id=id, page_content=source.text, metadata=own)
    at = place_of(id, documents)
    if at is None:
        return None
    source, start, end = documents[at[0]], at[1], at[2]
    return _piece(source, start, end, header_at(source.text, start), {})


def _piece(
    source: Document, start: int, end: int, header: str, scores: Mapping[str, Any]
) -> LangChainDocument:
    id = f"{source.id}:{start}:{end}"
    own = deepcopy(dict(source.at(start)))
    original = _original(own, len(source.text), start, end)
    ours = {"span_id": id}, *place(source.id, start, end), original, named_columns(header), scores
    metadata = beside(own, *ours)
    return LangChainDocument(id=id, page_content=source.text[start:end], metadata=metadata)


def _original(own: Mapping[str, Any], length: int, start: int, end: int) -> dict[str, int]:
    """Where a span stands in what its document was split from, if the document says where it did.

    Args:
        own: The document's metadata. Where it is itself a span of a document that was split, what
            was said of that span holds, not the splitter's ``start_index``.
        length: Of the document.
        start: Of the span in it.
        end: Likewise.
    """
    first, last = latest(own, "original_start_index"), latest(own, "original_end_index")
    if not isinstance(first, int) or not isinstance(last, int):
        first, last = own.get("start_index"), own.get("end_index")
    if not is_place(first, last, length):
        return {}
    return {"original_start_index": first + start, "original_end_index": first + end}


def _scores(span: Span, wanted: bool) -> dict[str, Any]:
    if not wanted:
        return {}
    scores = {"score": span.score, "score_parts": dict(span.parts), "relevance": span.relevance}
    return {name: value for name, value in scores.items() if value is not None}


def to_chat(messages: Sequence[BaseMessage]) -> list[Message]:
    """Turn LangChain messages into the turns of a chat template.

    Raises:
        InputError: a message holds something other than text.
    """
    return [{"role": _role(message), "content": _text(message)} for message in messages]


def _role(message: BaseMessage) -> str:
    named = getattr(message, "role", None)  # a ChatMessage names its own
    return str(named or _ROLES.get(message.type, message.type))


def _text(message: BaseMessage) -> str:
    blocks = [] if isinstance(message.content, str) else message.content
    for block in blocks:
        kind = "text" if isinstance(block, str) else block.get("type")
        if kind != "text":
            raise InputError(f"the model reads text only; a message holds a block {kind!r}")
    return str(message.text)
