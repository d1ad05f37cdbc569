"""The documents of a LlamaIndex retriever, as users of its indices handle them."""

from __future__ import annotations

import logging

import pytest
from llama_index.core import Document
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

from llama_index.retrievers.s3 import EndogenousRetriever
from random_bank import make_bank
from s3_retriever.engine import index as engine
from s3_retriever.errors import InputError
from small_corpus import BY_WORDS, NAMES, QUESTIONS, SOURCES, TEXTS

KEEPER, DOUGH, DAM = QUESTIONS


def document(name, text=None, **metadata):
    return Document(doc_id=name, text=text or SOURCES[name], metadata=metadata)


def splits(name):
    splitter = SentenceSplitter(chunk_size=48, chunk_overlap=0)
    return splitter.get_nodes_from_documents([document(name)])


@pytest.fixture
def retriever(tiny_backbone):
    return EndogenousRetriever.from_documents(
        [document("lighthouse", topic="sea"), document("bread")],
        model=tiny_backbone,
        bank=make_bank(tiny_backbone),
        progress=False,
        similarity_top_k=3,
        **BY_WORDS,
    )


@pytest.fixture
def read(monkeypatch):
    """Ids of the documents that went through the model."""
    seen = []
    scan = engine.scan

    def watched(backbone, bank, documents, *rest, **more):
        seen.extend(document.id for document in documents)
        return scan(backbone, bank, documents, *rest, **more)

    monkeypatch.setattr(engine, "scan", watched)
    return seen


def best(retriever, question):
    return retriever.retrieve(question)[0].node.ref_doc_id


def test_it_may_begin_empty(tiny_backbone):
    retriever = EndogenousRetriever.empty(
        model=tiny_backbone,
        bank=make_bank(tiny_backbone),
        progress=False,
        similarity_top_k=1,
        **BY_WORDS,
    )
    assert retriever.retrieve(DAM) == []
    assert retriever.ref_doc_info == {}
    assert retriever.refresh_ref_docs([document(name) for name in NAMES]) == [True] * 4
    assert (best(retriever, DAM), retriever.similarity_top_k) == ("river", 1)
    with pytest.raises(InputError, match="did you mean 'similarity_top_k'"):
        EndogenousRetriever.empty(similarity_topk=1)


def test_insert(retriever):
    assert retriever.insert(document("river")) is None
    assert best(retriever, DAM) == "river"
    retriever.insert_nodes([TextNode(id_="v", text=TEXTS[3])])
    assert list(retriever.index.documents) == ["lighthouse", "bread", "river", "v"]
    with pytest.raises(InputError, match="duplicate document id 'river'"):
        retriever.insert(document("river"))
    with pytest.raises(InputError, match="put it in a list"):
        retriever.insert_nodes(document("violin"))
    with pytest.raises(InputError, match="insert has no argument 'show_progres'"):
        retriever.insert(document("violin"), show_progres=True)


def test_delete_ref_doc(retriever, caplog):
    assert retriever.delete_ref_doc("bread") is None
    assert list(retriever.index.documents) == ["lighthouse"]
    with caplog.at_level(logging.WARNING):
        retriever.delete_ref_doc("bread", delete_from_docstore=True)
    assert "ref_doc_id bread not found" in caplog.text
    with pytest.raises(InputError, match="no argument 'every'"):
        retriever.delete_ref_doc("lighthouse", every=True)


def test_deleting_a_document_deletes_the_nodes_of_it(retriever):
    nodes = splits("river")
    assert len(nodes) > 1
    retriever.insert_nodes(nodes)
    info = retriever.ref_doc_info
    assert set(info) == {"lighthouse", "bread", "river"}
    assert info["river"].node_ids == [node.node_id for node in nodes]
    assert info["lighthouse"].node_ids == ["lighthouse"]
    assert info["lighthouse"].metadata == {"topic": "sea"}
    assert best(retriever, DAM) == "river"
    retriever.delete_ref_doc("river")
    assert list(retriever.index.documents) == ["lighthouse", "bread"]


def test_a_node_is_known_by_its_source(retriever):
    book = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="book")}
    retriever.insert_nodes([TextNode(id_="page", text=TEXTS[2], relationships=book)])
    retriever.delete_ref_doc("page")
    assert "page" in retriever.index.documents
    retriever.delete_ref_doc("book")
    assert "page" not in retriever.index.documents


def test_refresh_reads_what_has_changed(retriever, read):
    documents = [
        document("lighthouse", topic="sea"),
        document("bread", topic="food"),
        document("river"),
    ]
    assert retriever.refresh_ref_docs(documents) == [False, True, True]
    assert read == ["river"]
    assert retriever.refresh_ref_docs(documents) == [False, False, False]
    food = retriever.as_retriever(filters={"topic": "food"})
    assert best(food, KEEPER) == "bread"
    documents[0] = document("lighthouse", "The tower fell into the sea.", topic="sea")
    told = {"delete_kwargs": {"delete_from_docstore": True}}
    assert retriever.refresh_ref_docs(documents, update_kwargs=told) == [True, False, False]
    assert read == ["river", "lighthouse"]
    assert retriever.refresh_ref_docs([]) == []
    assert {*retriever.index.documents} == {"lighthouse", "bread", "river"}


def test_where_one_is_wrong_nothing_is_refreshed(retriever):
    before = dict(retriever.index.documents)
    for bad in (Document(text=" "), document("lighthouse")):
        with pytest.raises(InputError):
            retriever.refresh_ref_docs([document("lighthouse", "New."), bad])
    with pytest.raises(InputError, match="no argument 'insert_kwarg'; did you mean"):
        retriever.refresh_ref_docs([], insert_kwarg={})
    assert dict(retriever.index.documents) == before


def test_update_takes_the_place_of_a_document_or_its_nodes(retriever, read):
    assert retriever.update_ref_doc(document("bread", "Cake needs eggs.")) is None
    assert retriever.index.documents["bread"].text == "Cake needs eggs."
    retriever.update_ref_doc(document("violin"))
    assert read == ["bread", "violin"]
    retriever.insert_nodes(splits("river"))
    retriever.update_ref_doc(document("river"))
    assert list(retriever.index.documents) == ["lighthouse", "bread", "violin", "river"]
    retriever.delete_ref_doc("river")
    retriever.insert_nodes(splits("river"))
    assert retriever.refresh_ref_docs([document("river")]) == [True]
    assert list(retriever.index.documents) == ["lighthouse", "bread", "violin", "river"]


async def test_all_of_it_off_the_event_loop(retriever):
    await retriever.ainsert(document("river"))
    await retriever.ainsert_nodes([TextNode(id_="v", text=TEXTS[3])])
    assert await retriever.arefresh_ref_docs([document("river", year=1934)]) == [True]
    await retriever.aupdate_ref_doc(document("bread", "Cake needs eggs."))
    await retriever.adelete_ref_doc("v")
    assert await retriever.aadd_documents([document("violin")]) == ["violin"]
    await retriever.adelete(["violin"])
    assert set(retriever.index.documents) == set(NAMES) - {"violin"}
    assert retriever.index.documents["river"].metadata == {"year": 1934}


def test_what_was_refreshed_is_kept(retriever, tiny_backbone, tmp_path):
    retriever.persist(tmp_path / "index")
    retriever.refresh_ref_docs([document("bread", topic="food"), document("river")])
    retriever.persist(tmp_path / "index")
    loaded = EndogenousRetriever.from_persist_dir(tmp_path / "index", model=tiny_backbone)
    assert loaded.ref_doc_info == retriever.ref_doc_info
    assert loaded.refresh_ref_docs([document("bread", topic="food")]) == [False]
