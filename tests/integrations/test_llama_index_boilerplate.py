"""A sentence that stands in twenty contracts keeps its twenty sources in LlamaIndex's consumers."""

from __future__ import annotations

import pytest
from llama_index.core import Document, StorageContext
from llama_index.core.indices.query.query_transform.base import IdentityQueryTransform
from llama_index.core.node_parser import HierarchicalNodeParser, SentenceSplitter, get_leaf_nodes
from llama_index.core.retrievers import (
    AutoMergingRetriever,
    QueryFusionRetriever,
    RecursiveRetriever,
    TransformRetriever,
)
from llama_index.core.schema import IndexNode, TextNode

from contracts import ASKED, COMMON, CONTRACTS, NAMES, REPHRASED, contracts_index
from llama_index.retrievers.s3 import EndogenousRetriever
from llama_index.retrievers.s3.llm import EndogenousLLM
from scripted import Scripted

EVERY = sorted(NAMES)


@pytest.fixture(scope="module")
def retriever(tiny_backbone):
    return EndogenousRetriever(contracts_index(tiny_backbone))


@pytest.fixture(scope="module")
def other(retriever):
    return EndogenousRetriever(retriever.index, scoring="coactivation")


def sources(results):
    assert {result.node.text for result in results} == {COMMON}
    return sorted(result.node.ref_doc_id for result in results)


def test_ids_and_hashes_tell_sources_apart(retriever):
    found = retriever.retrieve(ASKED)
    assert sources(found) == EVERY
    assert len({result.node.node_id for result in found}) == len(NAMES)
    hashes = {result.node.node_id: result.node.hash for result in found}
    assert len(set(hashes.values())) == len(NAMES)
    again = retriever.retrieve(REPHRASED)
    assert {result.node.node_id: result.node.hash for result in again} == hashes


def test_without_any_metadata_of_their_own(retriever, tiny_backbone):
    index = retriever.index
    plain = EndogenousRetriever.from_documents(
        [Document(doc_id=document.id, text=document.text) for document in CONTRACTS],
        model=tiny_backbone,
        bank=index.bank,
        progress=False,
        similarity_top_k=20,
        second_hop=False,
        weighing=index.config.weighing,
    )
    assert len({result.node.hash for result in plain.retrieve(ASKED)}) == len(NAMES)


@pytest.mark.parametrize(
    "mode", ["reciprocal_rerank", "relative_score", "dist_based_score", "simple"]
)
async def test_fusion(retriever, other, mode):
    llm = EndogenousLLM(Scripted(retriever.index.backbone, REPHRASED, REPHRASED))
    fusion = QueryFusionRetriever(
        [retriever, other], llm=llm, mode=mode, num_queries=2, similarity_top_k=100, use_async=False
    )
    assert sources(fusion.retrieve(ASKED)) == EVERY
    assert sources(await fusion.aretrieve(ASKED)) == EVERY


def test_recursive(retriever, other):
    """Nodes that lead to retrievers of ours; what two of them find comes once."""

    class Root(EndogenousRetriever):
        def _retrieve(self, query_bundle):
            found = super()._retrieve(query_bundle)[:2]
            for result, name in zip(found, ("one", "two"), strict=True):
                result.node = IndexNode(text="See there.", index_id=name)
            return found

    recursive = RecursiveRetriever(
        "root", {"root": Root(retriever.index), "one": retriever, "two": other}
    )
    assert sources(recursive.retrieve(ASKED)) == EVERY


def test_transformed(retriever):
    transformed = TransformRetriever(retriever, IdentityQueryTransform())
    assert sources(transformed.retrieve(ASKED)) == EVERY


def test_auto_merging(tiny_backbone, retriever):
    """Spans become the leaves they stand in, and leaves their parents where enough are found."""
    parser = HierarchicalNodeParser.from_defaults(
        node_parser_ids=["large", "small"],
        node_parser_map={
            "large": SentenceSplitter(chunk_size=128, chunk_overlap=0, include_metadata=False),
            "small": SentenceSplitter(chunk_size=24, chunk_overlap=0, include_metadata=False),
        },
    )
    nodes = parser.get_nodes_from_documents(
        [Document(doc_id=document.id, text=document.text) for document in CONTRACTS]
    )
    leaves = get_leaf_nodes(nodes)
    assert len(leaves) > len(NAMES)
    store = StorageContext.from_defaults()
    store.docstore.add_documents(nodes)
    small = EndogenousRetriever.from_documents(
        leaves,
        model=tiny_backbone,
        bank=retriever.index.bank,
        progress=False,
        similarity_top_k=1000,
        second_hop=False,
    )
    merged = AutoMergingRetriever(small, store).retrieve(ASKED)
    roots = [node for node in nodes if node.parent_node is None]
    assert sorted(result.node.node_id for result in merged) == sorted(n.node_id for n in roots)
    assert all(isinstance(result.node, TextNode) for result in merged)
    few = AutoMergingRetriever(small.as_retriever(similarity_top_k=1), store).retrieve(ASKED)
    (best,) = few
    assert best.node.node_id in {leaf.node_id for leaf in leaves}
