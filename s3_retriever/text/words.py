"""Words for matching: lower case, without stop words, stemmed by Snowball where it knows them.

Latin letters are stemmed as English is. Scripts that put no space between words give overlapping
pairs of characters, which need no dictionary. An identifier counts whole and in parts.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import regex
import snowballstemmer

from s3_retriever.text.stop_words import STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD = regex.compile(r"[\p{L}\p{N}_][\p{L}\p{M}\p{N}_\u200c\u200d]*")
_CODE = regex.compile(r"\w+(?:[-/.:#]\w+)+")
_PART = regex.compile(r"\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{Ll}\p{Lo}\p{M}]+|\p{N}+")
_IDENTIFIER = regex.compile(
    r"\p{L}\p{L}+_\p{L}\p{L}|^\p{Ll}{2,}\p{Lu}|(?:\p{Lu}\p{Ll}+){3}"
)  # no names such as StubHub
_FORMS = regex.compile(r"[\uFB00-\uFDFF\uFE70-\uFEFC\uFF01-\uFFEF]+")
_PERSIAN = frozenset("پچژگیک\u200c")
_UNSPACED = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}ー々]+"
)
_STEMMED = {
    "CYRILLIC": "russian",
    "GREEK": "greek",
    "ARABIC": "arabic",
    "DEVANAGARI": "hindi",
    "TAMIL": "tamil",
    "ARMENIAN": "armenian",
}
_STEMS_KEPT = 2**16


def words(text: str) -> list[str]:
    """Return the words of a text as they are matched, in order; stop words are left out.

    Accents that stand apart are joined to their letters first, and ligatures, wide and narrow
    letters become the plain ones.
    """
    if not text.isascii():
        text = _FORMS.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
        text = unicodedata.normalize("NFC", text)
    return [
        _stem(word)
        for found in _WORD.findall(text)
        for word in _spelled(found)
        if word not in STOP_WORDS
    ]


def codes(text: str) -> list[str]:
    """Words that hang together by marks and hold a digit, whole: ``2023-03-05``, ``KX-204``.

    Among their parts alone, the fifth of March and the third of May are the same.
    """
    found = _CODE.findall(text.lower())
    return [code for code in found if any(character.isdigit() for character in code)]


def _spelled(word: str) -> Iterator[str]:
    """A word in lower case; an identifier with its parts, and an unspaced run as pairs."""
    if word.isascii():
        yield word.lower()
        if _IDENTIFIER.search(word):
            parts = [part.lower() for part in _PART.findall(word)]
            yield from parts if len(parts) > 1 else ()
        return
    at = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > at:
            yield word[at : run.start()].lower()
        yield from _pairs(run[0])
        at = run.end()
    if at < len(word):
        yield word[at:].lower()


def _pairs(run: str) -> Iterator[str]:
    characters = regex.findall(r"\X", run)
    if len(characters) == 1:
        yield run
    for first, second in pairwise(characters):
        yield first + second


@lru_cache(_STEMS_KEPT)
def _stem(word: str) -> str:
    language = "english" if word.isascii() else _language(word)
    if language is None:
        return word
    return str(snowballstemmer.stemmer(language).stemWord(word))  # it holds what it works on


def _language(word: str) -> str | None:
    """The language by which a word is stemmed, as its first letter tells."""
    letter = next((character for character in word if character.isalpha()), "a")
    if _PERSIAN.intersection(word):
        return None
    script = unicodedata.name(letter, "").split(" ")[0]
    return "english" if script in ("LATIN", "") else _STEMMED.get(script)
