"""A progress bar over what the model has read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from s3_retriever.documents import Document
    from s3_retriever.reading.chunks import Piece
    from s3_retriever.reading.clock import ScanClock


class Progress:
    """A bar that also tells tokens per second.

    It counts characters where the documents are at hand, and else, where they come one by one,
    documents.

    Args:
        documents: That are read.
        shown: Whether to show it.
        clock: Of the reading.
        label: What stands before it.
        expected: How many documents come one by one; None where nobody knows.
    """

    def __init__(
        self,
        documents: Iterable[Document],
        shown: bool,
        clock: ScanClock,
        label: str,
        expected: int | None = None,
    ) -> None:
        self._at_hand, self._clock = isinstance(documents, Sequence), clock
        total, unit = expected, " documents"
        if isinstance(documents, Sequence):
            total, unit = sum(len(document.text) for document in documents), "char"
        self._bar: Any = tqdm(
            total=total, desc=label, unit=unit, unit_scale=self._at_hand, disable=not shown
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def passed(self, pieces: Sequence[Piece]) -> None:
        """Move the bar past the characters of a batch."""
        if self._bar.disable:
            return
        rate = f"{self._clock.report().tokens_per_second:,.0f} tokens/s"
        self._bar.set_postfix_str(rate, refresh=False)
        if self._at_hand:
            self._bar.update(sum(map(_characters, pieces)))

    def finished(self, count: int) -> None:
        """Move the bar past some documents."""
        if not self._at_hand:
            self._bar.update(count)


def _characters(piece: Piece) -> int:
    tokens = piece.source.tokens
    return int(tokens.ends[piece.stop - 1] - tokens.starts[piece.start])
