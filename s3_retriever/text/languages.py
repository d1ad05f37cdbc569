"""Which language a text in Latin letters is written in, by the function words in it."""

from __future__ import annotations

import unicodedata
from collections import Counter

import regex

from s3_retriever.text.function_words import FUNCTION_WORDS

ENGLISH = "english"

LANGUAGES = tuple(FUNCTION_WORDS)
"""Those that are told apart, English first. Saved tables hold their numbers."""

LEAST_SHARE = 0.1
"""So much of a text's words must be function words of the language that English does not have."""

LEAST_WORDS = 3
"""Of so many different ones."""

MARGIN = 2
"""So many times as many function words of the language as of English: names hold some, too."""

_LATIN = regex.compile(r"\b\p{Latin}[\p{L}\p{M}]*")
_LATIN_LETTER, _LETTER = regex.compile(r"\p{Latin}"), regex.compile(r"\p{L}")
_OWN = {
    language: frozenset(word for word in words - FUNCTION_WORDS[ENGLISH] if len(word) > 1)
    for language, words in FUNCTION_WORDS.items()
}
_SPEAKERS = {
    word: tuple(language for language in LANGUAGES if word in FUNCTION_WORDS[language])
    for word in frozenset().union(*FUNCTION_WORDS.values())
}


def language_of(text: str) -> str:
    """Return the name of the language whose function words a text has most of.

    A language other than English needs a tenth of all words in Latin letters, three different ones,
    which English does not have, and twice the function words that English has there. So what
    is English, no prose, too short or in no language of `LANGUAGES` is ``"english"``. Words with a
    capital do not count, since names have such words too.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    counts = Counter(_LATIN.findall(text))
    totals = dict.fromkeys(LANGUAGES, 0)
    for word in counts.keys() & _SPEAKERS.keys():
        for language in _SPEAKERS[word]:
            totals[language] += counts[word]
    best = max(LANGUAGES, key=lambda language: totals[language])  # of equals, the first
    own = [counts[word] for word in counts.keys() & _OWN[best]]
    enough = len(own) >= LEAST_WORDS and sum(own) >= LEAST_SHARE * counts.total()
    return best if enough and totals[best] >= MARGIN * totals[ENGLISH] else ENGLISH


def in_latin_letters(text: str) -> bool:
    """Whether at least half of the letters of a text are Latin."""
    return text.isascii() or 2 * len(_LATIN_LETTER.findall(text)) >= len(_LETTER.findall(text))
