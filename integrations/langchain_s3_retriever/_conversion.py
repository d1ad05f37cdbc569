"""Between LangChain's documents and messages and the core's own."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from itertools import count
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document as LangChainDocument

from s3_retriever.documents import Document
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from langchain_core.callbacks import Callbacks
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig

    from s3_retriever.documents import Span
    from s3_retriever.generate import Message

_ROLES = {"human": "user", "ai": "assistant"}


def from_texts(
    texts: Iterable[str],
    metadatas: Iterable[Mapping[str, Any]] | None,
    ids: Iterable[str] | None,
) -> list[LangChainDocument]:
    """Join texts, metadata and ids, one of each for each document.

    Raises:
        InputError: lists of different lengths, or something that is not a text.
    """
    if isinstance(texts, str):
        raise InputError("texts must be a list of str, not one str; wrap it: [text]")
    texts = list(texts)
    columns = [texts, _column(metadatas, "metadatas", texts), _column(ids, "ids", texts)]
    return [_document(*row) for row in zip(*columns, strict=True)]


def _column(values: Iterable[Any] | None, name: str, texts: list[str]) -> list[Any]:
    column = [None] * len(texts) if values is None else list(values)
    if len(column) != len(texts):
        raise InputError(f"{len(texts)} texts but {len(column)} {name}; give one for each text")
    return column


def _document(text: str, metadata: Mapping[str, Any] | None, id: str | None) -> LangChainDocument:
    if not isinstance(text, str):
        raise InputError(f"a text must be a str, not {type(text).__name__}; decode it first")
    return LangChainDocument(page_content=text, metadata=dict(metadata or {}), id=id)


def to_documents(
    documents: Iterable[LangChainDocument], taken: Collection[str] = ()
) -> list[Document]:
    """Turn LangChain documents into the core's.

    Args:
        documents: Documents; those without an id get the next free number.
        taken: Ids already in use.

    Raises:
        InputError: something that is not a LangChain document, or has no text.
    """
    if isinstance(documents, LangChainDocument) or not isinstance(documents, Iterable):
        kind = type(documents).__name__
        raise InputError(
            f"documents must be a list of LangChain Documents, not one {kind}; wrap it"
        )
    documents = list(documents)
    for document in documents:
        if not isinstance(document, LangChainDocument):
            kind = type(document).__name__
            raise InputError(f"not a LangChain Document but a {kind}; for texts use from_texts")
    used = {*taken, *(document.id for document in documents)}
    numbers = (str(number) for number in count(len(taken)) if str(number) not in used)
    return [
        Document(
            id=document.id or next(numbers),
            text=document.page_content,
            metadata=document.metadata,
        )
        for document in documents
    ]


def from_spans(spans: Iterable[Span], *, include_scores: bool) -> list[LangChainDocument]:
    """Turn spans into fresh LangChain documents, with scores only where asked for."""
    return [
        LangChainDocument(
            id=span.id,
            page_content=span.text,
            metadata=_metadata(span) | (_scores(span) if include_scores else {}),
        )
        for span in spans
    ]


def _metadata(span: Span) -> dict[str, Any]:
    place = {"start_index": span.start, "end_index": span.end, "source_id": span.document_id}
    return {**deepcopy(dict(span.metadata)), **place}


def _scores(span: Span) -> dict[str, Any]:
    return {"score": span.score, "score_parts": dict(span.parts)}


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


def run_config(
    callbacks: Callbacks,
    tags: list[str] | None,
    metadata: dict[str, Any] | None,
    run_name: str | None,
) -> RunnableConfig:
    """Gather what older LangChain took as separate arguments."""
    config: RunnableConfig = {
        "callbacks": callbacks,
        "tags": tags or [],
        "metadata": metadata or {},
    }
    return {**config, "run_name": run_name} if run_name else config
