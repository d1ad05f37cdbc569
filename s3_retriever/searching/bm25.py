"""BM25 through an inverted index of words: what is read is what a question's words occur in."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from s3_retriever.searching.group import Group, added
from s3_retriever.text.languages import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

K1, B, EPSILON = 1.5, 0.75, 0.25
"""Constants of Okapi BM25 and of its floor, those of rank_bm25."""


@dataclass(frozen=True, eq=False)
class WordPostings:
    """Which of R texts hold which of V words, and how often.

    Attributes:
        vocabulary: The number of each word; every word occurs.
        starts: ``int[V + 1]``; word v occurs in the texts ``texts[starts[v]:starts[v + 1]]``.
        texts: ``int[P]``, ascending for each word.
        counts: ``int[P]``, how often the word occurs there.
        lengths: ``int[R]``, words of each text.
        languages: ``int[R]``, the number in `LANGUAGES` of that by which each text's words are
            stemmed.
    """

    vocabulary: Mapping[str, int]
    starts: np.ndarray
    texts: np.ndarray
    counts: np.ndarray
    lengths: np.ndarray
    languages: np.ndarray

    @classmethod
    def of(
        cls, texts: Iterable[Sequence[str]], languages: Sequence[int] | np.ndarray | None = None
    ) -> Self:
        """Invert the words of some texts.

        Args:
            texts: R texts.
            languages: ``int[R]``, as the attribute; English by default.
        """
        vocabulary: dict[str, int] = {}
        rows = [
            np.fromiter((vocabulary.setdefault(word, len(vocabulary)) for word in words), np.int32)
            for words in texts
        ]
        lengths = np.fromiter(map(len, rows), np.int32, len(rows))
        words = np.concatenate([*rows, np.zeros(0, np.int32)]).astype(np.int64)
        places = np.repeat(np.arange(len(rows)), lengths)
        spoken = np.zeros(len(rows)) if languages is None else np.asarray(languages)
        counted = _counted(words, places, len(vocabulary), len(rows))
        return cls(vocabulary, *counted, lengths, spoken.astype(np.uint8))

    @cached_property
    def spoken(self) -> tuple[str, ...]:
        """The languages of the texts by name, each once, in the order of `LANGUAGES`."""
        return tuple(LANGUAGES[number] for number in np.unique(self.languages))

    def frequencies(self, words: Sequence[str]) -> np.ndarray:
        """In how many of the texts each of some words occurs, ``int64[n]``."""
        numbers = [self.vocabulary.get(word) for word in words]
        found = [0 if n is None else int(self.starts[n + 1]) - int(self.starts[n]) for n in numbers]
        return np.array(found, dtype=np.int64)

    def within(self, word: str, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
        """Whether a word occurs in any of some neighbouring texts, ``bool[S]``.

        Args:
            word: Any.
            firsts: ``int64[S]``, numbers of texts.
            lasts: ``int64[S]``, one past the last text of each.
        """
        number = self.vocabulary.get(word)
        if number is None:
            return np.zeros(len(firsts), dtype=bool)
        texts = self.texts[self.starts[number] : self.starts[number + 1]]
        inside: np.ndarray = np.searchsorted(texts, firsts) < np.searchsorted(texts, lasts)
        return inside

    def grouped(self, groups: np.ndarray) -> WordPostings:
        """Postings of texts joined into longer ones.

        Args:
            groups: ``int[R]``, ascending: the number of the text that each becomes part of. Those
                that become one are of one language.
        """
        size = int(groups[-1]) + 1
        sizes = _sizes(self.starts)
        pairs = np.repeat(np.arange(len(sizes)) * size, sizes) + groups[self.texts]
        firsts = np.flatnonzero(np.diff(pairs, prepend=-1))
        counts = np.add.reduceat(self.counts.astype(np.int32), firsts) if len(firsts) else firsts
        word, text = np.divmod(pairs[firsts], size)
        starts = np.concatenate([[0], np.cumsum(np.bincount(word, minlength=len(sizes)))])
        lengths = np.bincount(groups, self.lengths, size).astype(np.int32)
        languages = np.zeros(size, self.languages.dtype)
        languages[groups] = self.languages
        joined = text.astype(np.int32)
        return WordPostings(self.vocabulary, starts, joined, counts, lengths, languages)

    def some(self, kept: np.ndarray) -> WordPostings:
        """Postings of some of the texts, renumbered from 0.

        Args:
            kept: ``bool[R]``.
        """
        holding = kept[self.texts]
        starts = np.concatenate([[0], np.cumsum(holding)])[self.starts]
        left = np.flatnonzero(np.diff(starts))
        words = [*self.vocabulary]
        return WordPostings(
            {words[number]: place for place, number in enumerate(left.tolist())},
            starts[np.concatenate([left, [len(words)]])],
            (np.cumsum(kept) - 1)[self.texts[holding]].astype(np.int32),
            self.counts[holding],
            self.lengths[kept],
            self.languages[kept],
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays of the smallest types that hold them; words in UTF-8, a line each."""
        text = "\n".join(self.vocabulary).encode()
        small = {name: smallest(getattr(self, name)) for name in _ARRAYS}
        return {"words": np.frombuffer(text, np.uint8), **small}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Undo `arrays`.

        Raises:
            ValueError: they do not fit each other.
        """
        words = arrays["words"].tobytes().decode()
        vocabulary = (
            {word: number for number, word in enumerate(words.split("\n"))} if words else {}
        )
        starts, texts, counts, lengths, languages = (arrays[name] for name in _ARRAYS)
        if len(starts) != len(vocabulary) + 1 or not len(texts) == len(counts) == starts[-1]:
            raise ValueError("the postings of words are cut short")
        if len(texts) and texts.max() >= len(lengths):
            raise ValueError("words are said to be in sentences that there are not")
        if len(languages) != len(lengths) or languages.max(initial=0) >= len(LANGUAGES):
            raise ValueError("words are said to be of languages that there are not")
        return cls(vocabulary, starts, texts, counts, lengths, languages)


_ARRAYS = ("starts", "texts", "counts", "lengths", "languages")


def joined_postings(parts: Sequence[WordPostings]) -> WordPostings:
    """Postings of texts end to end."""
    if len(parts) == 1:
        return parts[0]
    vocabulary: dict[str, int] = {}
    numbers = [
        np.fromiter(
            (vocabulary.setdefault(word, len(vocabulary)) for word in part.vocabulary),
            np.int64,
            len(part.vocabulary),
        )
        for part in parts
    ]
    sizes = [_sizes(part.starts) for part in parts]
    total = np.zeros(len(vocabulary), np.int64)
    for own, size in zip(numbers, sizes, strict=True):
        total[own] += size
    starts = np.concatenate([[0], np.cumsum(total)])
    texts, counts = np.empty((2, starts[-1]), np.int32)
    free, first = starts[:-1].copy(), 0
    for part, own, size in zip(parts, numbers, sizes, strict=True):
        begins = np.cumsum(size) - size
        place = np.repeat(free[own] - begins, size) + np.arange(len(part.texts))
        texts[place] = part.texts.astype(np.int32) + first
        counts[place] = part.counts
        free[own] += size
        first += len(part.lengths)
    lengths = np.concatenate([part.lengths.astype(np.int32) for part in parts])
    languages = np.concatenate([part.languages for part in parts])
    return WordPostings(vocabulary, starts, texts, counts, lengths, languages)


def _sizes(starts: np.ndarray) -> np.ndarray:
    """``int64[V]``: in how many texts each word occurs."""
    wide = starts.astype(np.int64)
    return wide[1:] - wide[:-1]


def smallest(numbers: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 up in the smallest type that holds them."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


def _counted(
    words: np.ndarray, texts: np.ndarray, size: int, rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, texts and counts of occurrences."""
    pairs, counts = np.unique(words * max(rows, 1) + texts, return_counts=True)
    word, text = np.divmod(pairs, max(rows, 1))
    starts = np.concatenate([[0], np.cumsum(np.bincount(word, minlength=size))])
    return starts, text.astype(np.int32), counts.astype(np.int32)


