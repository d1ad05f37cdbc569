"""Models shared by the tests: a tiny random one, and the embedded default."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import cheap_examples
from random_bank import make_bank
from s3_retriever.answering import generator
from s3_retriever.backbone import Backbone
from small_corpus import index_by_words

if TYPE_CHECKING:
    from s3_retriever.engine import EndogenousIndex

TEXT = """The quick brown fox jumps over the lazy dog. A retriever finds the passage that answers.
Paris is the capital of France, and Berlin is the capital of Germany.

Numbers such as 1, 2, 3 and 2024 occur; so do names, questions and answers. What is the capital?
The model reads every document once, keeps a sparse index, and answers questions from it.
"""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def pytest_configure() -> None:
    """Let torch compute in one thread: in models so small, threads cost more than they save."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # also in processes that tests start
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Call slow whatever runs the default model."""
    for item in items:
        if "default_backbone" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of a few hundred tokens that can spell any text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )


def make_llama(tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> LlamaForCausalLM:
    """A random Llama of 4 layers, 4 query heads, 2 key-value heads and head size 16."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=4096,
            initializer_range=0.2,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture(scope="session")
def tiny_llama(
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Model and tokenizer, shared by the session: do not change them."""
    return make_llama(tiny_tokenizer), tiny_tokenizer


@pytest.fixture(scope="session")
def tiny_backbone(tiny_llama: tuple[LlamaForCausalLM, PreTrainedTokenizerFast]) -> Backbone:
    return Backbone(*tiny_llama)


@pytest.fixture(scope="session")
def tiny_index(tiny_backbone: Backbone) -> EndogenousIndex:
    """The small corpus read by a tiny random model, where words decide: do not change it."""
    return index_by_words(tiny_backbone)


@pytest.fixture(scope="session")
def tiny_options(
    tiny_llama: tuple[LlamaForCausalLM, PreTrainedTokenizerFast],
    tiny_backbone: Backbone,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[str]:
    """Options of the command line that choose a tiny random model and its bank."""
    folder = tmp_path_factory.mktemp("tiny")
    for part in tiny_llama:
        part.save_pretrained(folder / "model")
    make_bank(tiny_backbone).save(folder / "bank")
    return ["--model", str(folder / "model"), "--bank", str(folder / "bank")]


@pytest.fixture(scope="session")
def default_backbone() -> Backbone:
    """The embedded default model; converted into the user's cache on the first run ever."""
    return Backbone.load()


@pytest.fixture
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model write four tokens at most, where it matters only that it writes."""
    monkeypatch.setattr(generator, "GenerationConfig", cheap_examples.few_words)


@pytest.fixture
def loaded_once(default_backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the default model to everyone who loads it, instead of one more copy."""
    shared = cheap_examples.loaded_once(lambda: default_backbone, Backbone.load)
    monkeypatch.setattr(Backbone, "load", shared)
