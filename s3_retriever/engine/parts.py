"""Parts of a corpus: documents that were read together, with what was made of them once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.codec import JoinedCodes
from s3_retriever.searching.tables import OwnTables
from s3_retriever.storage import SEGMENT_ROWS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from s3_retriever.codec import Bank, TokenCodes
    from s3_retriever.documents import Document
    from s3_retriever.searching.tables import Tables


@dataclass(frozen=True, eq=False)
class Part:
    """Documents whose tables lie together, some of them deleted.

    Attributes:
        documents: Those that are not deleted, in order.
        codes: Of each.
        tables: Of these documents and those that were deleted.
        numbers: ``int64[documents]``, which ones of the tables' they are, ascending.
        whole: Whether they are all.
    """

    documents: tuple[Document, ...]
    codes: tuple[TokenCodes, ...]
    tables: Tables
    numbers: np.ndarray
    whole: bool = True

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def chosen(self) -> np.ndarray | None:
        """The numbers where something was deleted, else None."""
        return None if self.whole else self.numbers

    def entries(self) -> Iterator[tuple[Document, TokenCodes]]:
        """Each document with its codes."""
        return zip(self.documents, self.codes, strict=True)

    def only(self, keep: np.ndarray) -> Part:
        """Some of the documents, ``bool[documents]``."""
        if keep.all():
            return self
        places = np.flatnonzero(keep).tolist()
        return replace(
            self,
            documents=tuple(self.documents[place] for place in places),
            codes=tuple(self.codes[place] for place in places),
            numbers=self.numbers[keep],
            whole=False,
        )

    def without(self, ids: Collection[str]) -> Part:
        """The documents of other ids."""
        return self.only(np.array([document.id not in ids for document in self.documents]))


def part_of(
    documents: Sequence[Document], codes: Sequence[TokenCodes], bank: Bank, **known: object
) -> Part:
    """Documents and their codes as a part; see `OwnTables` for what may be known."""
    tables = OwnTables(documents, JoinedCodes(codes), bank, **known)
    return Part(tuple(documents), tuple(codes), tables, np.arange(len(documents)))


def parts_of(entries: Iterable[tuple[Document, TokenCodes]], bank: Bank) -> Iterator[Part]:
    """Documents and their codes as parts of some `SEGMENT_ROWS` tokens, as they are saved."""
    documents: list[Document] = []
    codes: list[TokenCodes] = []
    tokens = 0
    for document, own in entries:
        documents.append(document)
        codes.append(own)
        tokens += len(own)
        if tokens >= SEGMENT_ROWS:
            yield part_of(documents, codes, bank)
            documents, codes, tokens = [], [], 0
    if documents:
        yield part_of(documents, codes, bank)
