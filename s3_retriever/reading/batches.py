"""Batches: rows that are read in one forward pass, and what to do where one does not fit."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.errors import InputError
from s3_retriever.reading.chunks import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s3_retriever.reading.chunks import Layout, Piece, Source


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows read in one forward pass, padded on the right.

    Attributes:
        pieces: One for each row.
        input_ids: int64[rows, width].
        keep: int64[tokens]; where the pieces' own tokens lie in the flattened rows, in order.
    """

    pieces: tuple[Piece, ...]
    input_ids: np.ndarray
    keep: np.ndarray


def take_batch(pieces: deque[Piece], layout: Layout, most_tokens: int) -> Batch:
    """Take the next rows from pieces that come longest first.

    On a CPU oneDNN keeps a compiled kernel for every shape that it multiplies. Few shapes keep
    memory flat, however long and varied the text: widths are those of `padded`, and rows, but for
    those of whole chunks, come in powers of two.
    """
    prefix = len(layout.prefix)
    width = min(padded(prefix + pieces[0].stop - pieces[0].context), layout.width)
    rows = max(most_tokens // width, 1)
    if width < layout.width or rows > len(pieces):
        rows = 1 << min(rows, len(pieces)).bit_length() - 1
    taken = tuple(pieces.popleft() for _ in range(rows))
    input_ids = np.zeros((rows, width), dtype=np.int64)
    input_ids[:, :prefix] = layout.prefix
    keep = []
    for row, piece in enumerate(taken):
        length = piece.stop - piece.context
        input_ids[row, prefix : prefix + length] = piece.source.tokens.ids[
            piece.context : piece.stop
        ]
        first = row * width + prefix + piece.start - piece.context
        keep.append(np.arange(first, first + piece.stop - piece.start))
    return Batch(taken, input_ids, np.concatenate(keep))


def padded(length: int) -> int:
    """The next larger width of a batch: multiples of 16, or eight steps between powers of two."""
    step = 1 << max((length - 1).bit_length() - 4, 4)
    return -(-length // step) * step


class Batches:
    """The batches of some documents, longest rows of a window first.

    Args:
        windows: Documents that are open together; see `s3_retriever.reading.chunks.sources`.
        layout: The frame of a chunk.
        batch_tokens: Most tokens of a batch, padding included.

    Attributes:
        batch_tokens: As given, or what `put_back` has made of it.
    """

    def __init__(self, windows: Iterable[list[Source]], layout: Layout, batch_tokens: int) -> None:
        self.batch_tokens = batch_tokens
        self._windows, self._layout = windows, layout
        self._waiting: deque[Piece] = deque()

    def __iter__(self) -> Iterator[Batch]:
        for window in self._windows:
            pieces = [piece for source in window for piece in cut(source, self._layout)]
            self._waiting.extend(sorted(pieces, key=lambda piece: piece.context - piece.stop))
            while self._waiting:
                yield take_batch(self._waiting, self._layout, self.batch_tokens)

    def put_back(self, batch: Batch) -> None:
        """Take back a batch that did not fit; it comes again in batches of half the size.

        Raises:
            InputError: a single row does not fit.
        """
        rows, width = batch.input_ids.shape
        if rows == 1:
            raise InputError(
                f"the accelerator's memory does not hold one chunk of {width} tokens; "
                f"set ScanConfig(chunk_tokens=...) below {self._layout.chunk}"
            )
        self.batch_tokens = (rows // 2) * width
        self._waiting.extendleft(reversed(batch.pieces))
