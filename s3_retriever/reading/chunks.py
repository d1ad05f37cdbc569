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

_WINDOW_BATCHES = 16
_CHARACTERS_PER_TOKEN = 4


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
    """A tokenised document on its way through the model; its codes fill up piece by piece.

    Attributes:
        document: The text.
        tokens: Of the text.
        first: Number of the first of them among all tokens that are scanned.
        codes: Latents, values and residual, one row for each token; none before the first piece,
            so that documents which wait take little room.
        missing: Tokens whose codes have not come yet.
    """

    document: Document
    tokens: TokenizedText
    first: int = 0
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


def numbers(pieces: Sequence[Piece]) -> np.ndarray:
    """Numbers of the tokens of some pieces among all that are scanned, ``int32[tokens]``."""
    ranges = [p.source.first + np.arange(p.start, p.stop, dtype=np.int32) for p in pieces]
    return np.concatenate(ranges)


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

    A CPU's library keeps code for every number of tokens that it multiplies at once. So there are
    few such numbers, however long and varied the text: widths are those of `padded`, and rows, but
    for those of whole chunks, come in powers of two.
    """
    lead = len(layout.lead)
    width = min(padded(lead + pieces[0].stop - pieces[0].context), layout.width)
    rows = max(most_tokens // width, 1)
    if width < layout.width or rows > len(pieces):
        rows = 1 << min(rows, len(pieces)).bit_length() - 1
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


def padded(length: int) -> int:
    """The next larger width of a batch: multiples of 16, or eight steps between powers of two."""
    step = 1 << max((length - 1).bit_length() - 4, 4)
    return -(-length // step) * step


def sources(
    text: TextTokenizer,
    documents: Iterable[Document],
    *,
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
            return list(map(Source, window, encoded))

    count = 0
    waiting = _windows(documents, _WINDOW_BATCHES * _CHARACTERS_PER_TOKEN * batch_tokens)
    pool = ThreadPoolExecutor(1, thread_name_prefix="s3-tokenise")
    try:
        ahead = deque(pool.submit(tokenise, window) for window in islice(waiting, 2))
        while ahead:
            ready = ahead.popleft().result()
            ahead.extend(pool.submit(tokenise, window) for window in islice(waiting, 1))
            for source in ready:
                source.first, count = count, count + len(source.tokens)
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
