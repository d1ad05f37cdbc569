"""Between LlamaIndex's nodes, filters and messages and the core's own."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import MessageRole, TextBlock
from llama_index.core.schema import (
    BaseNode,
    MetadataMode,
    NodeRelationship,
    NodeWithScore,
    ObjectType,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores import FilterCondition, MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from s3_retriever.documents import Document
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llama_index.core.base.llms.types import ChatMessage

    from s3_retriever.documents import Span
    from s3_retriever.filters import Filter
    from s3_retriever.generate import Message

_STYLE = (
    "excluded_embed_metadata_keys",
    "excluded_llm_metadata_keys",
    "metadata_separator",
    "metadata_template",
    "text_template",
)
_PLAIN = {name: getattr(TextNode(), name) for name in _STYLE}
_STYLE_KEY = "_llama_index"
_COMBINE: Mapping[FilterCondition, Callable[[Iterable[bool]], bool]] = {
    FilterCondition.AND: all,
    FilterCondition.OR: any,
    FilterCondition.NOT: lambda held: not any(held),
}
_ROLES = {
    MessageRole.DEVELOPER: "system",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.FUNCTION: "tool",
}


def to_documents(nodes: Iterable[BaseNode]) -> list[Document]:
    """Turn LlamaIndex documents or nodes into the core's documents.

    How a node shows its metadata to a model is kept beside the metadata.

    Raises:
        InputError: something that is neither, or has no text.
    """
    if isinstance(nodes, BaseNode) or not isinstance(nodes, Iterable):
        kind = type(nodes).__name__
        raise InputError(
            f"documents must be a list of LlamaIndex documents, not one {kind}; wrap it"
        )
    return [_to_document(node) for node in nodes]


def _to_document(node: BaseNode) -> Document:
    if not isinstance(node, BaseNode):
        kind = type(node).__name__
        raise InputError(f"not a LlamaIndex Document or node but a {kind}; use Document(text=...)")
    style = {name: getattr(node, name, plain) for name, plain in _PLAIN.items()}
    style = {name: value for name, value in style.items() if value != _PLAIN[name]}
    return Document(
        id=node.node_id,
        text=node.get_content(metadata_mode=MetadataMode.NONE),
        metadata={**node.metadata, **({_STYLE_KEY: style} if style else {})},
    )


def from_spans(spans: Iterable[Span]) -> list[NodeWithScore]:
    """Turn spans into fresh nodes with character offsets, source and score."""
    return [NodeWithScore(node=_to_node(span), score=float(span.score)) for span in spans]


def _to_node(span: Span) -> TextNode:
    metadata = deepcopy(dict(span.metadata))
    style: dict[str, Any] = metadata.pop(_STYLE_KEY, {})
    source = RelatedNodeInfo(
        node_id=span.document_id, node_type=ObjectType.DOCUMENT, metadata=metadata
    )
    place = {"start_index": span.start, "end_index": span.end, "source_id": span.document_id}
    for kind in ("excluded_embed_metadata_keys", "excluded_llm_metadata_keys"):
        style[kind] = [*style.get(kind, ()), *place]
    return TextNode(
        id_=span.id,
        text=span.text,
        start_char_idx=span.start,
        end_char_idx=span.end,
        metadata={**metadata, **place},
        relationships={NodeRelationship.SOURCE: source},
        **style,
    )


def to_filter(filters: MetadataFilters | Filter | None) -> Filter | None:
    """Turn LlamaIndex filters, nested ones too, into a function of the metadata.

    Each operator means what it means to LlamaIndex's own stores, but values that cannot be compared
    do not match. A mapping or a function is already what the core takes.
    """
    if not isinstance(filters, MetadataFilters):
        return filters
    parts = [to_filter(f) if isinstance(f, MetadataFilters) else _leaf(f) for f in filters.filters]
    combine = _COMBINE[filters.condition or FilterCondition.AND]
    return lambda metadata: combine(part(metadata) for part in parts)  # type: ignore[operator,misc]


def _leaf(leaf: MetadataFilter) -> Callable[[Mapping[str, Any]], bool]:
    passes: Any = build_metadata_filter_fn(_itself, MetadataFilters(filters=[leaf]))

    def holds(metadata: Mapping[str, Any]) -> bool:
        try:
            return bool(passes(metadata))
        except TypeError:
            return False

    return holds


def _itself(metadata: Any) -> Any:
    return metadata


def to_chat(messages: Sequence[ChatMessage]) -> list[Message]:
    """Turn LlamaIndex messages into the turns of a chat template.

    Raises:
        InputError: a message holds something other than text.
    """
    return [
        {"role": _ROLES.get(message.role, message.role.value), "content": _text(message)}
        for message in messages
    ]


def _text(message: ChatMessage) -> str:
    for block in message.blocks:
        if not isinstance(block, TextBlock):
            kind = type(block).__name__
            raise InputError(f"the model reads text only; a message holds a {kind}")
    return message.content or ""
