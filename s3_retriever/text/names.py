"""Names in a text, by which a second hop is led to other documents.

Where only names have capital letters, these tell them. German gives capitals to all nouns, and many
scripts have none: there a name is a word that stands in few documents, and in more than one, since
it is to lead from one to another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3_retriever.text.languages import ENGLISH
from s3_retriever.text.words import places, words

if TYPE_CHECKING:
    from collections.abc import Collection

_CAPITAL_NOUNS = frozenset({"german"})


@dataclass(frozen=True, slots=True)
class Naming:
    """How names are told in a text.

    Attributes:
        language: Of the text's words in Latin letters, of `s3_retriever.text.languages.LANGUAGES`.
        rare: Words, as they are matched, that stand in few documents; None where capitals tell.
    """

    language: str = ENGLISH
    rare: frozenset[str] | None = None


def capitals_tell(text: str, language: str) -> bool:
    """Whether only names have capital letters in a text."""
    return language not in _CAPITAL_NOUNS and not _has_no_capitals(text)


def new_names(question: str, whole: str, naming: Naming) -> list[tuple[int, int]]:
    """Characters of the names behind a question that are not in it.

    A name is a word that begins with a capital letter or a digit, other than a stop word. In a text
    whose letters have no capitals, words in letters that do (Latin among Chinese, say) are names.
    Where capitals do not tell, words of the text's own are names where they are rare.

    Args:
        question: What is asked.
        whole: The question, and a text behind it.
        naming: Of that text.
    """
    asked = set(words(question, naming.language))
    foreign = _has_no_capitals(whole[len(question) :])
    return [
        (start, end)
        for start, end in places(whole, len(question))
        if (own := words(whole[start:end], naming.language))
        and asked.isdisjoint(own)
        and _names(whole[start], own, foreign, naming.rare)
    ]


def _names(first: str, own: Collection[str], foreign: bool, rare: frozenset[str] | None) -> bool:
    """Whether a word is a name by its first letter, or else by how rare it is."""
    if first.isdigit() or (foreign and (first.isupper() or first.islower())):
        return True
    if rare is None:
        return first.isupper()
    return not first.islower() and not rare.isdisjoint(own)


def _has_no_capitals(text: str) -> bool:
    """Whether most letters of a text are of scripts without capital letters."""
    letters = [character for character in text if character.isalpha()]
    cased = sum(letter.isupper() or letter.islower() for letter in letters)
    return 2 * cased < len(letters)
