"""The seam of keeping an index: state in, state out.

To add a store, write a class that does as `Store` says, and let `store_at` in
`s3_retriever.engine.stores` return it for the places that are its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from s3_retriever.config import AnswerConfig, ScanConfig, SearchConfig
from s3_retriever.reading.clock import ScanReport

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from s3_retriever.codec import Bank, TokenCodes
    from s3_retriever.documents import Document
    from s3_retriever.engine.parts import Part
    from s3_retriever.storage import Version


@dataclass(frozen=True)
class State:
    """All that an engine needs besides the model.

    Attributes:
        parts: Documents with their codes.
        bank: The bank the codes were made with.
        scan: How documents are read.
        search: How spans are searched.
        answer: How answers are made.
        report: What the scans took.
        saved: Where it was loaded from or last saved to, if anywhere.
    """

    parts: Iterable[Part]
    bank: Bank
    scan: ScanConfig = field(default_factory=ScanConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    report: ScanReport = field(default_factory=ScanReport)
    saved: Saved | None = None


@dataclass(frozen=True)
class Saved:
    """A state of an index folder, to tell later whether somebody else has changed it.

    Attributes:
        folder: The folder, resolved.
        version: What it held.
    """

    folder: Path
    version: Version


class Sink(Protocol):
    """Takes what was read."""

    def extend(
        self,
        state: State,
        entries: Sequence[tuple[Document, TokenCodes]],
        gone: Collection[str] = (),
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> State:
        """Change some documents where they lie, in one step; the caller keeps others away.

        Args:
            state: What the place holds, of `outline` or the last call, with the settings and the
                report that it shall have; without `State.saved` the place is new.
            entries: Documents with their codes, which come last or take the place of those that
                have their ids.
            gone: Ids of documents that are deleted.
            metadata: Other metadata of documents that stay, by id.

        Returns:
            What the place holds now.

        Raises:
            IndexFileError: the place cannot be written.
        """
        ...


class Store(Sink, Protocol):
    """Keeps one index at one place."""

    def save(
        self, state: State, overwrite: bool = False, compact: bool = False
    ) -> tuple[Saved, Sequence[Part] | None]:
        """Make the place hold a state; the one it held stays whole until the last step.

        Where somebody else has saved there since `State.saved`, both changes are made.

        Args:
            state: To save.
            overwrite: Replace whatever index the place holds.
            compact: Merge what was added bit by bit, and drop all that was deleted.

        Returns:
            What the place holds now, and its documents as they lie there; None where they have to
            be loaded, for somebody else's change is among them.

        Raises:
            IndexConflictError: the place holds what saving would lose.
            IndexFileError: the place cannot be written.
        """
        ...

    def outline(self) -> State | None:
        """What the place holds but the documents; None where it holds nothing.

        Raises:
            IndexFileError, FormatVersionError, BankError: as for `load`.
        """
        ...

    def load(self) -> State:
        """Open what the place holds.

        Raises:
            IndexFileError: the place holds no index, or a damaged one.
            FormatVersionError: a newer release wrote it.
            BankError: the bank in it is missing or damaged.
        """
        ...
