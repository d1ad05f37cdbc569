"""What is stored: documents with their arrays, and tables that are made of several of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from s3_retriever.documents import Document


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document and its arrays.

    Attributes:
        document: The text with its id and metadata.
        arrays: By name, each with one row per token; the same names, types and trailing
            dimensions for all documents of an index. Types: bool, (u)int8 to (u)int64, float16
            to float64.
        digest: `s3_retriever.storage.array_digest` of the arrays, where it is known; else it is
            worked out when they are saved.
    """

    document: Document
    arrays: Mapping[str, NDArray[Any]]
    digest: str | None = None


class TableMaker(Protocol):
    """Makes what is stored beside the documents of a segment, for all of them together."""

    @property
    def name(self) -> str:
        """What its tables are made with and hold; kept with them."""
        ...

    def fits(self, name: str) -> bool:
        """Whether tables that were made under some name will do, so that none are made again."""
        ...

    def make(self, documents: Sequence[StoredDocument]) -> Mapping[str, NDArray[Any]]:
        """Return named arrays of any shapes and of the types that documents may have.

        Args:
            documents: Of one segment, in order; at least one.
        """
        ...
