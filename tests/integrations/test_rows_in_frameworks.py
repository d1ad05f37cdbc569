"""A row of a table tells the names of its columns in LangChain and in LlamaIndex."""

from __future__ import annotations

import pytest
from llama_index.core import Document as LlamaDocument
from llama_index.core.schema import MetadataMode

from langchain_s3_retriever import EndogenousRetriever
from llama_index.retrievers.s3 import EndogenousRetriever as LlamaRetriever
from random_bank import make_bank
from small_corpus import BY_WORDS

TOWNS = "Town,Mayor\nHalm,Finn\nSenna,Mona\nOtter,Nils\n"
ASKED = "mayor of Senna"


@pytest.fixture(scope="module")
def settings(tiny_backbone):
    return {"model": tiny_backbone, "bank": make_bank(tiny_backbone), "progress": False, **BY_WORDS}


def test_langchain_tells_the_header(settings):
    retriever = EndogenousRetriever.from_texts([TOWNS], ids=["towns"], k=2, **settings)
    found = retriever.invoke(ASKED)[0]
    start, end = found.metadata["start_index"], found.metadata["end_index"]
    assert TOWNS[start:end] == found.page_content == "Senna,Mona"
    assert found.metadata["header"] == "Town,Mayor"
    assert retriever.get_by_ids([found.id])[0].metadata["header"] == "Town,Mayor"
    shown = retriever.as_tool().invoke({"query": ASKED})
    assert shown.startswith("Town,Mayor\nSenna,Mona")


def test_langchain_leaves_a_header_of_the_documents_own(settings):
    own = [{"header": "mine"}]
    retriever = EndogenousRetriever.from_texts([TOWNS], own, k=1, **settings)
    (found,) = retriever.invoke(ASKED)
    assert found.metadata["header"] == "mine" and found.metadata["s3_header"] == "Town,Mayor"


def test_llama_index_shows_the_header_to_a_model(settings):
    document = LlamaDocument(text=TOWNS, metadata={"year": 1934})
    retriever = LlamaRetriever.from_documents([document], similarity_top_k=1, **settings)
    node = retriever.retrieve(ASKED)[0].node
    assert node.text == "Senna,Mona" and node.metadata["header"] == "Town,Mayor"
    shown = node.get_content(metadata_mode=MetadataMode.LLM)
    assert "Town,Mayor" in shown and "start_index" not in shown
    assert "Town,Mayor" not in node.get_content(metadata_mode=MetadataMode.EMBED)
