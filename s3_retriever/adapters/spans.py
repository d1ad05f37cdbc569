"""Spans in JSON's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3_retriever.documents import Span


def span_json(span: Span) -> dict[str, Any]:
    """Return a span as JSON values."""
    return {
        "id": span.id,
        "document": span.document_id,
        "start": span.start,
        "end": span.end,
        "score": span.score,
        "relevance": span.relevance,
        "parts": dict(span.parts),
        "tokens": span.tokens,
        "text": span.text,
        "citation": span.citation,
        "metadata": dict(span.metadata),
        **({"header": span.header} if span.header else {}),
    }
