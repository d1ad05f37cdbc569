"""`as_llm()` of both frameworks: the model that searches is the one that writes."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from langchain_s3_retriever import EndogenousRetriever as LangChainRetriever
from llama_index.retrievers.s3 import EndogenousRetriever as LlamaRetriever
from s3_retriever.answering.generator import TextGenerator
from s3_retriever.engine import EndogenousIndex
from small_corpus import QUESTIONS, TEXTS, small_index

PROMPT = "What is the capital of France? One word."


def langchain(index):
    llm = LangChainRetriever(index=index).as_llm(max_new_tokens=12)

    async def astream(prompt):
        return [piece.text async for piece in llm.astream(prompt)]

    async def acomplete(prompt):
        return (await llm.ainvoke(prompt)).text

    return SimpleNamespace(
        complete=lambda prompt, **options: llm.invoke(prompt, **options).text,
        stream=lambda prompt, **options: [piece.text for piece in llm.stream(prompt, **options)],
        acomplete=acomplete,
        astream=astream,
    )


def llama_index(index):
    llm = LlamaRetriever(index).as_llm(max_new_tokens=12)

    async def astream(prompt):
        return [piece.delta async for piece in await llm.astream_complete(prompt)]

    async def acomplete(prompt):
        return (await llm.acomplete(prompt)).text

    return SimpleNamespace(
        complete=lambda prompt, **options: llm.complete(prompt, **options).text,
        stream=lambda prompt, **options: [
            piece.delta for piece in llm.stream_complete(prompt, **options)
        ],
        acomplete=acomplete,
        astream=astream,
    )


MAKERS = pytest.mark.parametrize("make", [langchain, llama_index], ids=lambda make: make.__name__)


@pytest.fixture(scope="module")
def index(default_backbone):
    return small_index(default_backbone)


@pytest.fixture(params=[langchain, llama_index], ids=lambda make: make.__name__)
def llm(request, tiny_index):
    return request.param(tiny_index)


def live() -> dict[int, int]:
    """Bytes of every memory block that a tensor holds, by address."""
    gc.collect()
    blocks = [o.untyped_storage() for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]
    return {block.data_ptr(): block.nbytes() for block in blocks}


@pytest.mark.slow
@MAKERS
def test_the_default_model_that_searches_answers_without_a_second_copy(index, make):
    index.search(QUESTIONS[0])
    before = live()
    parameters = list(index.backbone.model.parameters())
    assert {p.untyped_storage().data_ptr() for p in parameters} <= before.keys()
    answer = make(index).complete(PROMPT)
    assert "Paris" in answer and PROMPT not in answer
    grown = sum(size for place, size in live().items() if place not in before)
    assert grown < sum(p.nbytes for p in parameters) / 20


@MAKERS
def test_the_answer_follows_the_chat_template_without_the_prompt(make, tiny_index):
    generator = TextGenerator(tiny_index.backbone)
    chat = generator.chat_prompt([{"role": "user", "content": PROMPT}])
    answer = make(tiny_index).complete(PROMPT)
    assert answer == generator.generate(chat, max_new_tokens=12)
    assert PROMPT not in answer and "<|im_start|>" not in answer


async def test_streaming_and_async_give_the_same_answer(llm):
    answer = llm.complete(PROMPT)
    pieces = llm.stream(PROMPT)
    assert len(pieces) > 1
    assert "".join(pieces) == "".join(await llm.astream(PROMPT)) == answer
    assert await llm.acomplete(PROMPT) == answer


def test_a_stop_string_ends_the_answer(llm):
    answer = llm.complete(PROMPT)
    stop = answer[len(answer) // 2 :][:2]
    before, _, _ = answer.partition(stop)
    assert before != answer
    assert llm.complete(PROMPT, stop=[stop]) == before
    assert "".join(llm.stream(PROMPT, stop=[stop])) == before


def test_scans_searches_and_generations_from_threads_take_turns(llm, tiny_index):
    def scanned():
        own = EndogenousIndex.build(
            TEXTS[:2], model=tiny_index.backbone, bank=tiny_index.bank, progress=False
        )
        return own.search(QUESTIONS[0], k=2)

    work = [
        scanned,
        lambda: tiny_index.search(QUESTIONS[1], k=3),
        lambda: llm.complete(PROMPT),
        lambda: llm.stream(PROMPT),
    ]
    alone = [do() for do in work]
    with ThreadPoolExecutor(8) as pool:
        together = [pool.submit(do) for _ in range(3) for do in work]
        assert [one.result() for one in together] == alone * 3
