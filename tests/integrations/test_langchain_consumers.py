"""What takes a retriever in LangChain, with a tiny random model.

What a consumer needs of a model that makes sense is scripted; see `test_default_model_langchain`.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from dataclasses import replace

import numpy as np
import pytest
from langchain.agents import create_agent
from langchain_classic.chains import create_history_aware_retriever, create_retrieval_chain
from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_classic.retrievers import (
    ContextualCompressionRetriever,
    EnsembleRetriever,
    MergerRetriever,
    MultiQueryRetriever,
)
from langchain_classic.retrievers.document_compressors import LLMChainExtractor
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langchain_text_splitters import RecursiveCharacterTextSplitter
from pydantic import ConfigDict
from tokenizers import pre_tokenizers

from langchain_s3_retriever import EndogenousRetriever
from langchain_s3_retriever.chat import EndogenousChat
from s3_retriever.errors import InputError, ModelMismatchError
from s3_retriever.searching.searcher import Searcher
from scripted import Scripted
from small_corpus import NAMES, QUESTIONS, SOURCES
from vector_store import FaissStore, MiniLMEmbeddings

KEEPER, DOUGH, DAM = QUESTIONS
REPHRASED = "Who was the lighthouse's last keeper?"
VARNISH = "Tell me about the varnish of the violin makers."
PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Answer from the context.\n\n{context}"), ("human", "{input}")]
)


@pytest.fixture(scope="module")
def retriever(tiny_index):
    return EndogenousRetriever(index=tiny_index, k=3)


@pytest.fixture(scope="module")
def chunks():
    splitter = RecursiveCharacterTextSplitter(chunk_size=200, add_start_index=True)
    documents = [
        Document(page_content=text, metadata={"source_id": name}) for name, text in SOURCES.items()
    ]
    return splitter.split_documents(documents)


@pytest.fixture(scope="module")
def minilm():
    return MiniLMEmbeddings()


def writing(generator):
    return EndogenousChat(generator=generator)


def test_retrieval_chain(retriever):
    llm = retriever.as_llm(max_new_tokens=8)
    chain = create_retrieval_chain(retriever, create_stuff_documents_chain(llm, PROMPT))
    result = chain.invoke({"input": KEEPER})
    assert set(result) == {"input", "context", "answer"}
    assert "Tomas Ferreira" in " ".join(document.page_content for document in result["context"])
    assert result["answer"].strip()
    pieces = [piece["answer"] for piece in chain.stream({"input": KEEPER}) if "answer" in piece]
    assert "".join(pieces) == result["answer"]


def test_history_aware_retriever(retriever):
    prompt = ChatPromptTemplate.from_messages(
        [
            MessagesPlaceholder("chat_history"),
            ("human", "{input}"),
            ("human", "Repeat my last question so that it can be understood alone."),
        ]
    )
    generator = Scripted(retriever.index.backbone, REPHRASED)
    aware = create_history_aware_retriever(writing(generator), retriever, prompt)
    assert aware.invoke({"input": DAM, "chat_history": []}) == retriever.invoke(DAM)
    assert generator.prompts == []
    history = [HumanMessage("Where is the tower?"), AIMessage("At Cape Morrow.")]
    found = aware.invoke({"input": "Who was its last keeper?", "chat_history": history})
    assert found == retriever.invoke(REPHRASED) != retriever.invoke("Who was its last keeper?")
    (asked,) = generator.prompts
    places = [asked.index(words) for words in ("tower?", "Cape Morrow", "its last", "Repeat my")]
    assert places == sorted(places)


async def test_lcel_with_passthrough(retriever):
    chain = RunnablePassthrough.assign(
        context=lambda x: retriever.invoke(x["input"])
    ) | RunnablePassthrough.assign(
        answer=PROMPT | retriever.as_llm(max_new_tokens=8) | StrOutputParser()
    )
    result = chain.invoke({"input": DAM})
    assert result["context"] == retriever.invoke(DAM)
    assert result["answer"].strip()
    assert (await chain.ainvoke({"input": DAM})) == result


@pytest.mark.parametrize("response_format", ["content", "content_and_artifact"])
async def test_agent_of_another_model_that_calls_of_its_own_accord(retriever, response_format):
    """The other model's turns are scripted: what is tested is the tool, not the model."""

    class Other(GenericFakeChatModel):
        def bind_tools(self, tools, **kwargs):
            return self

    calls = [
        {"type": "tool_call", "id": f"{n}", "name": "search", "args": {"query": question}}
        for n, question in enumerate(QUESTIONS)
    ]
    script = iter([AIMessage("", tool_calls=calls), AIMessage("Done.")])
    tool = create_retriever_tool(retriever, "search", "Searches.", response_format=response_format)
    agent = create_agent(Other(messages=script), [tool])
    messages = (await agent.ainvoke({"messages": [HumanMessage("Go.")]}))["messages"]
    results = [message for message in messages if isinstance(message, ToolMessage)]
    found = [retriever.invoke(question) for question in QUESTIONS]
    texts = ["\n\n".join(document.page_content for document in one) for one in found]
    assert [message.content for message in results] == texts
    artifacts = [None] * 3 if response_format == "content" else found
    assert [message.artifact for message in results] == artifacts


