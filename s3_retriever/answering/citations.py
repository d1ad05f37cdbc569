"""Which span each sentence of an answer rests on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from s3_retriever.text.languages import language_of
from s3_retriever.text.sentences import sentences, trim
from s3_retriever.text.words import asked_words, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_retriever.documents import Span

SHARE = 0.5
"""A sentence is cited where a span has at least so much of its words."""

_WRITTEN = re.compile(r"\[(\d{1,3})\]")


class Citation(NamedTuple):
    """A sentence of an answer, or a number in it, and the span it rests on.

    Attributes:
        start: First character in the answer.
        end: One past the last.
        number: Of the span, from 1.
        written: Whether the model wrote the number itself; else the span is the one that has most
            of the sentence's words.
    """

    start: int
    end: int
    number: int
    written: bool


class Citing:
    """Finds the citations of an answer that comes in pieces.

    Args:
        spans: Those that the model was given, in the order of their numbers.

    Attributes:
        text: All of the answer so far.
    """

    def __init__(self, spans: Sequence[Span]) -> None:
        self.text = ""
        self._told = 0
        languages = [language_of(span.text) for span in spans]
        both = zip(languages, spans, strict=True)
        self._words = [(language, {*words(span.text, language)}) for language, span in both]
        self._scores = [span.score for span in spans]

    def add(self, piece: str) -> list[Citation]:
        """Take in a piece; return the citations of the sentences that it completes."""
        self.text += piece
        ends = [self._told + end for _, end in sentences(self.text[self._told :])]
        return self._upto(ends[-2]) if len(ends) > 1 else []

    def rest(self) -> list[Citation]:
        """The citations of what is left at the end."""
        return self._upto(len(self.text))

    def _upto(self, end: int) -> list[Citation]:
        first, self._told = self._told, end
        places = sentences(self.text[first:end])
        return [c for start, stop in places for c in self._of(first + start, first + stop)]

    def _of(self, start: int, end: int) -> Iterator[Citation]:
        start, end = trim(self.text, start, end)
        numbers = [
            Citation(start + found.start(), start + found.end(), int(found[1]), True)
            for found in _WRITTEN.finditer(self.text[start:end])
            if 1 <= int(found[1]) <= len(self._words)
        ]
        yield from numbers
        best = None if numbers else self._source(self.text[start:end])
        if best is not None:
            yield Citation(start, end, best, False)

    def _source(self, sentence: str) -> int | None:
        """The number of the span that has most of a sentence's words; of equals, the best one."""
        asked = {language: {*asked_words(sentence, [language])} for language, _ in self._words}
        both = [(asked[language], own) for language, own in self._words]
        shares = [len(said & own) / len(said) if said else 0.0 for said, own in both]
        order = sorted(range(len(shares)), key=lambda n: (-shares[n], -self._scores[n]))
        return order[0] + 1 if order and shares[order[0]] >= SHARE else None
