"""Retrievers that a user brings: their documents located in the sources."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from s3_retriever.adapters.places import latest
from s3_retriever.evaluate.rankers.hits import DEPTH, Hit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        return [
            locate(piece.page_content, piece.metadata, self._texts, score=float(-place))
            for place, piece in enumerate(found)
        ]


def locate(
    text: str, metadata: Mapping[str, Any], sources: Mapping[str, str], score: float = 0.0
) -> Hit:
    """Find a piece of text in the sources.

    Args:
        text: The piece.
        metadata: May say where it is from.
        sources: Texts by document id.
        score: Of the hit.

    Returns:
        The place of its first occurrence; a hit without document where there is none.
    """
    said = (str(latest(metadata, key)) for key in _SOURCES)
    named = [id for id in said if id in sources]
    start = latest(metadata, "start_index")
    if named and isinstance(start, int) and sources[named[0]].startswith(text, start):
        return Hit(named[0], start, start + len(text), score)
    ids = named or list(sources)
    for id in ids:
        at = sources[id].find(text)
        if at >= 0 and text:
            return Hit(id, at, at + len(text), score)
    pattern = re.compile(r"\s+".join(map(re.escape, text.split())) or r"(?!)")
    for id in ids:
        match = pattern.search(sources[id])
        if match:
            return Hit(id, match.start(), match.end(), score)
    return Hit("", 0, len(text), score)
