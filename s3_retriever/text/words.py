"""Words for matching: lower case, without stop words, stemmed by Snowball where it knows them.

Latin letters are stemmed by the language of their text, others by their script. Scripts that put no
space between words give overlapping pairs of characters, which need no dictionary. An identifier
counts whole and in parts.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

import regex
import snowballstemmer

from s3_retriever.text.languages import ENGLISH, language_of
from s3_retriever.text.stop_words import STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WORD = regex.compile(r"[\p{L}\p{N}_][\p{L}\p{M}\p{N}_\u200c\u200d]*")
_CODE = regex.compile(r"\w+(?:[-/.:#]\w+)+")
_PART = regex.compile(r"\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{Ll}\p{Lo}\p{M}]+|\p{N}+")
_IDENTIFIER = regex.compile(
    r"\p{L}\p{L}+_\p{L}\p{L}|^\p{Ll}{2,}\p{Lu}|(?:\p{Lu}\p{Ll}+){3}"
)  # no names such as StubHub
_FORMS = regex.compile(r"[\uFB00-\uFDFF\uFE70-\uFEFC\uFF01-\uFFEF]+")
_CHARACTER = regex.compile(r"\X")
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


def words(text: str, language: str = ENGLISH) -> list[str]:
    """Return the words of a text as they are matched, in order; stop words are left out.

    Accents that stand apart are joined to their letters first, and ligatures, wide and narrow
    letters become the plain ones.

    Args:
        text: Of any kind.
        language: By which words in Latin letters are stemmed and left out, one of
            `s3_retriever.text.languages.LANGUAGES`.
    """
    stop_words = STOP_WORDS[language]
    return [_stem(word, language) for word in _plain(text) if word not in stop_words]


def asked_words(question: str, languages: Sequence[str]) -> list[str]:
    """Return the words that a question asks of texts in several languages, in order.

    Each word is there as every one of the languages has it, once where they agree. What says
    nothing in the language of the question itself is left out.

    Args:
        question: In any language.
        languages: Those of the texts, of `s3_retriever.text.languages.LANGUAGES`.
    """
    empty = STOP_WORDS[language_of(question)]
    found: list[str] = []
    for word in _plain(question):
        if word not in empty:
            having = (one for one in languages if word not in STOP_WORDS[one])
            found += dict.fromkeys(_stem(word, one) for one in having)
    return found


def _plain(text: str) -> Iterator[str]:
    """Words in lower case, before they are stemmed."""
    if not text.isascii():
        text = _FORMS.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
        text = unicodedata.normalize("NFC", text)
    for found in _WORD.findall(text):
        yield from _spelled(found)


def places(text: str, first: int = 0) -> Iterator[tuple[int, int]]:
    """Characters of the words of a text from one on, in order; pairs of an unspaced run overlap."""
    for found in _WORD.finditer(text, first):
        at = found.start()
        for run in _UNSPACED.finditer(text, *found.span()):
            if run.start() > at:
                yield at, run.start()
            yield from _pair_places(text, *run.span())
            at = run.end()
        if at < found.end():
            yield at, found.end()


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
    for start, end in places(word):
        yield word[start:end].lower().replace("i\u0307", "i")  # of İ, which Turkish writes as i


def _pair_places(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Each two characters that stand together, with their marks; a single one alone."""
    ends = [found.end() for found in _CHARACTER.finditer(text, first, last)]
    starts = [first, *ends[:-1]]
    yield from zip(starts, ends[1:] or ends, strict=False)


@lru_cache(_STEMS_KEPT)
def _stem(word: str, latin: str) -> str:
    language = latin if word.isascii() else _language(word, latin)
    if language is None:
        return word
    return str(snowballstemmer.stemmer(language).stemWord(word))  # it holds what it works on


def _language(word: str, latin: str) -> str | None:
    """The language by which a word is stemmed, as its first letter tells."""
    letter = next((character for character in word if character.isalpha()), "a")
    if _PERSIAN.intersection(word):
        return None
    script = unicodedata.name(letter, "").split(" ")[0]
    return latin if script in ("LATIN", "") else _STEMMED.get(script)
