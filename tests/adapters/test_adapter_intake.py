"""What cannot be indexed is named all at once, or left out, through both adapters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from langchain_core.documents import Document as LangChainDocument
from llama_index.core import Document as LlamaIndexDocument
from llama_index.core.schema import ImageNode, MediaResource, TextNode

from langchain_s3_retriever import EndogenousRetriever as LangChainRetriever
from llama_index.retrievers.s3 import EndogenousRetriever as LlamaIndexRetriever
from random_bank import make_bank
from s3_retriever.documents import Document
from s3_retriever.errors import InputError, SkippedWarning

TEXT = "Rye bread needs a sour starter. The dough rests for a night."
CORE = Document("core", TEXT)
PATH = Path("notes.txt")


@pytest.fixture(scope="module")
def reading(tiny_backbone):
    return {"model": tiny_backbone, "bank": make_bank(tiny_backbone), "progress": False}


def chain(text=TEXT, **fields):
    return LangChainDocument(page_content=text, **fields)


def reasons(index):
    return {skipped.place: skipped.reason for skipped in index.skipped}


BAD_CHAIN = [
    (chain(" "), "empty or only white space"),
    (chain(metadata={"a": {1, 2}}), "'a'"),
    (chain(id="first"), "duplicate document id 'first'"),
    (TEXT, "not a LangChain Document but a str; for texts use from_texts"),
    (PATH, "the path 'notes.txt'; load a file first: TextLoader"),
    (CORE, "a Document of s3_retriever, 'core'; give it to EndogenousIndex.build"),
    (LlamaIndexDocument(text=TEXT), "not a LangChain Document but a Document"),
    (None, "not a LangChain Document but a NoneType"),
]
BAD_NODES = [
    (LlamaIndexDocument(text=" "), "empty or only white space"),
    (TextNode(text=TEXT, metadata={"a": {1, 2}}), "'a'"),
    (TextNode(text=TEXT, id_="first"), "duplicate document id 'first'"),
    (ImageNode(id_="picture", image="x"), "ImageNode 'picture' is empty: it holds no text"),
    (LlamaIndexDocument(image_resource=MediaResource(data=b"x")), "it holds no text"),
    (TextNode(text=TEXT, metadata={"_llama_index": 1}), "has the key '_llama_index'"),
    (TEXT, "but a str; use Document"),
    (PATH, "the path 'notes.txt'; load a file first: SimpleDirectoryReader"),
    (CORE, "a Document of s3_retriever, 'core'; give it to EndogenousIndex.build"),
    (chain(), "not a LlamaIndex Document or node but a Document"),
]
ADAPTERS = [
    pytest.param(LangChainRetriever, lambda name: chain(id=name), BAD_CHAIN, id="langchain"),
    pytest.param(
        LlamaIndexRetriever, lambda name: TextNode(id_=name, text=TEXT), BAD_NODES, id="llama_index"
    ),
]


@pytest.mark.parametrize(("adapter", "good", "bad"), ADAPTERS)
def test_all_that_is_wrong_is_named_at_once(adapter, good, bad, reading):
    documents = [good("first"), *(item for item, _ in bad), good("last")]
    with pytest.raises(InputError, match=f"{len(bad)} of {len(bad) + 2}") as caught:
        adapter.from_documents(documents, **reading)
    for place, (_, reason) in enumerate(bad, start=1):
        assert re.search(rf"documents\[{place}\]: .*{re.escape(reason)}", str(caught.value))


@pytest.mark.parametrize(("adapter", "good", "bad"), ADAPTERS)
def test_what_is_wrong_can_be_left_out(adapter, good, bad, reading):
    documents = [good("first"), *(item for item, _ in bad), good("last")]
    with pytest.warns(SkippedWarning, match=f"left out {len(bad)} of"):
        retriever = adapter.from_documents(documents, on_error="skip", **reading)
    assert list(retriever.index.documents) == ["first", "last"]
    said = reasons(retriever.index)
    assert list(said) == list(range(1, len(bad) + 1))
    assert all(reason in said[place] for place, (_, reason) in enumerate(bad, start=1))


@pytest.mark.parametrize(("adapter", "good", "bad"), ADAPTERS)
def test_adding_refuses_all_or_leaves_out(adapter, good, bad, reading):
    retriever = adapter.from_documents([good("first")], **reading)
    more = [*(item for item, _ in bad), good("last")]
    with pytest.raises(InputError, match=f"{len(bad)} of {len(more)}"):
        retriever.add_documents(more)
    assert list(retriever.index.documents) == ["first"]
    with pytest.warns(SkippedWarning):
        assert retriever.add_documents(more, on_error="skip") == ["last"]
    assert list(reasons(retriever.index)) == list(range(len(bad)))
    assert retriever.add_documents([good("next")]) == ["next"]
    assert retriever.index.skipped == ()


@pytest.mark.parametrize(("adapter", "good", "bad"), ADAPTERS)
def test_an_unknown_way_with_errors_is_refused(adapter, good, bad, reading):
    with pytest.raises(InputError, match="on_error='ignore' is invalid"):
        adapter.from_documents([good("first")], on_error="ignore", **reading)


@pytest.mark.parametrize(("adapter", "good", "bad"), ADAPTERS)
@pytest.mark.parametrize("path", [PATH, "notes.txt"])
def test_a_path_is_answered_with_how_to_load_it(adapter, good, bad, path, reading):
    with pytest.raises(InputError, match="load a file first"):
        adapter.from_documents(path, **reading)


@pytest.mark.parametrize(("adapter", "good", "bad"), ADAPTERS)
def test_one_document_is_to_be_put_in_a_list(adapter, good, bad, reading):
    with pytest.raises(InputError, match=r"put it in a list: \[document\]"):
        adapter.from_documents(good("first"), **reading)
    assert list(adapter.from_documents(iter([good("a")]), **reading).index.documents) == ["a"]


def test_bad_texts_are_named_or_left_out(reading):
    texts, metadatas = [TEXT, b"bytes", " ", TEXT], [{"a": 1}, None, None, "page"]
    with pytest.raises(InputError, match="3 of 4 documents"):
        LangChainRetriever.from_texts(texts, metadatas, **reading)
    with pytest.warns(SkippedWarning):
        retriever = LangChainRetriever.from_texts(
            texts, metadatas, on_error="skip", k=2, tags=["kept"], **reading
        )
    assert [dict(d.metadata) for d in retriever.index.documents.values()] == [{"a": 1}]
    assert list(reasons(retriever.index)) == [1, 2, 3]
    assert (retriever.k, retriever.tags) == (2, ["kept"])


@pytest.mark.parametrize("texts", [TEXT, PATH, None])
def test_texts_that_are_no_list(texts, reading):
    with pytest.raises(InputError, match=r"list of str, not one .*\[Path\(path\)\.read_text\(\)\]"):
        LangChainRetriever.from_texts(texts, **reading)


def test_numbers_are_given_where_ids_are_missing(reading):
    retriever = LangChainRetriever.from_documents([chain(), chain(id="1"), chain()], **reading)
    assert list(retriever.index.documents) == ["0", "1", "2"]
    assert retriever.add_documents([chain(), chain(id="4"), chain()]) == ["3", "4", "5"]
    numbered = LangChainRetriever.from_texts([TEXT, TEXT], ids=[7, None], **reading)
    assert list(numbered.index.documents) == ["7", "0"]
