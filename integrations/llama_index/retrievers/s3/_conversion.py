"""Between LlamaIndex's nodes, filters and messages and the core's own."""

from __future__ import annotations

from copy import deepcopy
from itertools import accumulate
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

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

from s3_retriever.adapters.places import beside, is_place, named_columns, place
from s3_retriever.documents import Document, Draft
from s3_retriever.engine.intake import as_list
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llama_index.core.base.llms.types import ChatMessage

    from s3_retriever.answering.generator import Message
    from s3_retriever.documents import Span

_STYLE = (
    "excluded_embed_metadata_keys",
    "excluded_llm_metadata_keys",
    "metadata_separator",
    "metadata_template",
    "text_template",
)
_PLAIN = {name: getattr(TextNode(), name) for name in _STYLE}
_KEPT = "_llama_index"
_LOAD = "load a file first: SimpleDirectoryReader(input_files=[path]).load_data()"
_ROLES = {
    MessageRole.DEVELOPER: "system",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.FUNCTION: "tool",
}


def to_drafts(nodes: Iterable[BaseNode]) -> list[Draft]:
    """Turn LlamaIndex documents or nodes into the core's documents, not yet looked at.

    How a node shows its metadata to a model, and where it stands in its source, is kept beside the
    metadata. Anything else among them becomes a draft whose problem says what it is.

    Raises:
        InputError: no list of documents or nodes.
    """
    advice = f"{_LOAD}; for a text: [Document(text=text)]"
    given = as_list(nodes, BaseNode, "LlamaIndex documents", advice)
    return [_draft(node) for node in given]


def _draft(node: Any) -> Draft:
    if not isinstance(node, BaseNode):
        return Draft(None, None, None, problem=_strange(node))
    text = node.get_content(metadata_mode=MetadataMode.NONE)
    problem = _problem(node, text)
    if problem is not None:
        return Draft(node.node_id, None, None, problem=problem)
    kept = {**_style(node), **_origin(node, text)}
    return Draft(node.node_id, text, {**node.metadata, **({_KEPT: kept} if kept else {})})


def _strange(item: Any) -> str:
    if isinstance(item, Document):
        return (
            f"a Document of s3_retriever, {item.id!r}; give it to EndogenousIndex.build, or make "
            "a LlamaIndex Document of it"
        )
    if isinstance(item, PathLike):
        return f"not a LlamaIndex Document or node but the path {fspath(item)!r}; {_LOAD}"
    kind = type(item).__name__
    return f"not a LlamaIndex Document or node but a {kind}; use Document(text=...)"


def _problem(node: BaseNode, text: str) -> str | None:
    name = f"{type(node).__name__} {node.node_id!r}"
    if not text:
        return f"{name} is empty: it holds no text, and only text is read; leave it out"
    if _KEPT in node.metadata:
        return f"{name}: its metadata has the key {_KEPT!r}, which is kept for this retriever"
    return None


def _style(node: BaseNode) -> dict[str, Any]:
    style = {name: getattr(node, name, plain) for name, plain in _PLAIN.items()}
    return {name: value for name, value in style.items() if value != _PLAIN[name]}


def _origin(node: BaseNode, text: str) -> dict[str, Any]:
    """What a node says of its source, as JSON, and where in it its text starts, if it knows."""
    source = node.relationships.get(NodeRelationship.SOURCE)
    if not isinstance(source, RelatedNodeInfo):
        return {}
    start, end = getattr(node, "start_char_idx", None), getattr(node, "end_char_idx", None)
    return {
        "node_type": _type_name(node.get_type()),
        "source": {**dict(source), "node_type": _type_name(source.node_type)},
        "start": start if is_place(start, end, len(text)) else None,
    }


def _type_name(kind: ObjectType | str | None) -> str | None:
    return kind.name if isinstance(kind, ObjectType) else kind


Score: TypeAlias = Literal["relevance", "fused"]
"""What `NodeWithScore.score` is; see `from_spans`."""


def from_spans(spans: Sequence[Span], score: Score) -> list[NodeWithScore]:
    """Turn spans into fresh nodes with character offsets, source and score.

    Args:
        spans: In any order.
        score: ``"fused"`` for `Span.score`. ``"relevance"`` for the highest `Span.relevance` of a
            span and of those that score less, so that sorting by it changes no order; 0 for a lead
            or tail, and the fused score where the bank tells no relevance.
    """
    if score == "fused" or all(span.relevance is None for span in spans):
        scores = [span.score for span in spans]
    else:
        order = sorted(range(len(spans)), key=lambda place: spans[place].score)
        known = [0.0 if (told := spans[place].relevance) is None else told for place in order]
        ranked = dict(zip(order, accumulate(known, max), strict=True))
        scores = [
            0.0 if span.relevance is None else ranked[place] for place, span in enumerate(spans)
        ]
    both = zip(spans, scores, strict=True)
    return [NodeWithScore(node=_to_node(span), score=float(own)) for span, own in both]


def own_metadata(document: Document) -> dict[str, Any]:
    """A copy of the metadata of what was indexed."""
    return shown(deepcopy(dict(document.metadata)))


def ref_doc_id(document: Document) -> str:
    """Id of what was indexed, or, where it was a node with a source, of its source."""
    source = document.metadata.get(_KEPT, {}).get("source")
    return document.id if source is None else str(source["node_id"])


def _to_node(span: Span) -> TextNode:
    own = shown(deepcopy(dict(span.metadata)))
    kept = deepcopy(dict(span.metadata.get(_KEPT, {})))
    style = {name: kept[name] for name in _STYLE if name in kept}
    told = beside(own, named_columns(span.header))  # which a model that answers is to see
    metadata = beside(told, *place(span.document_id, span.start, span.end))
    for kind, shown_there in (
        ("excluded_embed_metadata_keys", own),
        ("excluded_llm_metadata_keys", told),
    ):
        more = (name for name in metadata if name not in shown_there)
        style[kind] = [*style.get(kind, ()), *more]
    return TextNode(
        id_=span.id,
        text=span.text,
        metadata=metadata,
        **_whence(span, deepcopy(own), kept),
        **style,
    )


def _whence(span: Span, own: dict[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """The relationships and the offsets of a span: in what was indexed, or in the source of that.

    Args:
        span: The span.
        own: Metadata of what was indexed.
        kept: What `_origin` told of it.
    """
    kind = kept.get("node_type", ObjectType.DOCUMENT.name)
    indexed = _info(node_id=span.document_id, node_type=kind, metadata=own)
    if "source" not in kept:
        related, start = {NodeRelationship.SOURCE: indexed}, 0
    else:
        source = _info(**kept["source"])
        related = {NodeRelationship.SOURCE: source, NodeRelationship.PARENT: indexed}
        start = kept["start"]
    return {
        "relationships": related,
        "start_char_idx": None if start is None else start + span.start,
        "end_char_idx": None if start is None else start + span.end,
    }


def _info(*, node_type: str | None, **values: Any) -> RelatedNodeInfo:
    kind = ObjectType.__members__.get(node_type or "", node_type)
    return RelatedNodeInfo(node_type=kind, **values)


def shown(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as it was handed in."""
    return {name: value for name, value in metadata.items() if name != _KEPT}


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
