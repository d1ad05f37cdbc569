"""LlamaIndex's evaluator of retrievers, which compares ids."""

from __future__ import annotations

import pytest
from llama_index.core import Document
from llama_index.core.evaluation import RetrieverEvaluator
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import NodeWithScore, TextNode

from llama_index.retrievers.s3 import ByDocument, EndogenousRetriever
from small_corpus import BY_WORDS, NAMES, QUESTIONS, SOURCES

KEEPER, DOUGH, DAM = QUESTIONS
METRICS = ["hit_rate", "mrr", "precision", "recall", "ap", "ndcg"]


@pytest.fixture(scope="module")
def retriever(tiny_index):
    return EndogenousRetriever(tiny_index, similarity_top_k=6)


def evaluator(retriever, *processors):
    return RetrieverEvaluator.from_metric_names(
        METRICS, retriever=retriever, node_postprocessors=list(processors)
    )


def test_spans_are_not_documents(retriever):
    """Without the switch nothing is hit, which is why there is one."""
    judge = RetrieverEvaluator.from_metric_names(METRICS, retriever=retriever)
    result = judge.evaluate(DAM, ["river"])
    assert result.metric_vals_dict["hit_rate"] == 0
    spans = [found.node.node_id for found in retriever.retrieve(DAM)]
    assert result.retrieved_ids == spans
    assert judge.evaluate(DAM, spans[:1]).metric_vals_dict["mrr"] == 1


def test_documents_are_compared_with_documents(retriever):
    spans = retriever.retrieve(DAM)
    ranked = list(dict.fromkeys(found.node.ref_doc_id for found in spans))
    assert 1 < len(ranked) < len(spans)
    result = evaluator(retriever, ByDocument()).evaluate(DAM, ["river"])
    assert result.retrieved_ids == ranked
    assert result.retrieved_texts[0] == spans[0].node.text
    values = result.metric_vals_dict
    assert ranked[0] == "river"
    assert values == {
        "hit_rate": 1,
        "mrr": 1,
        "precision": pytest.approx(1 / len(ranked)),
        "recall": 1,
        "ap": 1,
        "ndcg": 1,
    }
    second = evaluator(retriever, ByDocument()).evaluate(DAM, [ranked[1]]).metric_vals_dict
    assert second["mrr"] == 0.5


async def test_every_question_beside_a_loop(retriever):
    judge = evaluator(retriever, ByDocument())
    for question, name in zip(QUESTIONS, ("lighthouse", "bread", "river"), strict=True):
        result = await judge.aevaluate(question, [name])
        assert result.metric_vals_dict["mrr"] == 1


async def test_expected_ids_may_be_those_of_a_splitters_nodes(retriever, tiny_backbone):
    splitter = SentenceSplitter(chunk_size=48, chunk_overlap=0)
    nodes = splitter.get_nodes_from_documents(
        [Document(doc_id=name, text=SOURCES[name]) for name in NAMES]
    )
    over_nodes = EndogenousRetriever.from_documents(
        nodes,
        model=tiny_backbone,
        bank=retriever.index.bank,
        similarity_top_k=3,
        progress=False,
        **BY_WORDS,
    )
    evidence = next(node for node in nodes if "A dam was finished" in node.text)
    result = await evaluator(over_nodes, ByDocument()).aevaluate(DAM, [evidence.node_id])
    assert result.metric_vals_dict["mrr"] == 1
    by_source = evaluator(over_nodes, ByDocument(of="source"))
    assert (await by_source.aevaluate(DAM, ["river"])).metric_vals_dict["mrr"] == 1


def test_nodes_are_fresh_and_those_of_others_keep_their_ids(retriever):
    found = retriever.retrieve(DAM)
    ids = [result.node.node_id for result in found]
    foreign = NodeWithScore(node=TextNode(id_="theirs", text="x"), score=0.1)
    documents = ByDocument().postprocess_nodes([*found, foreign])
    assert documents[-1].node.node_id == "theirs"
    assert [result.node.node_id for result in found] == ids
    assert documents[0].score == found[0].score
    assert documents[0].node.start_char_idx == found[0].node.start_char_idx
