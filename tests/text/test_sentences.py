"""Sentences tile the text, end where people would end them, and are never too long."""

from __future__ import annotations

import random
import sys
from itertools import pairwise

import pytest

from s3_retriever.text.pieces import WHOLE
from s3_retriever.text.prose import MAX_CHARACTERS, MIN_CHARACTERS
from s3_retriever.text.sentences import sentences, trim

TEXTS = [
    "One.",
    "no end",
    " \n\n leading space. Then more text follows here.\n",
    "A sentence that is long enough.\r\nAnother that is long enough.\r\n",
    "Er kam. Sie ging?! Ja… „Nein.“ (Doch.) Und so weiter geht es noch eine Weile.",
    "これは文です。次の文はもう少し長いです。" * 20,
    "🗼" * 1000,
    "x" * 5000,
    "word " * 1000,
    " " * 50_000 + "end",
    "\n" * 1000,
    "clause after clause, " * 100,
    "No. 5 is 3.14 long. " * 100,
]
ALPHABETS = [
    "ab .!?\n\r\t\"')。Mr.No ,;:\x0b\u2028\x85…؟—–»",
    "".join(map(chr, range(32, 127))) + "\n",
    "".join(chr(c) for c in range(0x20, sys.maxunicode, 97) if not 0xD800 <= c < 0xE000),
]


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def assert_tiles(text: str, longest: int = MAX_CHARACTERS) -> None:
    ranges = sentences(text)
    assert ranges[0][0] == 0 and ranges[-1][1] == len(text)
    assert all(end == start for (_, end), (start, _) in pairwise(ranges))
    assert all(0 < end - start <= longest for start, end in ranges)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:12]))
def test_sentences_tile_the_text(text: str) -> None:
    assert_tiles(text)


@pytest.mark.parametrize("alphabet", ALPHABETS, ids=["marks", "ascii", "unicode"])
def test_sentences_tile_random_text(alphabet: str) -> None:
    chance = random.Random(0)
    for _ in range(400):
        text = "".join(chance.choices(alphabet, k=chance.randint(1, 900)))
        assert_tiles(text, WHOLE)  # by chance there is a table


def test_every_beginning_of_a_text_is_tiled() -> None:
    text = 'Dr. No said: "Go!" We left; e.g. by sea.\n\n  Then... nothing (at all). End'
    for length in range(1, len(text) + 1):
        assert_tiles(text[:length])


def test_a_sentence_ends_at_its_mark_and_keeps_the_space_after_it() -> None:
    text = (
        'The keeper climbed up the steps.  "Did the ships see his lamp?" They saw it every night!'
    )
    assert pieces(text) == [
        "The keeper climbed up the steps.  ",
        '"Did the ships see his lamp?" ',
        "They saw it every night!",
    ]


def test_a_line_end_ends_a_sentence() -> None:
    text = "# A heading of some length here\n\n- the first item of the list\n- the second item"
    assert [piece.strip() for piece in pieces(text)] == text.replace("\n\n", "\n").split("\n")


def test_scripts_without_spaces() -> None:
    first = "これは日本語で書かれた一つ目のかなり長い文の例です。"
    second = "そしてこれは二つ目の同じくらい長い文です。"
    assert pieces(first + second) == [first, second]


@pytest.mark.parametrize(
    "text",
    [
        "We then met the famous Dr. Ada Lindqvist in the old town.",
        "The novel was written by the poet J. R. Hartley in winter.",
        "They moved their offices to the U.S.A. Today is not a name.",
        "There are many kinds of grain, e.g. Rye and barley and oats.",
        "The results can be seen in the table in Fig. 3 of the paper.",
        "The value of the constant pi is about 3.14159 and not more.",
    ],
)
def test_abbreviations_end_nothing(text: str) -> None:
    assert pieces(text) == [text]


@pytest.mark.parametrize("word", ["it", "tomorrow", "himself", "tyrannosaurus", "MNo"])
def test_other_words_end_a_sentence(word: str) -> None:
    assert len(pieces(f"Nobody in the valley could find {word}. Then the river rose.")) == 2


def test_short_pieces_join_the_next() -> None:
    assert pieces("Yes. No. Perhaps we will see about that.") == [
        "Yes. No. Perhaps we will see about that."
    ]
    assert all(
        end - start >= MIN_CHARACTERS for start, end in sentences("Oh. " * 200 + "The end.")[:-1]
    )


def test_long_sentences_are_cut_at_clauses_then_spaces_then_anywhere() -> None:
    clauses = "the river rises in the hills and runs to the bay, " * 20
    assert all(piece.endswith(", ") for piece in pieces(clauses))
    words = "river " * 200
    assert all(piece.endswith("river ") for piece in pieces(words))
    assert [len(piece) for piece in pieces("x" * 700)] == [MAX_CHARACTERS, MAX_CHARACTERS, 60]


def test_trim_leaves_white_space_out() -> None:
    text = "a \n  word\t. b"
    assert trim(text, 1, 10) == (5, 9)
    assert text[5:9] == "word"
    assert trim(text, 0, len(text)) == (0, len(text))
    start, end = trim(text, 1, 5)
    assert start >= end
