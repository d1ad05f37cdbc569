"""A sentence that stands in twenty contracts keeps its twenty sources in LangChain's consumers."""

from __future__ import annotations

import pytest
from langchain_classic.retrievers import (
    ContextualCompressionRetriever,
    EnsembleRetriever,
    MergerRetriever,
    MultiQueryRetriever,
    RePhraseQueryRetriever,
)
from langchain_classic.retrievers.document_compressors import (
    CrossEncoderReranker,
    DocumentCompressorPipeline,
    LLMChainExtractor,
)
from langchain_classic.retrievers.document_compressors.cross_encoder import BaseCrossEncoder
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from contracts import ASKED, COMMON, CONTRACTS, NAMES, REPHRASED, contracts_index
from langchain_s3_retriever import EndogenousRetriever
from langchain_s3_retriever.chat import EndogenousChat
from scripted import Scripted
from vector_store import FaissStore, MiniLMEmbeddings

EVERY = sorted(NAMES)


@pytest.fixture(scope="module")
def retriever(tiny_backbone):
    return EndogenousRetriever(index=contracts_index(tiny_backbone))


@pytest.fixture(scope="module")
def other(retriever):
    """A second opinion on the same texts."""
    return EndogenousRetriever(index=retriever.index, scoring="coactivation")


def sources(documents):
    assert {document.page_content for document in documents} == {COMMON}
    return sorted(document.metadata["source_id"] for document in documents)


def test_the_sentence_is_found_in_every_contract(retriever):
    found = retriever.invoke(ASKED)
    assert sources(found) == EVERY
    assert [document.metadata["span_id"] for document in found] == [d.id for d in found]


@pytest.mark.parametrize("key", ["span_id", "source_id"])
async def test_ensemble_by_span_or_source(retriever, other, key):
    ensemble = EnsembleRetriever(retrievers=[retriever, other], id_key=key)
    assert sources(ensemble.invoke(ASKED)) == EVERY
    assert sources(await ensemble.ainvoke(ASKED)) == EVERY


def test_ensemble_by_text_keeps_one_source(retriever, other):
    """Its own rule: what the pages on consumers warn of."""
    assert len(EnsembleRetriever(retrievers=[retriever, other]).invoke(ASKED)) == 1


def test_ensemble_with_a_vector_store_that_is_given_the_key(retriever):
    pieces = [
        Document(page_content=COMMON, metadata={"from": document.id}) for document in CONTRACTS
    ]

    def keyed(documents):
        for document in documents:
            document.metadata["span_id"] = f"vectors of {document.metadata['from']}"
        return documents

    vectors = FaissStore(pieces, MiniLMEmbeddings()).as_retriever(search_kwargs={"k": 20})
    ensemble = EnsembleRetriever(retrievers=[retriever, vectors | keyed], id_key="span_id")
    found = ensemble.invoke(ASKED)
    assert sources([d for d in found if d.id]) == EVERY
    assert sorted(d.metadata["from"] for d in found if not d.id) == EVERY


def test_multi_query_keeps_every_source_once(retriever):
    phrasings = RunnableLambda(lambda _: [ASKED, REPHRASED])
    several = MultiQueryRetriever(retriever=retriever, llm_chain=phrasings)
    assert sources(retriever.invoke(REPHRASED)) == EVERY
    assert sources(several.invoke(ASKED)) == EVERY


def test_merger_keeps_what_both_find(retriever, other):
    merged = MergerRetriever(retrievers=[retriever, other])
    assert sources(merged.invoke(ASKED)) == sorted(NAMES * 2)


def test_rephrased(retriever):
    rephrasing = RePhraseQueryRetriever(
        retriever=retriever, llm_chain=RunnableLambda(lambda _: REPHRASED)
    )
    assert rephrasing.invoke("Something else?") == retriever.invoke(REPHRASED)


class Backwards(BaseCrossEncoder):
    """Scores later texts higher."""

    def score(self, text_pairs):
        return list(range(len(text_pairs)))


def test_compressors_keep_the_keys_that_lead_back(retriever):
    """One of them makes new documents, without their ids."""
    llm = EndogenousChat(generator=Scripted(retriever.index.backbone, *["Delaware."] * len(NAMES)))
    pipeline = DocumentCompressorPipeline(
        transformers=[
            CrossEncoderReranker(model=Backwards(), top_n=len(NAMES)),
            LLMChainExtractor.from_llm(llm),
        ]
    )
    compressed = ContextualCompressionRetriever(base_compressor=pipeline, base_retriever=retriever)
    plain = retriever.invoke(ASKED)
    found = compressed.invoke(ASKED)
    assert [d.page_content for d in found] == ["Delaware."] * len(NAMES)
    assert [d.metadata for d in found] == [d.metadata for d in reversed(plain)]
    ids = [d.metadata["span_id"] for d in found]
    assert retriever.get_by_ids(ids) == plain[::-1]


def test_whole_documents_of_the_spans(retriever):
    """What ParentDocumentRetriever does over a vector store."""
    parents = retriever | RunnableLambda(
        lambda found: retriever.get_by_ids([d.metadata["source_id"] for d in found])
    )
    found = parents.invoke(ASKED)
    assert [d.id for d in found] == [d.metadata["source_id"] for d in retriever.invoke(ASKED)]
    texts = {document.id: document.text for document in CONTRACTS}
    assert {d.id: d.page_content for d in found} == texts


def test_a_chunk_with_a_place_of_its_own_has_the_keys_too(tiny_backbone, retriever):
    """A splitter writes `start_index`; the keys that ensembles go by keep their names."""
    chunks = [
        Document(page_content=document.text, id=document.id, metadata={"start_index": 0})
        for document in CONTRACTS
    ]
    index = retriever.index
    pieces = EndogenousRetriever.from_documents(
        chunks, model=tiny_backbone, bank=index.bank, progress=False, **dict(index.config)
    )
    for key in ("span_id", "source_id"):
        ensemble = EnsembleRetriever(retrievers=[pieces, retriever], id_key=key)
        assert sources(ensemble.invoke(ASKED)) == EVERY
