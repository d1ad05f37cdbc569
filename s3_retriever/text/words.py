"""Words for matching: lower case, without stop words, stemmed by Snowball (Porter 2, English)."""

from __future__ import annotations

import re
from functools import lru_cache

import snowballstemmer

_WORD = re.compile(r"\w+")
_CODE = re.compile(r"\w+(?:[-/.:#]\w+)+")
_STEMS_KEPT = 2**16
_STOP_WORDS = """
a about after again all also am an and any are as at be been before being between both but by can
could did do does during each for from had has have he her him his how i if in into is it its may me
might more most must my no nor not of off on only or other our out over own same shall she should so
some such than that the their them then there these they this those to too under up us very was we
were what when where which while who whom whose why will with would you your
"""
_STOP = frozenset(_STOP_WORDS.split())


def words(text: str) -> list[str]:
    """Return the words of a text as they are matched, in order; stop words are left out."""
    return [_stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP]


def codes(text: str) -> list[str]:
    """Words that hang together by marks and hold a digit, whole: ``2023-03-05``, ``KX-204``.

    Among their parts alone, the fifth of March and the third of May are the same.
    """
    found = _CODE.findall(text.lower())
    return [code for code in found if any(character.isdigit() for character in code)]


@lru_cache(_STEMS_KEPT)
def _stem(word: str) -> str:
    return str(snowballstemmer.stemmer("english").stemWord(word))  # it holds what it works on
