"""What takes a retriever in LangChain, with the default model in every part that thinks."""

from __future__ import annotations

import asyncio
import copy
import time

import numpy as np
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
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
from s3_retriever.errors import InputError, ModelMismatchError
from small_corpus import NAMES, QUESTIONS, SOURCES, small_index
from vector_store import FaissStore, MiniLM

KEEPER, DOUGH, DAM = QUESTIONS
REPHRASED = "Who was the lighthouse's last keeper?"
VARNISH = "Tell me about the varnish of the violin makers."
PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Answer from the context.\n\n{context}"), ("human", "{input}")]
)


@pytest.fixture(scope="module")
def retriever(default_backbone):
    return EndogenousRetriever(index=small_index(default_backbone), k=3)


@pytest.fixture(scope="module")
def chunks():
    splitter = RecursiveCharacterTextSplitter(chunk_size=200, add_start_index=True)
    documents = [
        Document(page_content=text, metadata={"source_id": name}) for name, text in SOURCES.items()
    ]
    return splitter.split_documents(documents)


@pytest.fixture(scope="module")
def minilm():
    return MiniLM()


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
    seen = []
    llm = retriever.as_llm(max_new_tokens=16) | RunnableLambda(lambda m: seen.append(m.text) or m)
    aware = create_history_aware_retriever(llm, retriever, prompt)
    assert aware.invoke({"input": KEEPER, "chat_history": []}) == retriever.invoke(KEEPER)
    assert seen == []
    history = [HumanMessage("Where is the tower?"), AIMessage("At Cape Morrow.")]
    found = aware.invoke({"input": "Who was its last keeper?", "chat_history": history})
    assert found == retriever.invoke(seen[0])


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


@wrap_model_call
def search_first(request, handler):
    """Make the first turn of the model a search; afterwards it is free."""
    searched = any(isinstance(message, ToolMessage) for message in request.messages)
    return handler(request.override(tool_choice="none" if searched else "search"))


@pytest.mark.parametrize("response_format", ["content", "content_and_artifact"])
def test_agent_of_the_same_weights_searches_and_answers(retriever, response_format):
    tool = create_retriever_tool(
        retriever, "search", "Searches the texts.", response_format=response_format
    )
    llm = retriever.as_llm(max_new_tokens=24)
    agent = create_agent(llm, [tool], middleware=[search_first])
    _, call, result, answer = agent.invoke({"messages": [HumanMessage(VARNISH)]})["messages"]
    (asked,) = call.tool_calls
    assert asked["name"] == "search"
    found = retriever.invoke(asked["args"]["query"])
    assert result.content == "\n\n".join(document.page_content for document in found)
    assert result.artifact == (found if response_format == "content_and_artifact" else None)
    assert "linseed oil" in result.content
    assert answer.text.strip()
    assert not answer.tool_calls


async def test_agent_of_another_model_that_calls_of_its_own_accord(retriever):
    """The other model's turns are scripted: what is tested is the tool, not the model."""

    class Scripted(GenericFakeChatModel):
        def bind_tools(self, tools, **kwargs):
            return self

    calls = [
        {"type": "tool_call", "id": f"{n}", "name": "search", "args": {"query": question}}
        for n, question in enumerate(QUESTIONS)
    ]
    script = iter([AIMessage("", tool_calls=calls), AIMessage("Done.")])
    tool = create_retriever_tool(
        retriever, "search", "Searches.", response_format="content_and_artifact"
    )
    agent = create_agent(Scripted(messages=script), [tool])
    messages = (await agent.ainvoke({"messages": [HumanMessage("Go.")]}))["messages"]
    results = [message.artifact for message in messages if isinstance(message, ToolMessage)]
    assert results == [retriever.invoke(question) for question in QUESTIONS]


