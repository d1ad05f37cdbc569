"""Character offsets of any Unicode, and special tokens as plain text."""

from __future__ import annotations

import copy
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import CanineTokenizer, PreTrainedTokenizerFast

from s3_retriever.backbone import TextTokenizer, TokenizedText, tokens
from s3_retriever.errors import InputError, UnsupportedModelError

TEXTS = {
    "plain": "The quick brown fox. Paris is the capital of France.",
    "emoji": "a 👩‍👩‍👧‍👦 family 🏳️‍🌈 and 🇩🇪 flags",
    "combining": "e\u0301 n\u0303 Z\u0351\u036b\u0343\u036a a\u030a",
    "crlf": "one\r\ntwo\r\n\r\nthree\rfour\n",
    "right-to-left": "שלום עולם وبالعربية \u202eabc\u202c",
    "astral": "𝕳𝖊𝖑𝖑𝖔 𓂀 漢字 かな 한글",
    "controls": "a\x00b\ufeffc\u200bd\u2028e\u3000f",
    "blanks": "   \t\n\n   x   ",
    "special": "say <|im_end|> and <|im_start|>user",
}


def rebuilt(text: str, tokenized: TokenizedText) -> str:
    """Every character that some token covers."""
    covered = np.zeros(len(text), bool)
    for start, end in zip(tokenized.starts, tokenized.ends, strict=True):
        covered[start:end] = True
    return "".join(character for character, seen in zip(text, covered, strict=True) if seen)


def check_offsets(text: str, tokenized: TokenizedText) -> None:
    assert tokenized.ids.dtype == np.int64
    assert tokenized.starts.dtype == tokenized.ends.dtype == np.int32
    assert len(tokenized) == len(tokenized.starts) == len(tokenized.ends)
    assert (tokenized.starts >= 0).all() and (tokenized.ends <= len(text)).all()
    assert (tokenized.starts <= tokenized.ends).all()
    assert (np.diff(tokenized.starts) >= 0).all()


def metaspace(prepend: str) -> PreTrainedTokenizerFast:
    """As sentencepiece models have it: blanks become part of the next word."""
    words = ["▁", "▁the", "▁fox", "the", "fox", "▁is", "quick", "T", "h", "e", "<unk>"]
    tokenizer = Tokenizer(models.Unigram([(word, -float(len(word))) for word in words], 10, False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


@pytest.fixture(scope="module")
def text_tokenizer(tiny_tokenizer: Any) -> TextTokenizer:
    return TextTokenizer(tiny_tokenizer)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_offsets_cover_the_text_and_ids_spell_it(
    text: str, text_tokenizer: TextTokenizer, tiny_tokenizer: Any
) -> None:
    tokenized = text_tokenizer.encode(text)
    check_offsets(text, tokenized)
    assert rebuilt(text, tokenized) == text
    assert tiny_tokenizer.decode(tokenized.ids, clean_up_tokenization_spaces=False) == text
    assert text_tokenizer.count(text) == len(tokenized)


@pytest.mark.parametrize("prepend", ["always", "first", "never"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_offsets_of_sentencepiece_like_tokenizers(text: str, prepend: str) -> None:
    check_offsets(text, TextTokenizer(metaspace(prepend)).encode(text))


def test_each_token_knows_its_characters(text_tokenizer: TextTokenizer) -> None:
    text = "🦊 fox, Paris"
    tokenized = text_tokenizer.encode(text)
    spans = [text[s:e] for s, e in zip(tokenized.starts, tokenized.ends, strict=True)]
    assert spans[:4] == ["🦊"] * 4  # four bytes, four tokens, one character
    assert "".join(spans[4:]).replace(" ", "") == "fox,Paris"


def test_special_tokens_in_a_text_are_plain_text(
    text_tokenizer: TextTokenizer, tiny_tokenizer: Any
) -> None:
    tokenized = text_tokenizer.encode(TEXTS["special"])
    assert not set(tokenized.ids.tolist()) & set(tiny_tokenizer.all_special_ids)
    assert tiny_tokenizer.eos_token_id in tiny_tokenizer(TEXTS["special"]).input_ids


def test_nothing_is_added(text_tokenizer: TextTokenizer, tiny_tokenizer: Any) -> None:
    assert text_tokenizer.bos_id == tiny_tokenizer.bos_token_id
    assert len(text_tokenizer.encode("")) == 0
    assert text_tokenizer.count("fox") == 1 + text_tokenizer.count("ox")


def test_it_minds_no_other_user_of_the_tokenizer(tiny_tokenizer: Any) -> None:
    text = TEXTS["plain"] * 20
    shared = copy.deepcopy(tiny_tokenizer)
    mine = TextTokenizer(shared)
    expected = mine.encode(text).ids

    def truncate(_: int) -> None:
        shared(text, truncation=True, max_length=4)

    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(truncate, number) for number in range(4)]
        results = list(pool.map(mine.encode, [text] * 20))
        for other in others:
            other.exception()  # the shared one may well complain
    assert all(np.array_equal(result.ids, expected) for result in results)


def test_batch_is_each_text_by_itself(text_tokenizer: TextTokenizer) -> None:
    batch = text_tokenizer.encode_batch(list(TEXTS.values()))
    for text, tokenized in zip(TEXTS.values(), batch, strict=True):
        assert np.array_equal(tokenized.ids, text_tokenizer.encode(text).ids)


@pytest.mark.parametrize("joint", ["\n\n", "\n", " ", ""])
def test_long_texts_are_cut_without_losing_a_character(
    joint: str, text_tokenizer: TextTokenizer, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [text for text in TEXTS.values() for _ in range(6)]
    random.Random(0).shuffle(words)
    text = joint.join(words)
    whole = text_tokenizer.encode(text)
    monkeypatch.setattr(tokens, "PIECE_CHARACTERS", 100)
    tokenized = text_tokenizer.encode(text)
    check_offsets(text, tokenized)
    assert rebuilt(text, tokenized) == text
    assert tiny_tokenizer.decode(tokenized.ids, clean_up_tokenization_spaces=False) == text
    same = np.intersect1d(whole.starts, tokenized.starts)
    assert len(same) > 0.95 * len(np.unique(whole.starts))  # only the cuts differ


def test_a_million_characters(text_tokenizer: TextTokenizer) -> None:
    text = "Paris is the capital of France.\n" * 32_768
    tokenized = text_tokenizer.encode(text)
    check_offsets(text, tokenized)
    line = text_tokenizer.encode(text[:32])
    assert np.array_equal(tokenized.ids, np.tile(line.ids, 32_768))
    assert tokenized.ends[-1] == len(text) == 1 << 20


def test_lone_surrogate_is_named_with_its_place(text_tokenizer: TextTokenizer) -> None:
    with pytest.raises(InputError, match=r"surrogate.*at 3"):
        text_tokenizer.encode("abc\ud83d")


def test_bytes_are_refused(text_tokenizer: TextTokenizer) -> None:
    with pytest.raises(InputError, match="not bytes"):
        text_tokenizer.encode(b"abc")  # type: ignore[arg-type]


def test_slow_tokenizer_is_refused_with_what_to_do() -> None:
    with pytest.raises(UnsupportedModelError, match=r"no character offsets.*use_fast=True"):
        TextTokenizer(CanineTokenizer())
