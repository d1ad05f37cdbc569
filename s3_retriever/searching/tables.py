"""What a search reads of documents besides their codes: sentences, words, sums and cells.

Each table is made once for the documents of a segment, saved beside their codes, and joined with
those of other segments; a filter and a deletion take some documents out of it. Nothing of this
reads codes or cuts text anew.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from s3_retriever.fork import renew_after_fork
from s3_retriever.searching.bm25 import WordPostings, joined_postings
from s3_retriever.searching.byte_rows import ByteRows, joined_rows
from s3_retriever.searching.cells import (
    RUN_TOKENS,
    Cells,
    cell_arrays,
    cells_from,
    cells_of,
    joined_cells,
    no_cells,
)
from s3_retriever.searching.passages import Passages, blocks, cut_passages, joined_passages
from s3_retriever.searching.sums import block_sums, head_of
from s3_retriever.text.languages import LANGUAGES, language_of
from s3_retriever.text.words import codes, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from s3_retriever.codec import Bank, JoinedCodes
    from s3_retriever.documents import Document
    from s3_retriever.searching.passages import Chosen

T = TypeVar("T")

VERSION = 3
"""Of how text is cut into sentences and words, and of the arrays; no other is read."""

_BLOCK_TOKENS = 8192


class Tables(ABC):
    """Tables of some documents; each is made when it is first asked for, and kept."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}
        self._renew_lock()
        renew_after_fork(self, Tables._renew_lock)

    def _renew_lock(self) -> None:
        self._making = RLock()

    def _once(self, name: str, make: Callable[[], T]) -> T:
        with self._making:
            if name not in self._kept:
                self._kept[name] = make()
            kept: T = self._kept[name]
            return kept

    @property
    def passages(self) -> Passages:
        """The A sentences."""
        return self._once("passages", self._passages)

    @property
    def words(self) -> WordPostings:
        """The words of each sentence, by the language of its document."""
        return self._once("words", self._words)

    @property
    def sums(self) -> ByteRows:
        """What the tokens of each sentence add up to, A vectors of E numbers.

        Raises:
            InputError: the bank has no head for it.
        """
        return self._once("sums", self._sums)

    @property
    def cells(self) -> Sequence[Cells]:
        """Cells of near keys at each of the N taps."""
        return self._once("cells", self._cells)

    @abstractmethod
    def _passages(self) -> Passages: ...

    @abstractmethod
    def _words(self) -> WordPostings: ...

    @abstractmethod
    def _sums(self) -> ByteRows: ...

    @abstractmethod
    def _cells(self) -> Sequence[Cells]: ...


class OwnTables(Tables):
    """Tables made of documents and their codes, as far as they are not known.

    Args:
        documents: In order; at least one.
        codes: Of their T tokens.
        bank: With which the codes were made.
        passages: Their sentences, where they are known.
        words: Likewise.
        sums: Likewise.
        cells: Likewise.
    """

    def __init__(
        self, documents: Sequence[Document], codes: JoinedCodes, bank: Bank, **known: Any
    ) -> None:
        super().__init__()
        self._documents, self._codes, self._bank = documents, codes, bank
        self._kept.update(known)

    def _passages(self) -> Passages:
        return cut_passages(self._documents, [part.ends for part in self._codes.parts])

    def _words(self) -> WordPostings:
        passages = self.passages
        places = zip(
            passages.document, passages.start, passages.end, passages.alone.tolist(), strict=True
        )
        languages = [language_of(document.text) for document in self._documents]
        numbers = np.array([LANGUAGES.index(language) for language in languages], dtype=np.uint8)
        held = (_held(self._documents[n].text[a:b], languages[n], own) for n, a, b, own in places)
        return WordPostings.of(held, numbers[passages.document])

    def _sums(self) -> ByteRows:
        head_of(self._bank)
        self._read_codes(cells=False)
        sums: ByteRows = self._kept["sums"]
        return sums

    def _cells(self) -> Sequence[Cells]:
        self._read_codes(cells=True)
        cells: Sequence[Cells] = self._kept["cells"]
        return cells

    def _read_codes(self, cells: bool) -> None:
        """Make what is made of the codes, in one pass over them."""
        bank, bounds = self._bank, self.passages.bounds
        head = None if "sums" in self._kept else bank.sentences
        sums = torch.zeros(len(bounds) - 1, 0 if head is None else head.size)
        runs: list[list[Cells]] = []
        for run in blocks(bounds, RUN_TOKENS):
            held = []
            for first, last, keys in self._keys(run):
                if head is not None:
                    sums[first:last] = block_sums(np.diff(bounds[first : last + 1]), head, keys)
                if cells:
                    held.append((keys - bank.offset).half())
            if cells:
                runs.append(cells_of(torch.cat(held)))
        if head is not None:
            self._kept["sums"] = ByteRows.of(sums)
        if cells:
            calibration = bank.calibration
            runs = runs or [no_cells(len(calibration.taps), calibration.head_dim)]
            self._kept["cells"] = [joined_cells(own) for own in zip(*runs, strict=True)]

    def _keys(self, run: tuple[int, int]) -> Iterator[tuple[int, int, Tensor]]:
        """Sentences, first and last, and their keys ``f32[t, N, d]``, some after another."""
        begin, bounds = run[0], self.passages.bounds
        for first, last in blocks(bounds[begin : run[1] + 1], _BLOCK_TOKENS):
            tokens = slice(int(bounds[begin + first]), int(bounds[begin + last]))
            yield begin + first, begin + last, self._bank.decode(self._codes.rows(tokens))


