"""What the words of a question attend to, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from s3_retriever.searching.heat import Heat, HeatMap
from s3_retriever.text.sentences import trim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.backbone import TokenizedText
    from s3_retriever.reading.questions import Question
    from s3_retriever.searching.heat import Place
    from s3_retriever.searching.scorer import IndexedText

_WITHOUT_BLANKS = "\u2e80"
"""From here on stand the scripts that put no blanks between words, Chinese and Japanese."""


class QuestionHeat(NamedTuple):
    """The attention of a question's words.

    Attributes:
        words: Where each of the W words stands in the question: first character, and one past the
            last.
        places: For each place asked about, its heat; its `shares` are ``f32[t, W]``, those of a
            word's tokens together.
    """

    words: tuple[tuple[int, int], ...]
    places: tuple[Heat, ...]


def question_heat(
    text: IndexedText, question: Question, tokens: TokenizedText, places: Sequence[Place]
) -> QuestionHeat:
    """Tell what each word of a question attends to in some places.

    Args:
        text: All that is searched.
        question: As the model read it.
        tokens: Of the question.
        places: Pieces of the documents of the text.
    """
    asked = question.whole.text
    firsts, words = _words(asked, tokens)
    found = HeatMap(text.documents, text.codes, text.bank).of(question.whole.queries, places)
    by_word = (Heat(heat.ends, np.add.reduceat(heat.shares, firsts, 1)) for heat in found)
    return QuestionHeat(words, tuple(by_word))


def _words(asked: str, tokens: TokenizedText) -> tuple[list[int], tuple[tuple[int, int], ...]]:
    """The first token of each word, and where the words stand."""
    starts, ends = tokens.starts.tolist(), tokens.ends.tolist()
    firsts = [0]
    for number in range(1, len(starts)):
        so_far = asked[starts[firsts[-1]] : ends[number - 1]]
        if so_far.strip() and _parted(asked, ends[number - 1], starts[number]):
            firsts.append(number)
    lasts = [*firsts[1:], len(starts)]
    places = [(starts[first], ends[last - 1]) for first, last in zip(firsts, lasts, strict=True)]
    return firsts, tuple(trim(asked, *place) for place in places)


def _parted(asked: str, end: int, start: int) -> bool:
    """Whether a word ends with the token before `end`, and another begins with that at `start`."""
    if any(sign.isspace() for sign in asked[end - 1 : start + 1]):
        return True
    return start >= end and asked[end - 1] >= _WITHOUT_BLANKS