class Bm25:
    """Okapi BM25 with the scores of `rank_bm25.BM25Okapi`, its floor for frequent words included.

    Args:
        postings: Of R texts.
        group: Of what else is ranked with them; nothing by default.
        of: What the texts are, by which what is known of all is remembered.
    """

    def __init__(
        self, postings: WordPostings, group: Group | None = None, of: str = "texts"
    ) -> None:
        self._postings, self._group, self._of = postings, group or Group(), of
        self._norms: tuple[float, np.ndarray] | None = None

    def _idf(self, words: Sequence[str]) -> np.ndarray:
        """``f64[n]``; of a word in more than half of all texts, a quarter of the mean of all."""
        frequency = self._group.merged(self._postings.frequencies(words), added)
        idf = _rarity(frequency, self._sizes()[0])
        if not (idf < 0).any():
            return idf
        name = f"mean rarity of words in {self._of}"
        mean = self._group.constant(name, lambda: _Occurring.of(self._postings), _mean_rarity)
        return np.where(idf < 0, EPSILON * mean, idf)

    def _sizes(self) -> tuple[int, int]:
        """How many texts and words there are in all."""
        lengths = self._postings.lengths
        own = np.array([len(lengths), lengths.sum(dtype=np.int64)])
        texts, words = self._group.constant(f"sizes of {self._of}", lambda: own, added).tolist()
        return texts, words

    def _lengthening(self) -> np.ndarray:
        """``f64[R]``: what a text's length adds to its counts."""
        texts, words = self._sizes()
        mean = max(words / texts, 1e-9)
        if self._norms is None or self._norms[0] != mean:
            self._norms = mean, K1 * (1 - B + B * self._postings.lengths / mean)
        return self._norms[1]

    def scores(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Score the texts that hold a word of a question; those that are not named score 0.

        Args:
            words: Of the question; one that comes twice counts twice.

        Returns:
            Numbers of the texts ``int64[M]``, ascending, and their scores ``f64[M]``.
        """
        postings, norms = self._postings, self._lengthening()
        texts, scores = [np.zeros(0, np.int32)], [np.zeros(0)]
        for word, idf in zip(words, self._idf(words).tolist(), strict=True):
            number = postings.vocabulary.get(word)
            if number is None:
                continue
            own = slice(postings.starts[number], postings.starts[number + 1])
            rows, counts = postings.texts[own], postings.counts[own]
            texts.append(rows)
            scores.append(idf * counts * (K1 + 1) / (counts + norms[rows]))
        total = np.bincount(np.concatenate(texts), np.concatenate(scores), len(norms))
        found = np.flatnonzero(total)
        return found, total[found]


class _Occurring(NamedTuple):
    """In how many of some texts each word stands.

    Attributes:
        words: V words.
        frequencies: ``int64[V]``.
        texts: How many there are.
    """

    words: Collection[str]
    frequencies: np.ndarray
    texts: int

    @classmethod
    def of(cls, postings: WordPostings) -> _Occurring:
        sizes = _sizes(postings.starts)
        return cls(tuple(postings.vocabulary), sizes, len(postings.lengths))


def _rarity(frequency: np.ndarray, texts: int) -> np.ndarray:
    """``f64[n]``, of words by the number of texts in which they stand."""
    rarity: np.ndarray = np.log(texts - frequency + 0.5) - np.log(frequency + 0.5)
    return rarity


def _mean_rarity(values: Sequence[_Occurring]) -> float:
    """Of all words that stand in any text, the same in whatever order they are numbered."""
    together: Counter[str] = Counter()
    for own in values:
        together.update(dict(zip(own.words, own.frequencies.tolist(), strict=True)))
    frequencies = np.array([*together.values()], np.int64)
    rarity = _rarity(frequencies, sum(own.texts for own in values))
    return math.fsum(rarity) / max(len(rarity), 1)