class Nearest(BaseDocumentCompressor):
    """Keeps the document nearest to the question."""

    embedding: MiniLM
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
    own = MultiQueryRetriever.from_llm(
        retriever, retriever.as_llm(max_new_tokens=16), include_original=True
    )
    assert {d.id for d in retriever.invoke(KEEPER)} <= {d.id for d in own.invoke(KEEPER)}


async def test_merger(retriever, minilm, chunks):
    vectors = FaissStore(chunks, minilm).as_retriever(search_kwargs={"k": 3})
    merged = MergerRetriever(retrievers=[retriever, vectors])
    ours, theirs = retriever.invoke(DOUGH), vectors.invoke(DOUGH)
    taken = [document for pair in zip(ours, theirs, strict=True) for document in pair]
    assert merged.invoke(DOUGH) == taken
    assert await merged.ainvoke(DOUGH) == taken


async def lateness(retriever):
    """Seconds by which a ticking task was late while fifty tasks searched."""
    late, done = [], asyncio.Event()

    async def tick():
        while not done.is_set():
            begun = time.perf_counter()
            await asyncio.sleep(0.005)
            late.append(time.perf_counter() - begun - 0.005)

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(retriever.ainvoke(QUESTIONS[n % 3]) for n in range(50)))
    done.set()
    await ticking
    return late


async def test_fifty_searches_never_block_the_event_loop_for_50_ms(retriever):
    """Other programs may keep the loop waiting too, so one undisturbed run in five is asked for."""
    await asyncio.gather(*(retriever.ainvoke(question) for question in QUESTIONS))  # warm
    worst = []
    for _ in range(5):
        late = await lateness(retriever)
        assert len(late) > 50
        worst.append(max(late))
        if worst[-1] < 0.05:
            return
    pytest.fail(f"at worst the loop was {worst} seconds late")


def test_older_chains(retriever):
    chain = RunnableLambda(retriever.get_relevant_documents)
    assert chain.invoke(KEEPER) == retriever.invoke(KEEPER)


async def test_ids_and_filters_survive_files(retriever, default_backbone, tmp_path):
    retriever.save(tmp_path / "index")
    loaded = EndogenousRetriever.load(tmp_path / "index", model=default_backbone, k=3)
    for filter in ({"topic": "sea"}, {"year": {"gte": 1950}}, lambda m: m["topic"] == "food"):
        assert loaded.invoke(KEEPER, filter=filter) == retriever.invoke(KEEPER, filter=filter)
        assert len(await loaded.ainvoke(KEEPER, filter=filter, k=2)) == 2


def test_tools_are_bound_and_their_calls_read(retriever):
    tool = create_retriever_tool(retriever, "search", "Searches the texts.")
    llm = retriever.as_llm(max_new_tokens=24)
    for choice in ("any", {"type": "function", "function": {"name": "search"}}):
        call = llm.bind_tools([tool], tool_choice=choice).invoke(VARNISH).tool_calls[0]
        assert call["name"] == "search"
        assert isinstance(call["args"]["query"], str)
    with pytest.raises(InputError, match="name one of search"):
        llm.bind_tools([tool], tool_choice="serch")


def test_the_tokenizer_of_another_model_is_refused(retriever, tiny_tokenizer, tmp_path):
    model, own = retriever.index.backbone.model, retriever.index.backbone.tokenizer
    with pytest.raises(ModelMismatchError, match="belongs to the model"):
        EndogenousRetriever.from_texts(["Text."], model=model, tokenizer=tiny_tokenizer)
    other = copy.deepcopy(own)
    other.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    with pytest.raises(ModelMismatchError, match="another tokenizer"):
        EndogenousRetriever.from_texts(["Text."], model=model, tokenizer=other, progress=False)
    retriever.save(tmp_path / "index")
    with pytest.raises(ModelMismatchError, match="another tokenizer"):
        EndogenousRetriever.load(tmp_path / "index", model=model, tokenizer=other)
    assert EndogenousRetriever.load(tmp_path / "index", model=model, tokenizer=own)
