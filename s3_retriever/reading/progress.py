"""A progress bar over the characters that the model has read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from s3_retriever.documents import Document
    from s3_retriever.reading.chunks import Piece
    from s3_retriever.reading.clock import ScanClock


class Progress:
    """A bar over characters that also tells tokens per second."""

    def __init__(
        self, documents: Sequence[Document], shown: bool, clock: ScanClock, label: str
    ) -> None:
        total = sum(len(document.text) for document in documents)
        self._clock = clock
        self._bar: Any = tqdm(
            total=total, desc=label, unit="char", unit_scale=True, disable=not shown
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
        starts_ends = ((p.source.tokens, p.start, p.stop) for p in pieces)
        characters = sum(int(t.ends[stop - 1] - t.starts[start]) for t, start, stop in starts_ends)
        if not self._bar.disable:
            rate = f"{self._clock.report().tokens_per_second:,.0f} tokens/s"
            self._bar.set_postfix_str(rate, refresh=False)
            self._bar.update(characters)
