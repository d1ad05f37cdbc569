"""The retriever's own model as a LlamaIndex LLM, alone and in query engines."""

from __future__ import annotations

import pytest
from conftest import make_llama, make_tokenizer
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.core.query_engine import RetrieverQueryEngine

from llama_index.retrievers.s3 import EndogenousRetriever
from llama_index.retrievers.s3.llm import EndogenousLLM
from s3_retriever.answering.generator import TextGenerator
from s3_retriever.backbone import Backbone
from s3_retriever.errors import InputError
from small_corpus import QUESTIONS

HELLO = [ChatMessage(role=MessageRole.USER, content="Hello")]


@pytest.fixture(scope="module")
def retriever(tiny_index):
    return EndogenousRetriever(tiny_index, similarity_top_k=1)


@pytest.fixture(scope="module")
def tiny(tiny_backbone):
    return EndogenousLLM(TextGenerator(tiny_backbone), max_new_tokens=10)


def test_the_weights_are_shared(retriever):
    llm = retriever.as_llm(max_new_tokens=8)
    assert llm.generator.backbone.model is retriever.index.backbone.model
    assert llm.generator.backbone.lock is retriever.index.backbone.lock


def test_a_query_engine_answers_with_the_retrievers_own_model(retriever):
    engine = RetrieverQueryEngine.from_args(retriever, llm=retriever.as_llm(max_new_tokens=12))
    response = engine.query(QUESTIONS[0])
    assert response.response.strip()
    assert "Context information" not in response.response
    (source,) = response.source_nodes
    assert source.node.node_id == retriever.retrieve(QUESTIONS[0])[0].node.node_id


def test_the_query_engine_of_a_retriever_streams(retriever):
    engine = retriever.as_query_engine(llm=retriever.as_llm(max_new_tokens=8), streaming=True)
    response = engine.query(QUESTIONS[2])
    pieces = list(response.response_gen)
    assert len(pieces) > 1
    assert "".join(pieces).strip()


def test_the_query_engine_needs_no_llm(retriever):
    llm = retriever.as_query_engine()._response_synthesizer._llm
    assert llm.generator.backbone is retriever.index.backbone


async def test_the_query_engine_works_in_a_loop(retriever):
    engine = retriever.as_query_engine(llm=retriever.as_llm(max_new_tokens=6))
    response = await engine.aquery(QUESTIONS[2])
    assert response.response.strip()


def test_metadata_tells_the_models_window(tiny):
    metadata = tiny.metadata
    assert metadata.context_window == tiny.generator.context_window
    assert metadata.num_output == 10
    assert metadata.is_chat_model
    assert metadata.model_name == tiny.generator.model_name
    assert tiny.class_name() == "EndogenousLLM"
    assert "generator" not in tiny.to_dict()


def test_chat_goes_through_the_chat_template(tiny):
    messages = [
        ChatMessage(role=MessageRole.DEVELOPER, content="Be brief."),
        *HELLO,
        ChatMessage(role=MessageRole.ASSISTANT, content="Hi"),
        ChatMessage(role=MessageRole.USER, blocks=[TextBlock(text="Why?")]),
    ]
    prompt = "".join(
        f"<|im_start|>{role}\n{content}<|im_end|>\n"
        for role, content in (
            ("system", "Be brief."),
            ("user", "Hello"),
            ("assistant", "Hi"),
            ("user", "Why?"),
        )
    )
    prompt += "<|im_start|>assistant\n"
    response = tiny.chat(messages)
    assert response.message.role == MessageRole.ASSISTANT
    assert response.message.content == tiny.generator.generate(prompt, max_new_tokens=10)


def test_a_completion_is_one_user_message_unless_formatted(tiny):
    assert tiny.complete("Hello").text == tiny.chat(HELLO).message.content
    plain = tiny.generator.generate("Hello", max_new_tokens=10)
    assert tiny.complete("Hello", formatted=True).text == plain


def test_a_model_without_a_template_completes_plain_text():
    tokenizer = make_tokenizer()
    tokenizer.chat_template = None
    generator = TextGenerator(Backbone(make_llama(tokenizer), tokenizer))
    llm = EndogenousLLM(generator, max_new_tokens=4)
    assert not llm.metadata.is_chat_model
    assert llm.complete("Hello").text == generator.generate("Hello", max_new_tokens=4)


def test_streams_are_the_answer_in_pieces(tiny):
    whole = tiny.complete("Hello").text
    responses = list(tiny.stream_complete("Hello"))
    assert len(responses) > 1
    assert responses[-1].text == whole
    assert "".join(response.delta for response in responses) == whole
    chat = list(tiny.stream_chat(HELLO))
    assert chat[-1].message.content == whole


async def test_the_async_twins_agree(tiny):
    whole = tiny.complete("Hello").text
    assert (await tiny.acomplete("Hello")).text == whole
    assert (await tiny.achat(HELLO)).message.content == whole
    pieces = [response.delta async for response in await tiny.astream_complete("Hello")]
    assert "".join(pieces) == whole
    chat = [response async for response in await tiny.astream_chat(HELLO)]
    assert chat[-1].message.content == whole


def test_stop_strings_are_honoured_everywhere(tiny):
    whole = tiny.complete("Hello").text
    stop = whole[len(whole) // 2 :][:2]
    expected = whole[: whole.index(stop)]
    assert tiny.complete("Hello", stop=[stop]).text == expected
    assert tiny.chat(HELLO, stop=[stop]).message.content == expected
    assert list(tiny.stream_complete("Hello", stop=[stop]))[-1].text == expected
    stopping = EndogenousLLM(tiny.generator, max_new_tokens=10, stop=[stop])
    assert stopping.complete("Hello").text == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda llm: llm.complete("Hello", max_tokens=3), "did you mean 'max_new_tokens'"),
        (lambda llm: llm.complete("Hello", max_new_tokens=0), "max_new_tokens=0"),
        (lambda llm: EndogenousLLM(llm.generator, temprature=1), "did you mean 'temperature'"),
        (
            lambda llm: llm.chat([ChatMessage(blocks=[ImageBlock(url="http://x/y.png")])]),
            "text only.*ImageBlock",
        ),
    ],
)
def test_bad_input_is_refused(tiny, call, message):
    with pytest.raises(InputError, match=message):
        call(tiny)
