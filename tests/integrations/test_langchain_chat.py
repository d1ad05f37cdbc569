"""The retriever's own model as a LangChain chat model, alone and in chains."""

from __future__ import annotations

import pytest
from langchain_classic.chains import create_retrieval_chain
from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from langchain_s3_retriever import EndogenousRetriever
from langchain_s3_retriever.chat import EndogenousChat
from s3_retriever.answering.generator import TextGenerator
from s3_retriever.errors import InputError
from small_corpus import QUESTIONS

PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Answer from the context.\n\n{context}"), ("human", "{input}")]
)


@pytest.fixture(scope="module")
def retriever(tiny_index):
    return EndogenousRetriever(index=tiny_index, k=2)


@pytest.fixture(scope="module")
def tiny(tiny_backbone):
    return EndogenousChat(generator=TextGenerator(tiny_backbone), max_new_tokens=10)


class Tokens(BaseCallbackHandler):
    def __init__(self):
        self.tokens = []

    def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token)


def test_the_weights_are_shared(retriever):
    llm = retriever.as_llm(max_new_tokens=8)
    assert llm.generator.backbone.model is retriever.index.backbone.model
    assert llm.generator.backbone.lock is retriever.index.backbone.lock


def test_a_retrieval_chain_answers_from_the_spans(retriever):
    llm = retriever.as_llm(max_new_tokens=12)
    chain = create_retrieval_chain(retriever, create_stuff_documents_chain(llm, PROMPT))
    result = chain.invoke({"input": QUESTIONS[0]})
    assert result["context"] == retriever.invoke(QUESTIONS[0])
    assert result["answer"].strip()
    assert "Answer from the context" not in result["answer"]


def test_a_chain_of_runnables_streams(retriever):
    def join(documents):
        return "\n\n".join(document.page_content for document in documents)

    chain = (
        {"context": retriever | join, "input": RunnablePassthrough()}
        | PROMPT
        | retriever.as_llm(max_new_tokens=8)
        | StrOutputParser()
    )
    pieces = list(chain.stream(QUESTIONS[2]))
    assert "".join(pieces).strip()
    assert len(pieces) > 1


def test_messages_go_through_the_chat_template(tiny):
    messages = [
        SystemMessage("Be brief."),
        HumanMessage("Hello"),
        AIMessage("Hi"),
        ToolMessage("42", tool_call_id="1"),
        ChatMessage(role="critic", content="Hm"),
        HumanMessage([{"type": "text", "text": "And "}, "now?"]),
    ]
    written = "".join(
        f"<|im_start|>{role}\n{content}<|im_end|>\n"
        for role, content in (
            ("system", "Be brief."),
            ("user", "Hello"),
            ("assistant", "Hi"),
            ("tool", "42"),
            ("critic", "Hm"),
            ("user", "And now?"),
        )
    )
    expected = tiny.generator.generate(f"{written}<|im_start|>assistant\n", max_new_tokens=10)
    answer = tiny.invoke(messages)
    assert isinstance(answer, AIMessage)
    assert answer.content == expected
    assert answer.response_metadata["model_name"] == tiny.model_name
    assert tiny.get_num_tokens_from_messages(messages) == tiny.generator.count(
        f"{written}<|im_start|>assistant\n"
    )


def test_streams_are_the_answer_in_pieces(tiny):
    answer = tiny.invoke("Hello").content
    handler = Tokens()
    pieces = [chunk.content for chunk in tiny.stream("Hello", {"callbacks": [handler]})]
    assert "".join(pieces) == answer
    assert "".join(handler.tokens) == answer


async def test_the_async_twins_agree(tiny):
    answer = tiny.invoke("Hello").content
    assert (await tiny.ainvoke("Hello")).content == answer
    pieces = [chunk.content async for chunk in tiny.astream("Hello")]
    assert len(pieces) > 1
    assert "".join(pieces) == answer
    assert [message.content for message in await tiny.abatch(["Hello", "Hello"])] == [answer] * 2


async def test_events_are_streamed(tiny):
    kinds = [event["event"] async for event in tiny.astream_events("Hello", version="v2")]
    assert kinds[0] == "on_chat_model_start"
    assert kinds[-1] == "on_chat_model_end"
    assert kinds.count("on_chat_model_stream") > 1


def test_stop_strings_are_honoured_everywhere(tiny):
    whole = tiny.invoke("Hello").content
    stop = whole[len(whole) // 2 :][:2]
    expected = whole[: whole.index(stop)]
    assert tiny.invoke("Hello", stop=[stop]).content == expected
    assert tiny.bind(stop=[stop]).invoke("Hello").content == expected
    assert "".join(chunk.content for chunk in tiny.stream("Hello", stop=[stop])) == expected
    stopping = EndogenousChat(generator=tiny.generator, max_new_tokens=10, stop=[stop])
    assert stopping.invoke("Hello").content == expected
    assert stopping.invoke("Hello", stop=["never there"]).content == whole


def test_settings_may_be_given_at_a_call(tiny):
    short = tiny.invoke("Hello", max_new_tokens=2).content
    assert tiny.invoke("Hello").content.startswith(short)
    assert short != tiny.invoke("Hello").content


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda llm: llm.invoke("Hello", max_tokens=3), "did you mean 'max_new_tokens'"),
        (lambda llm: llm.invoke("Hello", max_new_tokens=0), "max_new_tokens=0"),
        (lambda llm: EndogenousChat(generator=llm.generator, temprature=1), "'temperature'"),
        (lambda llm: llm.invoke([]), "at least one message"),
        (
            lambda llm: llm.invoke([HumanMessage([{"type": "image_url", "image_url": "x"}])]),
            "text only.*image_url",
        ),
    ],
)
def test_bad_input_is_refused(tiny, call, message):
    with pytest.raises(InputError, match=message):
        call(tiny)


def test_as_llm_refuses_misspelt_arguments(retriever):
    with pytest.raises(InputError, match="did you mean 'max_new_tokens'"):
        retriever.as_llm(max_new_token=3)


def test_tokens_are_counted_by_the_model_itself(tiny):
    ids = tiny.get_token_ids("The lazy dog")
    assert ids == list(tiny.generator.backbone.text.encode("The lazy dog").ids)
    assert tiny.get_num_tokens("The lazy dog") == len(ids)


def test_traces_name_model_and_settings(tiny):
    params = tiny._get_ls_params(stop=["x"], max_new_tokens=3)
    assert params["ls_provider"] == "s3-retriever"
    assert params["ls_model_name"] == tiny.model_name
    assert (params["ls_max_tokens"], params["ls_temperature"]) == (3, 0.0)
    assert params["ls_stop"] == ["x"]