class Nearest(BaseDocumentCompressor):
    """Keeps the document nearest to the question."""

    embedding: MiniLMEmbeddings
    model_config = ConfigDict(arbitrary_types_allowed=True)

    def compress_documents(self, documents, query, callbacks=None):
        vectors = self.embedding.embed_documents([document.page_content for document in documents])
        return [documents[np.argmax(np.inner(vectors, self.embedding.embed_query(query)))]]


def test_contextual_compression(retriever, minilm):
    compressed = ContextualCompressionRetriever(
        base_compressor=Nearest(embedding=minilm), base_retriever=retriever
    )
    (best,) = compressed.invoke(KEEPER)
    assert "Tomas Ferreira" in best.page_content
    place = best.metadata
    source = SOURCES[place["source_id"]]
    assert best.page_content == source[place["start_index"] : place["end_index"]]
    extractor = LLMChainExtractor.from_llm(retriever.as_llm(max_new_tokens=8))
    compressed = ContextualCompressionRetriever(base_compressor=extractor, base_retriever=retriever)
    for document in compressed.invoke(KEEPER):
        assert {"start_index", "end_index", "source_id"} <= set(document.metadata)


def test_ensemble_with_a_vector_store(retriever, minilm, chunks):
    vectors = FaissStore(chunks, minilm).as_retriever(search_kwargs={"k": 3})
    ensemble = EnsembleRetriever(retrievers=[retriever, vectors], weights=[0.5, 0.5])
    found = ensemble.invoke(KEEPER)
    texts = [document.page_content for document in found]
    both = [retriever.invoke(KEEPER), vectors.invoke(KEEPER)]
    assert len(set(texts)) == len(texts)
    assert set(texts) == {document.page_content for documents in both for document in documents}


def test_ensemble_of_the_same_spans_counts_each_once(retriever, minilm):
    spans = retriever.invoke(DAM, k=100)
    vectors = FaissStore(spans, minilm).as_retriever(search_kwargs={"k": 100})
    ensemble = EnsembleRetriever(retrievers=[retriever, vectors])
    assert sorted(d.id for d in ensemble.invoke(DAM)) == sorted(d.id for d in spans)


def test_ensemble_by_an_id_key(retriever, minilm, chunks):
    vectors = FaissStore(chunks, minilm).as_retriever(search_kwargs={"k": 100})
    ensemble = EnsembleRetriever(retrievers=[retriever, vectors], id_key="source_id")
    found = [document.metadata["source_id"] for document in ensemble.invoke(KEEPER)]
    assert sorted(found) == sorted(NAMES)
    assert found[0] == "lighthouse"


def test_multi_query_gives_a_span_once(retriever):
    first, second = ({d.id for d in retriever.invoke(q)} for q in (KEEPER, REPHRASED))
    assert first & second
    phrasings = RunnableLambda(lambda _: [KEEPER, REPHRASED])
    several = MultiQueryRetriever(retriever=retriever, llm_chain=phrasings)
    found = several.invoke(KEEPER)
    ids = [document.id for document in found]
    assert len(set(ids)) == len(ids)
    assert set(ids) == first | second
    llm = writing(Scripted(retriever.index.backbone, f"{REPHRASED}\n\n{DAM}\n"))
    own = MultiQueryRetriever.from_llm(retriever, llm, include_original=True)
    third = {d.id for d in retriever.invoke(DAM)}
    assert {d.id for d in own.invoke(KEEPER)} == first | second | third


async def test_merger(retriever, minilm, chunks):
    vectors = FaissStore(chunks, minilm).as_retriever(search_kwargs={"k": 3})
    merged = MergerRetriever(retrievers=[retriever, vectors])
    ours, theirs = retriever.invoke(DOUGH), vectors.invoke(DOUGH)
    taken = [document for pair in zip(ours, theirs, strict=True) for document in pair]
    assert merged.invoke(DOUGH) == taken
    assert await merged.ainvoke(DOUGH) == taken


