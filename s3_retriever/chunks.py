"""Cuts documents into the pieces that are read together, and says how each is framed."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from s3_retriever.backbone import Backbone, TextTokenizer, TokenizedText
    from s3_retriever.config import ScanConfig
    from s3_retriever.documents import Document
    from s3_retriever.report import ScanClock

_WINDOW_BATCHES = 16
_CHARACTERS_PER_TOKEN = 4

_STEP = 16
"""Widths of batches are multiples of this: a CPU's library keeps code for every shape it meets."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a chunk is framed: ``[BOS] preamble [overlap] chunk``.

    Attributes:
        lead: Token ids of BOS, where the model has one, and of the preamble.
        overlap: Tokens repeated before every chunk but a document's first.
        chunk: New tokens of a chunk.
    """

    lead: tuple[int, ...]
    overlap: int
    chunk: int

    @property
    def width(self) -> int:
        """Tokens of the longest row."""
        return len(self.lead) + self.overlap + self.chunk


def lead_ids(text: TextTokenizer, preamble: str) -> tuple[int, ...]:
    """Token ids of BOS, where the model has one, and of the preamble."""
    bos = () if text.bos_id is None else (text.bos_id,)
    return (*bos, *(int(token) for token in text.encode(preamble).ids)) if preamble else bos


def fit_layout(lead: tuple[int, ...], config: ScanConfig, window: int) -> Layout:
    """Fit chunk and overlap into a window of tokens.

    The chunk gives way first, then the overlap, which never takes more than half of the room.

    Args:
        lead: Token ids read before every chunk.
        config: The sizes wished for.
        window: Most tokens of a row: the model's positions or the batch, whichever is less.

    Raises:
        InputError: the lead alone fills the window.
    """
    room = window - len(lead)
    if room < 2:
        raise InputError(
            f"the preamble takes {len(lead)} tokens of a window of {window}; shorten "
            "ScanConfig.preamble or raise batch_tokens"
        )
    overlap = min(config.overlap_tokens, room // 2)
    return Layout(lead=lead, overlap=overlap, chunk=min(config.chunk_tokens, room - overlap))


def layout_of(backbone: Backbone, config: ScanConfig) -> Layout:
    """The frame of chunks for a model and its settings."""
    window = min(backbone.spec.max_positions, config.batch_tokens)
    return fit_layout(lead_ids(backbone.text, config.preamble), config, window)


@dataclass(slots=True)
class Source:
    """A tokenised document on its way through the model; its codes fill up piece by piece."""

    document: Document
    tokens: TokenizedText
    latents: np.ndarray
    values: np.ndarray
    residual: np.ndarray
    missing: int = field(init=False)

    def __post_init__(self) -> None:
        self.missing = len(self.tokens.ids)

    def put(
        self, piece: Piece, latents: np.ndarray, values: np.ndarray, residual: np.ndarray
    ) -> None:
        """Store the codes of one piece."""
        self.latents[piece.start : piece.stop] = latents
        self.values[piece.start : piece.stop] = values
        self.residual[piece.start : piece.stop] = residual
        self.missing -= piece.stop - piece.start


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens ``start`` to ``stop`` of a source, read after the tokens from ``context`` on."""

    source: Source
    context: int
    start: int
    stop: int


def cut(source: Source, layout: Layout) -> Iterator[Piece]:
    """Cut a source into chunks, each knowing the overlap it is read behind."""
    length = len(source.tokens.ids)
    for start in range(0, length, layout.chunk):
        stop = min(start + layout.chunk, length)
        yield Piece(source, max(start - layout.overlap, 0), start, stop)


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
    """Take the next rows from pieces that come longest first."""
    lead = len(layout.lead)
    longest = lead + pieces[0].stop - pieces[0].context
    width = min(-(-longest // _STEP) * _STEP, layout.width)
    rows = min(max(most_tokens // width, 1), len(pieces))
    taken = tuple(pieces.popleft() for _ in range(rows))
    input_ids = np.zeros((rows, width), dtype=np.int64)
    input_ids[:, :lead] = layout.lead
    keep = []
    for row, piece in enumerate(taken):
        length = piece.stop - piece.context
        input_ids[row, lead : lead + length] = piece.source.tokens.ids[piece.context : piece.stop]
        first = row * width + lead + piece.start - piece.context
        keep.append(np.arange(first, first + piece.stop - piece.start))
    return Batch(taken, input_ids, np.concatenate(keep))


def sources(
    text: TextTokenizer,
    documents: Iterable[Document],
    *,
    slots: int,
    residual: int,
    batch_tokens: int,
    clock: ScanClock,
) -> Generator[list[Source], None, None]:
    """Tokenise documents in windows of some sixteen batches, in a thread, two windows ahead.

    A window bounds how many documents are open at a time, however many there are; inside it
    rows are ordered by length so that little is padded.
    """

    def tokenise(window: list[Document]) -> list[Source]:
        with clock.host_stage("tokenise"):
            encoded = text.encode_batch([document.text for document in window])
            return [
                Source(
                    document,
                    tokens,
                    np.zeros((len(tokens.ids), slots), dtype=np.uint16),
                    np.zeros((len(tokens.ids), slots), dtype=np.uint8),
                    np.zeros((len(tokens.ids), residual), dtype=np.uint8),
                )
                for document, tokens in zip(window, encoded, strict=True)
            ]

    waiting = _windows(documents, _WINDOW_BATCHES * _CHARACTERS_PER_TOKEN * batch_tokens)
    pool = ThreadPoolExecutor(1, thread_name_prefix="s3-tokenise")
    try:
        ahead = deque(pool.submit(tokenise, window) for window in islice(waiting, 2))
        while ahead:
            ready = ahead.popleft().result()
            ahead.extend(pool.submit(tokenise, window) for window in islice(waiting, 1))
            yield ready
    finally:
        pool.shutdown(cancel_futures=True)


def _windows(documents: Iterable[Document], characters: int) -> Iterator[list[Document]]:
    window: list[Document] = []
    size = 0
    for document in documents:
        window.append(document)
        size += len(document.text) + 8 * _CHARACTERS_PER_TOKEN  # a row has a lead too
        if size >= characters:
            yield window
            window, size = [], 0
    if window:
        yield window
