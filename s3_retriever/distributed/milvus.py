"""Candidates from Milvus: a vector database that holds the spans of an index as sparse vectors."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.errors import InputError, MissingExtraError, first_line
from s3_retriever.searching.pooled import (
    KEPT,
    SPAN_CHARACTERS,
    PooledSpans,
    Pooling,
    asked_vector,
    pooled_vectors,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_retriever.searching.scorer import Asked, IndexedText

_ROWS = 500  # that are written at a time
_LONGEST_ID = 8192  # bytes


class MilvusSpans:
    """The spans of one index, in one collection of Milvus.

    Args:
        uri: A file, which the embedded milvus-lite keeps, or ``"http://host:19530"``.
        collection: Its name.
        most: Spans that are candidates for a question.
        kept: Latents of a vector, at most.
        **connection: What `pymilvus.MilvusClient` takes besides, such as ``token="user:password"``.

    Attributes:
        most: Spans that are candidates for a question.

    Raises:
        MissingExtraError: pymilvus, or milvus-lite for a file, is not installed.
        InputError: no Milvus answers there.
    """

    def __init__(
        self,
        uri: str,
        collection: str = "s3_spans",
        *,
        most: int = 200,
        kept: int = KEPT,
        **connection: Any,
    ) -> None:
        self._collection, self.most, self._kept = collection, most, kept
        self._client = _client(uri, connection)

    def close(self) -> None:
        """Let the connection go."""
        self._client.close()

    def write(
        self,
        text: IndexedText,
        pooling: Pooling = "max",
        characters: int = SPAN_CHARACTERS,
    ) -> int:
        """Write the spans of a text, in the place of what the collection holds.

        Args:
            text: Of an index.
            pooling: As for `s3_retriever.searching.pooled.pooled_vectors`.
            characters: Of a span.

        Returns:
            How many there are.
        """
        self._begin()
        spans = PooledSpans.of(text.passages, characters)
        rows = self._rows(text, spans, pooling)
        while batch := [*islice(rows, _ROWS)]:
            self._client.insert(self._collection, batch)
        self._client.flush(self._collection)
        self._client.load_collection(self._collection)
        return len(spans)

    def _begin(self) -> None:
        from pymilvus import DataType

        if self._client.has_collection(self._collection):
            self._client.drop_collection(self._collection)
        schema = self._client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("document", DataType.VARCHAR, max_length=_LONGEST_ID)
        schema.add_field("start", DataType.INT64)
        schema.add_field("end", DataType.INT64)
        schema.add_field("latents", DataType.SPARSE_FLOAT_VECTOR)
        index = self._client.prepare_index_params()
        index.add_index("latents", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        self._client.create_collection(self._collection, schema=schema, index_params=index)

    def _rows(
        self, text: IndexedText, spans: PooledSpans, pooling: Pooling
    ) -> Iterator[dict[str, Any]]:
        passages = text.passages
        vectors = pooled_vectors(text, spans, pooling, self._kept)
        for number, (latents, weights) in enumerate(vectors):
            if len(latents):
                first, last = int(spans.first[number]), int(spans.last[number])
                yield {
                    "id": number,
                    "document": text.documents[int(passages.document[first])].id,
                    "start": int(passages.start[first]),
                    "end": int(passages.end[last - 1]),
                    "latents": dict(zip(latents.tolist(), weights.tolist(), strict=True)),
                }

    def candidates_of(self, text: IndexedText) -> MilvusCandidates:
        """Name the sentences of a text that are worth scoring; see `MilvusCandidates`."""
        return MilvusCandidates(self, text)

    def found(self, text: IndexedText, asked: Asked) -> list[tuple[str, int, int]]:
        """The best spans for a question: document, and first and last character."""
        latents, weights = asked_vector(text.bank, asked.queries, self._kept)
        if not len(latents):
            return []
        (hits,) = self._client.search(
            self._collection,
            data=[dict(zip(latents.tolist(), weights.tolist(), strict=True))],
            anns_field="latents",
            limit=self.most,
            output_fields=["document", "start", "end"],
            search_params={"metric_type": "IP"},
        )
        rows = (hit["entity"] for hit in hits)
        return [(row["document"], int(row["start"]), int(row["end"])) for row in rows]


class MilvusCandidates:
    """A `s3_retriever.searching.candidates.CandidateGenerator` that asks Milvus.

    Spans of documents that a text has no more, or that a filter leaves out, are no candidates.

    Args:
        spans: In Milvus.
        text: What is searched.
    """

    def __init__(self, spans: MilvusSpans, text: IndexedText) -> None:
        self._spans, self._text = spans, text
        self._numbers = {document.id: number for number, document in enumerate(text.documents)}

    def candidates(self, asked: Sequence[Asked]) -> np.ndarray:
        """See `s3_retriever.searching.candidates.CandidateGenerator`; the first where none is."""
        passages, found = self._text.passages, np.zeros(len(self._text.passages), dtype=bool)
        for question in asked:
            for id, start, end in self._spans.found(self._text, question):
                if id in self._numbers:
                    own = passages.of_document(self._numbers[id])
                    first = own.start + int(np.searchsorted(passages.end[own], start, "right"))
                    last = own.start + int(np.searchsorted(passages.start[own], end, "left"))
                    found[first:last] = True
        found[0] |= not found.any()
        return np.flatnonzero(found)


def _client(uri: str, connection: dict[str, Any]) -> Any:
    try:
        from pymilvus import MilvusClient, MilvusException
    except ImportError as error:
        raise MissingExtraError(
            f"candidates from Milvus need {error.name}; type: pip install 's3-retriever[milvus]'"
        ) from error
    try:
        return MilvusClient(uri, **connection)
    except MilvusException as error:
        raise InputError(
            f"no Milvus answers at {uri} ({first_line(error)}); start one, or give the path of a "
            "file that ends in .db"
        ) from error