async def test_the_event_loop_runs_while_fifty_tasks_search(retriever, monkeypatch):
    """Reading and scoring each wait until a task beside them has run: on its thread, none could."""
    ticked, done, waited = threading.Condition(), False, []

    def await_tick(what):
        with ticked:
            before = ticks[0]
            assert ticked.wait_for(lambda: ticks[0] > before, timeout=600)
        waited.append(what)

    ticks = [0]

    async def tick():
        while not done:
            with ticked:
                ticks[0] += 1
                ticked.notify_all()
            await asyncio.sleep(0.001)

    spans = Searcher.spans

    def cut_spans(searcher, *args):
        await_tick("score")
        return spans(searcher, *args)

    asked = [f"{QUESTIONS[number % 3]} ({number})" for number in range(50)]
    expected = [retriever.invoke(question) for question in asked]
    retriever = EndogenousRetriever(index=copy.copy(retriever.index), k=3)
    monkeypatch.setattr(Searcher, "spans", cut_spans)
    layer = retriever.index.backbone.model.model.layers[0]
    handle = layer.register_forward_pre_hook(lambda *_: await_tick("read"))
    ticking = asyncio.create_task(tick())
    try:
        found = await asyncio.gather(*map(retriever.ainvoke, asked))
    finally:
        handle.remove()
        done = True
        await ticking
    assert found == expected
    assert waited.count("score") == 50 <= waited.count("read")


def test_older_chains(retriever):
    chain = RunnableLambda(retriever.get_relevant_documents)
    assert chain.invoke(KEEPER) == retriever.invoke(KEEPER)


async def test_ids_and_filters_survive_files(retriever, tiny_backbone, tmp_path):
    retriever.save(tmp_path / "index")
    loaded = EndogenousRetriever.load(tmp_path / "index", model=tiny_backbone, k=3)
    for filter in ({"topic": "sea"}, {"year": {"gte": 1950}}, lambda m: m["topic"] == "food"):
        assert loaded.invoke(KEEPER, filter=filter) == retriever.invoke(KEEPER, filter=filter)
        assert len(await loaded.ainvoke(KEEPER, filter=filter, k=2)) == 2


def test_tools_are_bound_and_their_calls_read(retriever):
    tool = create_retriever_tool(retriever, "search", "Searches the texts.")
    for choice in ("any", {"type": "function", "function": {"name": "search"}}):
        generator = Scripted(retriever.index.backbone, 'the "varnish"'.replace('"', '\\"') + '"}}')
        llm = writing(generator).bind_tools([tool], tool_choice=choice)
        (call,) = llm.invoke(VARNISH).tool_calls
        assert (call["name"], call["args"]) == ("search", {"query": 'the "varnish"'})
        (prompt,) = generator.prompts
        assert "Searches the texts." in prompt and prompt.endswith('"arguments": {"query": "')
    with pytest.raises(InputError, match="name one of search"):
        llm.bind_tools([tool], tool_choice="serch")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('the varnish", "arguments": {...}}}', {"query": "the varnish"}),
        ('the\nvarnish" and more', {"query": "the\nvarnish"}),
        ("the varnish of the", None),
    ],
)
def test_a_call_that_must_be_is_read_by_its_first_argument(retriever, answer, found):
    tool = create_retriever_tool(retriever, "search", "Searches the texts.")
    llm = writing(Scripted(retriever.index.backbone, answer))
    message = llm.bind_tools([tool], tool_choice="search").invoke(VARNISH)
    assert [call["args"] for call in message.tool_calls] == ([found] if found else [])
    assert message.text.endswith("" if found else answer)


def test_another_tokenizer_than_the_banks_is_refused(tiny_index, tiny_backbone, tmp_path):
    model, own = tiny_backbone.model, tiny_backbone.tokenizer
    bank = replace(tiny_index.bank, metadata={"tokenizer": tiny_backbone.text.digest})
    other = copy.deepcopy(own)
    other.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    with pytest.raises(ModelMismatchError, match="another tokenizer"):
        EndogenousRetriever.from_texts(["Text."], model=model, tokenizer=other, bank=bank)
    retriever = EndogenousRetriever.from_texts(["Text."], model=model, tokenizer=own, bank=bank)
    retriever.save(tmp_path / "index")
    with pytest.raises(ModelMismatchError, match="another tokenizer"):
        EndogenousRetriever.load(tmp_path / "index", model=model, tokenizer=other)
    assert EndogenousRetriever.load(tmp_path / "index", model=model, tokenizer=own)
