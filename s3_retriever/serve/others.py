"""Rankers to compare with, over the documents of an index: BM25, and embedding models."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from s3_retriever.documents import Span
from s3_retriever.evaluate.rankers.build import ChunkRanker
from s3_retriever.evaluate.rankers.chunk_scorers import Lexical, Vectors
from s3_retriever.evaluate.rankers.chunks import pack
from s3_retriever.evaluate.rankers.embedders import as_embedder
from s3_retriever.evaluate.rankers.memo import Memo
from s3_retriever.searching.filters import predicate

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from s3_retriever.engine import EndogenousIndex
    from s3_retriever.evaluate.rankers.hits import Hit, Ranker
    from s3_retriever.searching.filters import Filter

BM25_CHARACTERS, EMBEDDING_CHARACTERS = 800, 400
"""Sizes of chunks at which the baselines of the README's table are best."""


class _Forgetful(Memo):
    """Keeps nothing: a server is asked for as long as it runs."""

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        return make()


@dataclass(frozen=True, eq=False)
class Other:
    """A ranker of an index's documents.

    Attributes:
        title: For people.
        ranker: Asked by one thread at a time.
        index: Whose documents it ranks.
    """

    title: str
    ranker: Ranker
    index: EndogenousIndex
    _asking: Lock

    def spans(self, question: str, k: int, filter: Filter | None) -> tuple[Span, ...]:
        """The best chunks of the documents that pass a filter, as spans.

        Raises:
            InputError: the filter is none.
        """
        passes, documents = predicate(filter), self.index.documents
        with self._asking:
            hits = self.ranker.rank(question)
        kept = [hit for hit in hits if passes(documents[hit.document_id].metadata)]
        return tuple(self._span(hit) for hit in kept[:k])

    def _span(self, hit: Hit) -> Span:
        document = self.index.documents[hit.document_id]
        text = document.text[hit.start : hit.end]
        tokens = self.index.backbone.text.count(text)
        metadata = document.at(hit.start)
        return Span(hit.document_id, hit.start, hit.end, text, hit.score, {}, tokens, metadata)


def others_of(
    index: EndogenousIndex, embeddings: Sequence[Any] = (), progress: bool = False
) -> dict[str, Other]:
    """Make the rankers to compare with; an index without documents has none.

    Args:
        index: Whose documents they rank, as they are now.
        embeddings: Embedding models, each as `s3_retriever.evaluate.embedding` takes it; they read
            the documents here.
        progress: Show a bar on standard error.

    Raises:
        InputError: what is no embedding model.
        MissingExtraError: a model without FAISS.
    """
    documents = tuple(index.documents.values())
    if not documents:
        return {}
    chunks = pack(documents, BM25_CHARACTERS)
    lexical = ChunkRanker(chunks, [Lexical(_Forgetful(), chunks)], smooth=True)
    found = {"bm25": Other("BM25", lexical, index, Lock())}
    for model in embeddings:
        embedder, chunks = as_embedder(model), pack(documents, EMBEDDING_CHARACTERS)
        vectors = Vectors(_Forgetful(), chunks, embedder, progress)
        ranker = ChunkRanker(chunks, [vectors], smooth=False)
        found[embedder.name] = Other(embedder.name, ranker, index, Lock())
    return found
