"""The default model in LangChain, where what it writes matters."""

from __future__ import annotations

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain_classic.chains import create_retrieval_chain
from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import create_retriever_tool

from langchain_s3_retriever import EndogenousRetriever
from s3_retriever.errors import ModelMismatchError
from small_corpus import QUESTIONS, small_index

pytestmark = pytest.mark.slow

DAM = QUESTIONS[2]
VARNISH = "Tell me about the varnish of the violin makers."
PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Answer from the context.\n\n{context}"), ("human", "{input}")]
)


@pytest.fixture(scope="module")
def retriever(default_backbone):
    return EndogenousRetriever(index=small_index(default_backbone), k=2)


def test_retrieval_chain_answers_from_what_it_found(retriever):
    llm = retriever.as_llm(max_new_tokens=12)
    chain = create_retrieval_chain(retriever, create_stuff_documents_chain(llm, PROMPT))
    result = chain.invoke({"input": DAM})
    assert result["context"] == retriever.invoke(DAM)
    assert "1934" in " ".join(document.page_content for document in result["context"])
    assert "1934" in result["answer"]


@wrap_model_call
def search_first(request, handler):
    """Make the first turn of the model a search; afterwards it is free."""
    searched = any(isinstance(message, ToolMessage) for message in request.messages)
    return handler(request.override(tool_choice="none" if searched else "search"))


def test_agent_of_the_same_weights_searches_and_answers(retriever):
    tool = create_retriever_tool(
        retriever, "search", "Searches the texts.", response_format="content_and_artifact"
    )
    llm = retriever.as_llm(max_new_tokens=24)
    agent = create_agent(llm, [tool], middleware=[search_first])
    _, call, result, answer = agent.invoke({"messages": [HumanMessage(VARNISH)]})["messages"]
    (asked,) = call.tool_calls
    assert asked["name"] == "search"
    found = retriever.invoke(asked["args"]["query"])
    assert result.content == "\n\n".join(document.page_content for document in found)
    assert result.artifact == found
    assert "linseed oil" in result.content
    assert answer.text.strip()
    assert not answer.tool_calls


def test_the_tokenizer_of_another_model_is_refused(retriever, tiny_tokenizer):
    model = retriever.index.backbone.model
    with pytest.raises(ModelMismatchError, match="belongs to the model"):
        EndogenousRetriever.from_texts(["Text."], model=model, tokenizer=tiny_tokenizer)
