"""A vector store as LangChain users have it beside the retriever: MiniLM vectors in FAISS."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import faiss
import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from s3_retriever.evaluate.rankers.embedders import minilm, unit

if TYPE_CHECKING:
    from s3_retriever.evaluate.rankers.sentence_embedder import SentenceEmbedder


@cache
def shared_minilm() -> SentenceEmbedder:
    """The model, loaded once."""
    return minilm()


class MiniLMEmbeddings(Embeddings):
    """MiniLM as LangChain has it: unit vectors."""

    def embed_documents(self, texts):
        return unit(shared_minilm().texts(texts)).tolist()

    def embed_query(self, text):
        return unit(shared_minilm().question(text)).tolist()


class FaissStore(VectorStore):
    """Inner products of all vectors, exactly."""

    def __init__(self, documents, embedding):
        self.documents, self.embedding = list(documents), embedding
        vectors = embedding.embed_documents([document.page_content for document in self.documents])
        self.index = faiss.IndexFlatIP(len(vectors[0]))
        self.index.add(np.array(vectors, dtype=np.float32))

    def similarity_search(self, query, k=4, **kwargs):
        vector = np.array([self.embedding.embed_query(query)], dtype=np.float32)
        _, (places,) = self.index.search(vector, min(k, len(self.documents)))
        return [self.documents[place] for place in places]

    @classmethod
    def from_texts(cls, texts, embedding, metadatas=None, *, ids=None, **kwargs):
        raise TypeError("made from documents")
