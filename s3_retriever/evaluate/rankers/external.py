"""Retrievers that a user brings: their documents located in the sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_retriever.adapters.places import latest
from s3_retriever.evaluate.rankers.hits import DEPTH, Hit
from s3_retriever.labelled.locate import locate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.documents import Document

_SOURCES = ("source_id", "source", "doc_id", "document_id", "id")


class LangChainRanker:
    """Any LangChain retriever over the same documents.

    A returned document whose metadata holds ``start_index`` and ``source_id`` is taken at its
    word where the text there is the same; any other is searched for in the sources, first as it
    is and then with white space made equal.

    Args:
        retriever: Has ``invoke(question)``; ranks pieces of the documents.
        documents: The sources.
    """

    nbytes = 0

    def __init__(self, retriever: Any, documents: Sequence[Document]) -> None:
        self._retriever = retriever
        self._texts = {document.id: document.text for document in documents}

    def rank(self, question: str) -> list[Hit]:
        """The retriever's documents, in its order."""
        found = self._retriever.invoke(question)[:DEPTH]
        return [self._hit(piece, -float(place)) for place, piece in enumerate(found)]

    def _hit(self, piece: Any, score: float) -> Hit:
        text, metadata = piece.page_content, piece.metadata
        said = (str(latest(metadata, key)) for key in _SOURCES)
        named = [id for id in said if id in self._texts]
        place = locate(text, self._texts, named or None, named and latest(metadata, "start_index"))
        if place is None:
            return Hit("", 0, len(text), score)
        return Hit(place.document_id, place.start, place.end, score)
