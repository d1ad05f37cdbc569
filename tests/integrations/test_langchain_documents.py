"""The documents of a LangChain retriever, as users of vector stores handle them."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index

from langchain_s3_retriever import EndogenousRetriever
from random_bank import make_bank
from s3_retriever.errors import InputError, SkippedWarning
from small_corpus import BY_WORDS, NAMES, QUESTIONS, SOURCES, TEXTS

KEEPER, DOUGH, DAM = QUESTIONS


@pytest.fixture
def retriever(tiny_backbone):
    return EndogenousRetriever.from_texts(
        TEXTS[:2],
        ids=NAMES[:2],
        metadatas=[{"topic": "sea", "shelf": {"row": 3}}, None],
        model=tiny_backbone,
        bank=make_bank(tiny_backbone),
        progress=False,
        k=3,
        **BY_WORDS,
    )


def test_texts_are_added(retriever):
    assert retriever.add_texts([TEXTS[2]], [{"year": 1934}], ids=["river"]) == ["river"]
    assert retriever.invoke(DAM)[0].metadata["year"] == 1934
    assert retriever.add_texts(iter([TEXTS[3]])) == ["3"]
    with pytest.raises(InputError, match="1 texts but 2 metadatas"):
        retriever.add_texts(["text"], [{}, {}])
    with pytest.warns(SkippedWarning):
        assert retriever.add_texts([" ", "text"], on_error="skip") == ["5"]


def test_ids_may_be_given_beside_documents(retriever):
    documents = [Document(page_content=text, id="its own") for text in TEXTS[2:]]
    assert retriever.add_documents(documents, ids=["river", 7]) == ["river", "7"]
    with pytest.raises(InputError, match="2 documents but 1 ids"):
        retriever.add_documents(documents, ids=["one"])
    with pytest.raises(InputError, match=r"duplicate document id 'river'.*call upsert"):
        retriever.add_documents(documents, ids=["river", "new"])


def test_documents_take_the_place_of_those_with_their_ids(retriever):
    changed = Document(id="bread", page_content=TEXTS[2], metadata={"year": 1934})
    response = retriever.upsert([changed, Document(page_content=TEXTS[3])])
    assert response == {"succeeded": ["bread", "2"], "failed": []}
    assert retriever.invoke(DAM)[0].metadata["source_id"] == "bread"
    with pytest.warns(SkippedWarning):
        response = retriever.upsert(
            [Document(id="bad", page_content=" "), changed], on_error="skip"
        )
    assert response == {"succeeded": ["bread"], "failed": ["bad"]}
    with pytest.raises(InputError, match="white space"):
        retriever.upsert([Document(page_content=" ")])


def test_documents_and_spans_come_back_by_their_ids(retriever):
    found = retriever.invoke(KEEPER)
    ids = [document.id for document in found]
    assert retriever.get_by_ids(ids) == found
    (whole,) = retriever.get_by_ids(["lighthouse"])
    assert whole == Document(
        id="lighthouse",
        page_content=SOURCES["lighthouse"],
        metadata={"topic": "sea", "shelf": {"row": 3}},
    )
    whole.metadata["shelf"]["row"] = 99
    assert retriever.get_by_ids(["lighthouse"])[0].metadata["shelf"] == {"row": 3}
    mixed = ["nowhere", "bread", ids[0], "bread", "bread:0:99999", "bread:5"]
    assert [document.id for document in retriever.get_by_ids(mixed)] == ["bread", ids[0]]
    assert retriever.get(["bread"]) == retriever.get_by_ids("bread") != []


def test_an_id_that_looks_like_a_span_is_the_document(retriever):
    retriever.add_texts([TEXTS[2]], ids=["bread:0:3"])
    assert retriever.get_by_ids(["bread:0:3"])[0].page_content == TEXTS[2]
    for span in retriever.invoke(DAM):
        assert retriever.get_by_ids([span.id]) == [span]


def test_what_was_deleted_is_told(retriever):
    response = retriever.delete(["bread", "nowhere", "bread"])
    told = {"num_deleted": 1, "succeeded": ["bread"], "num_failed": 0, "failed": []}
    assert response == told
    assert retriever.delete("lighthouse")["succeeded"] == ["lighthouse"]
    assert retriever.invoke(KEEPER) == []
    with pytest.raises(InputError, match=r"delete\(ids=\[\.\.\.\]\)"):
        retriever.delete()


async def test_all_of_it_off_the_event_loop(retriever):
    assert await retriever.aadd_texts([TEXTS[2]], ids=["river"]) == ["river"]
    assert await retriever.aadd_documents([Document(page_content=TEXTS[3])], ["v"]) == ["v"]
    changed = Document(id="v", page_content=TEXTS[3], metadata={"a": 1})
    assert (await retriever.aupsert([changed]))["succeeded"] == ["v"]
    assert await retriever.aget_by_ids(["v"]) == await retriever.aget(["v"]) == [changed]
    assert (await retriever.adelete(["v"]))["num_deleted"] == 1
    assert list(retriever.index.documents) == ["lighthouse", "bread", "river"]


def test_it_may_begin_empty(tiny_backbone, tmp_path):
    settings = {"scan": {"chunk_tokens": 64}, "k": 1, "filter": {"year": 3}, **BY_WORDS}
    reading = {"model": tiny_backbone, "bank": make_bank(tiny_backbone), "progress": False}
    retriever = EndogenousRetriever.empty(**reading, **settings)
    assert retriever.invoke(DAM) == retriever.get_by_ids(["0"]) == []
    assert (retriever.k, retriever.index.config.k) == (1, 1)
    assert retriever.index.scan_config.chunk_tokens == 64
    retriever.save(tmp_path / "index")
    loaded = EndogenousRetriever.load(tmp_path / "index", model=tiny_backbone)
    assert loaded.add_texts(TEXTS) == ["0", "1", "2", "3"]
    assert loaded.invoke(DAM)[0].metadata["source_id"] == "2"
    with pytest.raises(InputError, match="did you mean 'model'"):
        EndogenousRetriever.empty(modle=tiny_backbone)
    with pytest.raises(InputError, match=r"begin with empty\(\)"):
        EndogenousRetriever.from_texts([], **reading)


def loaded():
    return [
        Document(page_content=text, metadata={"source": name}) for name, text in SOURCES.items()
    ]


COUNTS = ("num_added", "num_updated", "num_skipped", "num_deleted")


def counts(result):
    return tuple(result[name] for name in COUNTS)


def test_the_indexing_of_langchain_keeps_it_up_to_date(retriever):
    """Only what is new or changed is read, and what has gone is deleted."""
    retriever.delete(retriever.index.documents)
    manager = InMemoryRecordManager("texts")
    manager.create_schema()

    def update(documents, cleanup):
        result = index(
            documents,
            manager,
            retriever,
            cleanup=cleanup,
            source_id_key="source",
            key_encoder="sha256",
        )
        return counts(result)

    documents = loaded()
    assert update(documents, "full") == (4, 0, 0, 0)
    assert update(documents, "full") == (0, 0, 4, 0)
    assert {d.metadata["source"] for d in retriever.invoke(DAM)} >= {"river"}
    documents[2] = Document(page_content="The dam burst.", metadata={"source": "river"})
    assert update(documents[2:3], "incremental") == (1, 0, 0, 1)
    assert retriever.invoke(DAM, k=1)[0].page_content == "The dam burst."
    assert update(documents[:2], "full") == (0, 0, 2, 2)
    sources = {document.metadata["source"] for document in retriever.index.documents.values()}
    assert sources == {"lighthouse", "bread"}


async def test_the_indexing_of_langchain_beside_a_loop(retriever):
    manager = InMemoryRecordManager("texts")
    await manager.acreate_schema()
    result = await aindex(loaded()[2:], manager, retriever, key_encoder="sha256")
    assert counts(result) == (2, 0, 0, 0)
    assert len(retriever.index) == 4
