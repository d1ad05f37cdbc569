"""Settings of a search through both adapters and the command line: given, changed, taken back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import ConfigurableField

from langchain_s3_retriever import EndogenousRetriever as LangChainRetriever
from llama_index.retrievers.s3 import EndogenousRetriever as LlamaRetriever
from random_bank import make_bank
from s3_retriever import UNSET, EndogenousIndex, Weighing
from s3_retriever.cli import main
from s3_retriever.config import ScanConfig, SearchConfig
from s3_retriever.errors import InputError
from small_corpus import QUESTIONS, SOURCES

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.backbone import Backbone

SCAN = ScanConfig(chunk_tokens=64, overlap_tokens=8, batch_tokens=512)
QUESTION = QUESTIONS[0]


@pytest.fixture(scope="module")
def index(tiny_backbone: Backbone) -> EndogenousIndex:
    return EndogenousIndex.build(
        SOURCES.values(),
        model=tiny_backbone,
        bank=make_bank(tiny_backbone),
        scan=SCAN,
        search={"k": 5, "token_budget": 40, "weighing": {"bm25": 0.2}},
        progress=False,
    )


def ids(found: Any) -> list[str]:
    """Of documents, nodes or spans."""
    return [item.id if hasattr(item, "id") else item.node.node_id for item in found]


def test_every_setting_is_a_field_of_the_langchain_retriever(index: EndogenousIndex) -> None:
    assert set(SearchConfig.model_fields) <= set(LangChainRetriever.model_fields)
    retriever = LangChainRetriever(index=index, bias_tokens=4)
    assert (retriever.k, retriever.token_budget, retriever.bias_tokens) == (5, 40, 4)
    assert retriever.weighing == Weighing(bm25=0.2)


def test_a_call_changes_and_takes_back_settings_in_langchain(index: EndogenousIndex) -> None:
    retriever = LangChainRetriever(index=index, filter=lambda metadata: False)
    assert retriever.invoke(QUESTION) == []
    free: dict[str, Any] = {"filter": UNSET, "token_budget": UNSET}
    assert ids(retriever.invoke(QUESTION, filter=UNSET)) == ids(index.search(QUESTION))
    expected = index.search(QUESTION, token_budget=UNSET)
    assert ids(retriever.invoke(QUESTION, **free)) == ids(expected)
    changed = index.search(QUESTION, token_budget=UNSET, scoring="coactivation", bm25=False)
    found = retriever.invoke(QUESTION, **free, scoring="coactivation", bm25=False)
    assert ids(found) == ids(changed)
    assert ids(asyncio.run(retriever.ainvoke(QUESTION, **free))) == ids(expected)
    (batched, again) = retriever.batch([QUESTION, QUESTION], **free)
    assert ids(batched) == ids(again) == ids(expected)
    own = LangChainRetriever(index=index, token_budget=UNSET, weighing=UNSET)
    assert own.token_budget is None and own.weighing == Weighing()
    configurable = own.configurable_fields(k=ConfigurableField(id="k"))
    chosen = configurable.invoke(QUESTION, {"configurable": {"k": 2}})
    assert ids(chosen) == ids(index.search(QUESTION, k=2, token_budget=UNSET, weighing=UNSET))


def test_settings_of_the_llama_index_retriever(index: EndogenousIndex) -> None:
    retriever = LlamaRetriever(index, token_budget=UNSET)
    assert retriever.similarity_top_k == 5
    assert ids(retriever.retrieve(QUESTION)) == ids(index.search(QUESTION, token_budget=UNSET))
    other = retriever.as_retriever(similarity_top_k=2, weighing={"reach": 90.0}, scoring=UNSET)
    weighing = {"reach": 90.0}
    expected = index.search(QUESTION, k=2, token_budget=UNSET, weighing=weighing)
    assert ids(other.retrieve(QUESTION)) == ids(expected)


def test_none_takes_a_filter_away_and_nothing_keeps_it(index: EndogenousIndex) -> None:
    every = ids(index.search(QUESTION))
    retriever = LangChainRetriever(index=index, filter=lambda metadata: False)
    assert retriever.invoke(QUESTION) == retriever.invoke(QUESTION, k=None) == []
    for nothing in (None, UNSET):
        assert ids(retriever.invoke(QUESTION, filter=nothing)) == every
        assert ids(asyncio.run(retriever.ainvoke(QUESTION, filter=nothing))) == every
        (batched,) = retriever.batch([QUESTION], filter=nothing)
        assert ids(batched) == ids(retriever.get_relevant_documents(QUESTION, filter=nothing))
        assert ids(batched) == ids(retriever.bind(filter=nothing).invoke(QUESTION)) == every
    (batched,) = retriever.batch([QUESTION])
    assert batched == []
    llama = LlamaRetriever(index, filters=lambda metadata: False)
    assert llama.retrieve(QUESTION) == llama.as_retriever(similarity_top_k=2).retrieve(QUESTION)
    assert llama.retrieve(QUESTION) == []
    for nothing in (None, UNSET):
        assert ids(llama.as_retriever(filters=nothing).retrieve(QUESTION)) == every


@pytest.mark.parametrize("make", [LangChainRetriever, LlamaRetriever])
def test_a_filter_that_is_none_is_refused_at_once(make: Any, index: EndogenousIndex) -> None:
    name = "filter" if make is LangChainRetriever else "filters"
    with pytest.raises(InputError, match="unknown operator 'near'"):
        make(index=index, **{name: {"year": {"near": 3}}})
    with pytest.raises(InputError, match="a mapping or a function"):
        make(index=index, **{name: "year"})


@pytest.mark.parametrize("make", [LangChainRetriever, LlamaRetriever])
def test_a_scorer_that_there_is_not_is_refused_at_once(make: Any, index: EndogenousIndex) -> None:
    with pytest.raises(InputError, match="did you mean 'coactivation'"):
        make(index=index, scoring="coactivate")


def lead_and_tail(spans: list[tuple[int, int]], source: str) -> bool:
    return min(spans)[0] == 0 and not source[max(spans)[1] :].strip()


def test_lead_and_tail_come_through_every_way_in(
    index: EndogenousIndex, tiny_backbone: Backbone, tmp_path: Path, capsys: Any
) -> None:
    """The fused context holds lead and tail of the document that is found."""
    settings: dict[str, Any] = {"token_budget": UNSET, "bias_tokens": 5}
    expected = index.search(QUESTION, k=1, **settings)
    source = index.documents[expected[0].document_id].text
    places = [(span.start, span.end) for span in expected]
    assert len(places) > 1 and lead_and_tail(places, source)

    found = LangChainRetriever(index=index, k=1, **settings).invoke(QUESTION)
    assert ids(found) == ids(expected)
    assert all(
        d.page_content == source[d.metadata["start_index"] :][: len(d.page_content)] for d in found
    )
    nodes = LlamaRetriever(index, similarity_top_k=1, **settings).retrieve(QUESTION)
    assert ids(nodes) == ids(expected)

    folder, model = str(tmp_path / "index"), str(tmp_path / "model")
    tiny_backbone.model.save_pretrained(model)
    tiny_backbone.tokenizer.save_pretrained(model)
    plain = EndogenousIndex.load(save(index, folder), model=tiny_backbone)
    plain.config = SearchConfig(weighing=index.config.weighing)
    plain.save(folder)
    options = ["-k", "1", "--bias-tokens", "5", "--json", "--model", model]
    assert main(["search", folder, QUESTION, *options]) == 0
    assert [span["id"] for span in json.loads(capsys.readouterr().out)["spans"]] == ids(expected)
    assert main(["ask", folder, QUESTION, "--max-new-tokens", "2", *options]) == 0
    asked = json.loads(capsys.readouterr().out)["spans"]
    assert {span["id"] for span in asked} == set(ids(expected))


def save(index: EndogenousIndex, folder: str) -> str:
    index.save(folder)
    return folder
