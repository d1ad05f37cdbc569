"""Documents with what they are worth, under the name that LangChain's vector stores have for it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from langchain_s3_retriever import _conversion
from langchain_s3_retriever._documents import IndexedDocuments
from s3_retriever.adapters import background

if TYPE_CHECKING:
    from langchain_core.documents import Document


class ScoredDocuments(IndexedDocuments):
    """Searches that return relevance beside documents, whose metadata no question changes."""

    @abstractmethod
    def _options(self, **given: Any) -> dict[str, Any]:
        """Arguments for a search of the index, of those of a call."""

    def similarity_search_with_relevance_scores(
        self,
        query: str,
        k: int | None = None,
        *,
        score_threshold: float | None = None,
        **options: Any,
    ) -> list[tuple[Document, float]]:
        """Search, with the relevance of each document, from 0 to 1 (`Span.relevance`).

        Documents come in the order of the search, best first, in which relevance may rise and fall.

        Args:
            query: The question.
            k: Most documents; the retriever's own by default.
            score_threshold: The least relevance; the retriever's own `min_relevance` by default.
            **options: As for ``invoke``.

        Raises:
            InputError: an unknown option, or an index whose bank tells no relevance.
        """
        self.index.bank.check_relevance()
        given = {**options, "k": k, "min_relevance": score_threshold}
        searched = {**self._options(**given), "bias_tokens": 0, "relevance": True}
        result = self.index.search(query, **searched)
        documents = _conversion.from_result(result, include_scores=False)
        pairs = zip(documents, result.spans, strict=True)
        return [(document, float(span.relevance or 0.0)) for document, span in pairs]

    async def asimilarity_search_with_relevance_scores(
        self,
        query: str,
        k: int | None = None,
        *,
        score_threshold: float | None = None,
        **options: Any,
    ) -> list[tuple[Document, float]]:
        """The same off the event loop."""
        search = self.similarity_search_with_relevance_scores
        return await background.run(search, query, k, score_threshold=score_threshold, **options)