def _held(text: str, language: str, alone: bool) -> list[str]:
    """The words of a sentence; of a row or a record, its codes as well."""
    own = words(text, language)
    return [*own, *codes(text)] if alone else own


class JoinedTables(Tables):
    """Tables of the documents of several segments, or of some of them, end to end.

    Args:
        parts: Tables, and the numbers of the documents that are taken of each, ascending; None
            for all.
    """

    def __init__(self, parts: Sequence[tuple[Tables, np.ndarray | None]]) -> None:
        super().__init__()
        self._parts = parts

    @property
    def _chosen(self) -> list[Chosen | None]:
        return self._once(
            "chosen",
            lambda: [
                None if numbers is None else tables.passages.choose(numbers)
                for tables, numbers in self._parts
            ],
        )

    def _each(self, whole: Callable[[Tables], T], some: Callable[[T, Chosen], T]) -> list[T]:
        return [
            whole(tables) if chosen is None else some(whole(tables), chosen)
            for (tables, _), chosen in zip(self._parts, self._chosen, strict=True)
        ]

    def _passages(self) -> Passages:
        return joined_passages(self._each(lambda own: own.passages, lambda own, c: own.of(c)))

    def _words(self) -> WordPostings:
        parts = self._each(lambda own: own.words, lambda own, c: own.some(c.sentences))
        return joined_postings(parts)

    def _sums(self) -> ByteRows:
        return joined_rows(self._each(lambda own: own.sums, lambda own, c: own.some(c.sentences)))

    def _cells(self) -> Sequence[Cells]:
        def some(cells: Sequence[Cells], chosen: Chosen) -> Sequence[Cells]:
            return [own.some(chosen.tokens) for own in cells]

        parts = self._each(lambda own: own.cells, some)
        return [joined_cells(own) for own in zip(*parts, strict=True)]


def table_arrays(tables: Tables, bank: Bank, cells: bool) -> dict[str, np.ndarray]:
    """Tables as named arrays.

    Args:
        tables: Of some documents; they are made where they were not.
        bank: Theirs.
        cells: Whether cells are among them.
    """
    kinds: dict[str, Mapping[str, np.ndarray]] = {}
    if cells:  # first, for sums come with them
        kinds["cells"] = cell_arrays(tables.cells)
    kinds["sentences"], kinds["words"] = tables.passages.arrays(), tables.words.arrays()
    if bank.sentences is not None:
        kinds["sums"] = {"values": tables.sums.values, "scales": tables.sums.scales}
    return {f"{kind}.{name}": own for kind, arrays in kinds.items() for name, own in arrays.items()}


def known_tables(arrays: Mapping[str, np.ndarray], bank: Bank) -> dict[str, Any]:
    """Undo `table_arrays`: what `OwnTables` takes as known.

    Raises:
        KeyError: one is missing.
        ValueError: they do not fit each other, or the bank.
    """
    kinds: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        kind, _, own = name.partition(".")
        kinds.setdefault(kind, {})[own] = array
    passages = Passages.of_arrays(kinds["sentences"])
    known: dict[str, Any] = {"passages": passages}
    known["words"] = WordPostings.of_arrays(kinds["words"])
    if len(known["words"].lengths) != len(passages):
        raise ValueError("words and sentences are not of one text")
    if bank.sentences is not None:
        known["sums"] = _sums_from(kinds["sums"], len(passages), bank.sentences.size)
    if "cells" in kinds:
        known["cells"] = _cells_from(kinds["cells"], int(passages.bounds[-1]), bank)
    return known


def _sums_from(arrays: Mapping[str, np.ndarray], sentences: int, size: int) -> ByteRows:
    values, scales = arrays["values"], arrays["scales"]
    if values.shape != (sentences, size) or scales.shape != (sentences,):
        raise ValueError("the sums of sentences are of another text, or of another bank")
    return ByteRows(values, scales)


def _cells_from(arrays: Mapping[str, np.ndarray], tokens: int, bank: Bank) -> list[Cells]:
    calibration = bank.calibration
    cells = cells_from(arrays)
    if arrays["cell"].shape != (len(calibration.taps), tokens):
        raise ValueError("cells are of another text, or of another bank")
    if arrays["means"].shape[1] != calibration.head_dim:
        raise ValueError("cells are of another bank")
    return cells
