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
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from s3_retriever.backbone import Backbone, TextTokenizer, TokenizedText
    from s3_retriever.config import ScanConfig
    from s3_retriever.documents import Document
    from s3_retriever.reading.clock import ScanClock

WINDOW_BATCHES = 16
"""Documents of about so many batches are open at a time."""

_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """How a chunk is framed: ``[BOS] preamble [overlap] chunk``.

    Attributes:
        prefix: Token ids of BOS, where the model has one, and of the preamble: read before every
            chunk.
        overlap: Tokens repeated before every chunk but a document's first.
        chunk: New tokens of a chunk.
    """

    prefix: tuple[int, ...]
    overlap: int
    chunk: int

    @property
    def width(self) -> int:
        """Tokens of the longest row."""
        return len(self.prefix) + self.overlap + self.chunk


def prefix_ids(text: TextTokenizer, preamble: str) -> tuple[int, ...]:
    """Token ids of BOS, where the model has one, and of the preamble."""
    bos = () if text.bos_id is None else (text.bos_id,)
    return (*bos, *(int(token) for token in text.encode(preamble).ids)) if preamble else bos


def fit_layout(prefix: tuple[int, ...], config: ScanConfig, window: int) -> Layout:
    """Fit chunk and overlap into a window of tokens.

    The chunk gives way first, then the overlap, which never takes more than half of the room.

    Args:
        prefix: Token ids read before every chunk.
        config: The sizes wished for.
        window: Most tokens of a row: the model's positions or the batch, whichever is less.

    Raises:
        InputError: the prefix alone fills the window.
    """
    room = window - len(prefix)
    if room < 2:
        raise InputError(
            f"the preamble takes {len(prefix)} tokens of a window of {window}; shorten "
            "ScanConfig.preamble or raise batch_tokens"
        )
    overlap = min(config.overlap_tokens, room // 2)
    return Layout(prefix=prefix, overlap=overlap, chunk=min(config.chunk_tokens, room - overlap))


def layout_of(backbone: Backbone, config: ScanConfig) -> Layout:
    """The frame of chunks for a model and its settings."""
    window = min(backbone.spec.max_positions, config.batch_tokens)
    return fit_layout(prefix_ids(backbone.text, config.preamble), config, window)


@dataclass(slots=True)
class Source:
    """A tokenised document on its way through the model; its codes fill up piece by piece.

    Attributes:
        document: The text.
        tokens: Of the text.
        codes: Latents, values and residual, one row for each token; none before the first piece,
            so that documents which wait take little room.
        missing: Tokens whose codes have not come yet.
    """

    document: Document
    tokens: TokenizedText
    codes: tuple[np.ndarray, ...] = ()
    missing: int = field(init=False)

    def __post_init__(self) -> None:
        self.missing = len(self.tokens.ids)

    def put(self, piece: Piece, parts: Sequence[np.ndarray]) -> None:
        """Store the codes of one piece."""
        if not self.codes:
            rows = len(self.tokens.ids)
            self.codes = tuple(np.empty((rows, part.shape[1]), part.dtype) for part in parts)
        for whole, part in zip(self.codes, parts, strict=True):
            whole[piece.start : piece.stop] = part
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


def sources(
    text: TextTokenizer,
    documents: Iterable[Document],
    *,
    batch_tokens: int,
    clock: ScanClock,
    window_batches: int = WINDOW_BATCHES,
) -> Generator[list[Source], None, None]:
    """Tokenise documents in windows of some batches, in a thread, two windows ahead.

    A window bounds how many documents are open at a time, however many there are; inside it
    rows are ordered by length so that little is padded.

    Args:
        text: The tokeniser.
        documents: In order.
        batch_tokens: Tokens of a batch.
        clock: Times the stage ``tokenise``.
        window_batches: Batches of a window, about.
    """

    def tokenise(window: list[Document]) -> list[Source]:
        with clock.host_stage("tokenise"):
            encoded = text.encode_batch([document.text for document in window])
            return list(map(Source, window, encoded))

    waiting = _windows(documents, window_batches * _CHARACTERS_PER_TOKEN * batch_tokens)
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
        size += len(document.text) + 8 * _CHARACTERS_PER_TOKEN  # a row has a prefix too
        if size >= characters:
            yield window
            window, size = [], 0
    if window:
        yield window
