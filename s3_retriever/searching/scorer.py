"""The seam of the scoring: what is asked of which text, and what a scorer makes of it.

To add a scorer, write a class that does as `Scorer` says in a file of this folder, and name it in
`s3_retriever.searching.scorers`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from s3_retriever.searching.bm25 import Bm25
from s3_retriever.searching.group import Group, listed, total
from s3_retriever.searching.tables import OwnTables
from s3_retriever.text.languages import LANGUAGES
from s3_retriever.text.prose import density

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from s3_retriever.codec import Bank
    from s3_retriever.codec.codes import JoinedCodes
    from s3_retriever.config import Weighing
    from s3_retriever.documents import Document
    from s3_retriever.searching.bm25 import WordPostings
    from s3_retriever.searching.cells import Cells
    from s3_retriever.searching.passages import Passages
    from s3_retriever.searching.tables import Tables

NOTHING = slice(0, 0)
"""No sentences."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What is asked of a text: a question, or the names in a span that leads on.

    Attributes:
        text: Its words.
        queries: ``f32[n, H, d]``, the model's queries at its n > 0 tokens and the H heads of the
            bank's calibration, before rotary embedding.
        without: Sentences that are left out, as if they were not there.
        place: The words that name a document, taken out of the others; None where none do.
        whole: Of a question whose words were taken apart, all of its text; else empty.
    """

    text: str
    queries: Tensor
    without: slice = field(default_factory=lambda: NOTHING)
    place: Asked | None = None
    whole: str = ""


@dataclass(frozen=True, eq=False)
class IndexedText:
    """What a scorer may read.

    Attributes:
        documents: In order; at least one.
        passages: Their A sentences.
        codes: Of their T tokens.
        bank: With which the codes were made.
        tables: Of the documents, in whose place they were made or read; None to make them.
        group: Of what is searched with them as one.
    """

    documents: tuple[Document, ...]
    passages: Passages
    codes: JoinedCodes
    bank: Bank
    tables: Tables | None = None
    group: Group = field(default_factory=Group)

    @property
    def all_documents(self) -> int:
        """How many documents are searched, in all texts."""
        return self.group.constant("documents", lambda: len(self.documents), total)

    @property
    def all_tokens(self) -> int:
        """How many tokens, likewise."""
        return self.group.constant("tokens", lambda: len(self.codes), total)

    @property
    def all_sentences(self) -> int:
        """How many sentences, likewise."""
        return sum(self._sentences)

    @property
    def most_sentences(self) -> int:
        """Those of the largest text."""
        return max(self._sentences)

    @property
    def sentences_before(self) -> int:
        """Those of the texts that come before this one."""
        return sum(self._sentences[: self.group.rank])

    @property
    def _sentences(self) -> list[int]:
        return self.group.constant("sentences", lambda: len(self.passages), listed)

    @property
    def spoken(self) -> tuple[str, ...]:
        """The languages of all texts by name, each once, in the order of `LANGUAGES`."""
        return self.group.constant("languages", lambda: self.word_postings.spoken, _languages)

    def sentences(self) -> list[str]:
        """The sentences themselves, in order."""
        return [self.between(number, number + 1) for number in range(len(self.passages))]

    def between(self, first: int, last: int) -> str:
        """The text of sentences of one document, from `first` on to the one before `last`."""
        passages = self.passages
        whole = self.documents[int(passages.document[first])].text
        return whole[int(passages.start[first]) : int(passages.end[last - 1])]

    def density(self, sentence: int) -> int:
        """How many Latin letters a character of a sentence stands for, by its number."""
        return density(self.between(sentence, sentence + 1))

    @cached_property
    def _tables(self) -> Tables:
        made = OwnTables(self.documents, self.codes, self.bank, passages=self.passages)
        return self.tables or made

    @property
    def cells(self) -> Sequence[Cells]:
        """Cells of near keys at each of the N taps."""
        return self._tables.cells

    @property
    def sums(self) -> Tensor:
        """What the tokens of each sentence add up to, ``f32[A, E]``.

        Raises:
            InputError: the bank has no head for it.
        """
        return self._tables.sums.tensor()

    def sums_of(self, sentences: np.ndarray) -> Tensor:
        """The same of some sentences, by their numbers or a mask: ``f32[a, E]``."""
        return self._tables.sums.some(sentences).tensor()

    @property
    def word_postings(self) -> WordPostings:
        """The words of each sentence, by the language of its document."""
        return self._tables.words

    @cached_property
    def document_postings(self) -> WordPostings:
        """The words of each document."""
        return self.word_postings.grouped(self.passages.document)

    @cached_property
    def sentence_bm25(self) -> Bm25:
        """BM25 of sentences."""
        return Bm25(self.word_postings, self.group, "sentences")

    @cached_property
    def document_bm25(self) -> Bm25:
        """BM25 of whole documents."""
        return Bm25(self.document_postings, self.group, "documents")


def _languages(values: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    known = {language for own in values for language in own}
    return tuple(language for language in LANGUAGES if language in known)


class Scorer(Protocol):
    """Scores sentences by one kind of evidence."""

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """Score sentences for several questions.

        Args:
            asked: Q questions.
            candidates: ``int64[C]``, numbers of the sentences to score, ascending.
            weighing: Constants of the scoring; how far evidence reaches is `reach` and `power`.

        Returns:
            ``f32[Q, C]``, in standard deviations above the mean sentence of the whole text
            (`s3_retriever.searching.fusion.standardise`), so that scores of different kinds can
            be added.
        """
        ...
