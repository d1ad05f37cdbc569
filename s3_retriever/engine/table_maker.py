"""Tables of a segment, as they are stored: from what is known of its documents, or made."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from s3_retriever.codec import JoinedCodes
from s3_retriever.codec.codes import ARRAYS, TokenCodes
from s3_retriever.engine.parts import Part, part_of
from s3_retriever.searching.tables import (
    VERSION,
    JoinedTables,
    OwnTables,
    known_tables,
    table_arrays,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from s3_retriever.codec import Bank
    from s3_retriever.documents import Document
    from s3_retriever.storage import LoadedSegment, StoredDocument

_CELLS = "cells"


class TableMaker:
    """Makes tables as `s3_retriever.storage.TableMaker` says.

    Args:
        parts: Of the corpus; what is known of their documents is not made again.
        bank: Theirs.
        cells: Whether cells are wanted.
        digest: Of a document's codes.
    """

    def __init__(
        self,
        parts: Iterable[Part],
        bank: Bank,
        cells: bool,
        digest: Callable[[TokenCodes], str],
    ) -> None:
        self._bank, self._cells, self._digest = bank, cells, digest
        self._lying = {
            document.id: (part, place)
            for part in parts
            for place, document in enumerate(part.documents)
        }
        self._made: dict[tuple[str, ...], Part] = {}

    @property
    def name(self) -> str:
        """The release of the arrays, the bank, and whether there are cells."""
        return " ".join([_made_with(self._bank), *([_CELLS] if self._cells else [])])

    def fits(self, name: str) -> bool:
        """Whether tables hold at least what is wanted."""
        return fits(name, self._bank) and (not self._cells or name.endswith(_CELLS))

    def make(self, documents: Sequence[StoredDocument]) -> Mapping[str, np.ndarray]:
        """See `s3_retriever.storage.TableMaker.make`."""
        part = self._part(documents)
        self._made[tuple(item.document.id for item in documents)] = part
        return table_arrays(part.tables, self._bank, self._cells)

    def made(self, ids: tuple[str, ...]) -> Part | None:
        """The documents of a segment whose tables were made here."""
        return self._made.get(ids)

    def _part(self, documents: Sequence[StoredDocument]) -> Part:
        parts = [self._taken(*run) for run in self._runs(documents)]
        if len(parts) == 1 and parts[0].whole:
            return parts[0]
        joined = JoinedTables([(part.tables, part.chosen) for part in parts])
        pairs = [pair for part in parts for pair in part.entries()]
        texts, codes = zip(*pairs, strict=True)
        return part_of(texts, codes, self._bank, **known(joined, self._bank))

    def _runs(self, documents: Sequence[StoredDocument]) -> list[_Run]:
        """Documents that follow one another in a part of the corpus, or are in none."""
        runs: list[_Run] = []
        for item in documents:
            part, place = self._home(item)
            if runs and runs[-1].part is part and (part is None or place > runs[-1].places[-1]):
                runs[-1].places.append(place)
                runs[-1].items.append(item)
            else:
                runs.append(_Run(part, [place], [item]))
        return runs

    def _home(self, item: StoredDocument) -> tuple[Part | None, int]:
        part, place = self._lying.get(item.document.id, (None, 0))
        if part is None or part.documents[place].text != item.document.text:
            return None, 0
        same = self._digest(part.codes[place]) == item.digest
        return (part, place) if same else (None, 0)

    def _taken(
        self, part: Part | None, places: Sequence[int], items: Sequence[StoredDocument]
    ) -> Part:
        if part is None:
            codes = [codes_of(item) for item in items]
            return part_of([item.document for item in items], codes, self._bank)
        keep = np.zeros(len(part), dtype=bool)
        keep[[*places]] = True
        return part.only(keep)


class _Run(NamedTuple):
    """Documents, and where they stand in a part of the corpus, ascending; None where in none."""

    part: Part | None
    places: list[int]
    items: list[StoredDocument]


def known(tables: JoinedTables, bank: Bank) -> dict[str, Any]:
    """What `OwnTables` takes as known: all but cells, which are made anew for what is merged."""
    sums = {} if bank.sentences is None else {"sums": tables.sums}
    return {"passages": tables.passages, "words": tables.words, **sums}


def codes_of(item: StoredDocument) -> TokenCodes:
    """The codes of a stored document."""
    return TokenCodes(*(item.arrays[name] for name in ARRAYS))


def fits(name: str, bank: Bank) -> bool:
    """Whether tables of some name were made with a bank, by a release that makes the same."""
    return name.removesuffix(_CELLS).strip() == _made_with(bank)


def _made_with(bank: Bank) -> str:
    digest = hashlib.sha256(bank.digest().encode())
    if bank.sentences is not None:
        for tensor in bank.sentences.tensors().values():
            digest.update(tensor.contiguous().numpy().tobytes())
    return f"{VERSION} {digest.hexdigest()[:32]}"


def opened_part(
    segment: LoadedSegment,
    pairs: Sequence[tuple[Document, TokenCodes]],
    bank: Bank,
) -> Part:
    """The documents of a stored segment, with its tables where they fit.

    Args:
        segment: As it was stored.
        pairs: Its documents with their codes.
        bank: Theirs.

    Raises:
        ValueError: the tables are not those of the segment.
        KeyError: some of them are missing.
    """
    documents, codes = zip(*pairs, strict=True)
    if segment.tables is None or not fits(segment.made, bank):
        return part_of(documents, codes, bank)
    found = known_tables(segment.tables, bank)
    tokens = found["passages"].document_tokens()
    numbers = np.array(segment.numbers)
    for document, own, number in zip(documents, codes, segment.numbers, strict=True):
        if not 0 <= number < len(tokens) or tokens[number] != len(own):
            raise ValueError(f"the tables of its segment do not know document {document.id!r}")
    if len(np.unique(numbers)) < len(numbers):
        raise ValueError(f"two documents of a segment have one place in its tables ({numbers})")
    if len(numbers) == len(tokens):
        return part_of(documents, codes, bank, **found)
    tables = OwnTables((), JoinedCodes(()), bank, **found)
    if "cells" in found:
        return Part(documents, codes, tables, numbers, whole=False)
    return part_of(documents, codes, bank, **known(JoinedTables([(tables, numbers)]), bank))
