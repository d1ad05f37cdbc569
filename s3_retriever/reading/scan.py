"""Streams documents through the model: chunks, batches, keys, codes, host memory."""

from __future__ import annotations

from collections import deque
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from tqdm.auto import tqdm

from s3_retriever.codec import Codes, TokenCodes, check_finite
from s3_retriever.config import ScanConfig
from s3_retriever.errors import InputError
from s3_retriever.reading.chunks import (
    Batch,
    Layout,
    Piece,
    Source,
    cut,
    layout_of,
    numbers,
    sources,
    take_batch,
)
from s3_retriever.reading.clock import ScanClock, cuda_event
from s3_retriever.reading.memory import fitting_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.documents import Document
    from s3_retriever.searching.postings import PostingsBuilder

_IN_FLIGHT = 3


@dataclass(frozen=True, slots=True)
class _Flight:
    """A batch whose codes are on their way to the host."""

    batch: Batch
    codes: torch.Tensor  # uint8[...] on the host, as `_pack` has it
    slots: int
    landed: Any  # the CUDA event after the copy, or None

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return self.batch.pieces

    def land(self, postings: PostingsBuilder | None) -> None:
        """Wait for the copy and hand the codes to their sources and to the inverted index."""
        if self.landed is not None:
            self.landed.synchronize()
        parts = _unpack(self.codes, len(self.batch.keep), self.slots)
        if postings is not None:
            postings.put(*parts[:2], numbers(self.pieces))
        first = 0
        for piece in self.pieces:
            last = first + piece.stop - piece.start
            piece.source.put(piece, [part[first:last] for part in parts])
            first = last


def _pack(codes: Codes) -> torch.Tensor:
    """Lay codes end to end, the finite flag last, so that one copy takes them all."""
    latents = codes.latents.contiguous().view(torch.uint8)
    finite = codes.finite.to(torch.uint8).reshape(1)
    return torch.cat((latents.flatten(), codes.values.flatten(), codes.residual.flatten(), finite))


def _unpack(
    packed: torch.Tensor, tokens: int, slots: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Undo `_pack` on the host: uint16 and uint8[tokens, slots], and uint8[tokens, W]."""
    check_finite(packed[-1])
    codes, size = packed[:-1].numpy(), tokens * slots
    latents, values, residual = np.split(codes, (2 * size, 3 * size))
    parts = latents.view(np.uint16), values, residual
    latents, values, residual = (part.reshape(tokens, -1) for part in parts)
    return latents, values, residual


class _Scanner:
    """Runs batches and shrinks them when the accelerator's memory is short."""

    def __init__(
        self,
        backbone: Backbone,
        bank: Bank,
        config: ScanConfig,
        clock: ScanClock,
        postings: PostingsBuilder | None,
    ) -> None:
        self.backbone = backbone
        self.bank = bank
        self.taps = bank.calibration.taps
        self.clock = clock
        self.postings = postings
        limit = config.max_memory
        if limit is not None and backbone.device.type == "cuda":
            config = config.replace(batch_tokens=self._probe(limit, layout_of(backbone, config)))
        self.layout: Layout = layout_of(backbone, config)
        self.batch_tokens = config.batch_tokens

    def _probe(self, limit: int, layout: Layout) -> int:
        row = np.zeros((1, layout.width), dtype=np.int64)

        def forward(rows: int) -> None:
            keep = np.arange(rows * layout.width)
            with self._current_device():
                self._encode(Batch((), np.repeat(row, rows, axis=0), keep))

        return fitting_tokens(limit, layout.width, forward, self.backbone.device)

    def _encode(self, batch: Batch) -> torch.Tensor:
        """One forward pass and one encoding: codes on the device, as `_pack` has them."""
        with torch.inference_mode():
            with self.clock.stage("forward"), self.backbone.tap(self.taps) as reader:
                keys = reader.keys(self._send(batch.input_ids))
                keys = keys.flatten(0, 1)[self._send(batch.keep)]
            with self.clock.stage("encode"):
                return _pack(self.bank.encode(keys))

    def _current_device(self) -> AbstractContextManager[Any]:
        """Make the model's device the current one, whose stream events are recorded in."""
        device = self.backbone.device
        return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

    def _send(self, array: np.ndarray) -> torch.Tensor:
        host = torch.from_numpy(array)
        if self.backbone.device.type == "cuda":
            host = host.pin_memory()
        return host.to(self.backbone.device, non_blocking=True)

    def launch(self, batch: Batch) -> _Flight:
        """Read and encode a batch, and start the one copy of its codes to the host."""
        with self._current_device():
            return self._launch(batch)

    def _launch(self, batch: Batch) -> _Flight:
        codes = self._encode(batch)
        self.clock.count(tokens=len(batch.keep), read_tokens=batch.input_ids.size, batches=1)
        with self.clock.stage("transfer"):
            if codes.device.type != "cuda":
                return _Flight(batch, codes.cpu(), self.bank.width, None)
            host = torch.empty(codes.shape, dtype=codes.dtype, pin_memory=True)
            host.copy_(codes, non_blocking=True)
        landed = cuda_event()
        landed.record()
        return _Flight(batch, host, self.bank.width, landed)

    def try_launch(self, batch: Batch) -> _Flight | None:
        """Launch a batch; where memory runs out, halve `batch_tokens` and return None.

        Raises:
            InputError: a single row does not fit either.
        """
        try:
            return self.launch(batch)
        except torch.OutOfMemoryError as error:
            rows, width = batch.input_ids.shape
            if rows == 1:
                raise InputError(
                    f"the accelerator's memory does not hold one chunk of {width} tokens; "
                    f"set ScanConfig(chunk_tokens=...) below {self.layout.chunk}"
                ) from error
            self.batch_tokens = (rows // 2) * width
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None

    def run(self, pieces: deque[Piece]) -> Iterator[_Flight]:
        """Launch all pieces of a window, longest first."""
        while pieces:
            batch = take_batch(pieces, self.layout, self.batch_tokens)
            flight = self.try_launch(batch)
            if flight is None:
                pieces.extendleft(reversed(batch.pieces))
            else:
                yield flight


class _Progress:
    """A bar over characters that also tells tokens per second."""

    def __init__(self, documents: Sequence[Document], shown: bool, clock: ScanClock) -> None:
        total = sum(len(document.text) for document in documents)
        self._clock = clock
        self._bar: Any = tqdm(
            total=total, desc="Scanning", unit="char", unit_scale=True, disable=not shown
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

    def landed(self, flight: _Flight) -> None:
        """Move the bar past the characters of a batch."""
        starts_ends = ((p.source.tokens, p.start, p.stop) for p in flight.pieces)
        characters = sum(int(t.ends[stop - 1] - t.starts[start]) for t, start, stop in starts_ends)
        if not self._bar.disable:
            rate = f"{self._clock.report().tokens_per_second:,.0f} tokens/s"
            self._bar.set_postfix_str(rate, refresh=False)
            self._bar.update(characters)


def scan(
    backbone: Backbone,
    bank: Bank,
    documents: Sequence[Document],
    config: ScanConfig | None = None,
    progress: bool = False,
    *,
    clock: ScanClock | None = None,
    postings: PostingsBuilder | None = None,
) -> Iterator[tuple[Document, TokenCodes]]:
    """Read documents through the model and yield their codes, in input order.

    Every chunk is read behind BOS (where the model has one), the preamble and, after a document's
    first chunk, `overlap_tokens` of what comes before; the keys of all three are dropped. Rows
    never hold more than one document, and padding stands on the right, where a causal model does
    not see it: the codes of a document do not depend on its neighbours. What is on the
    accelerator at any time is a few batches, however long the text; a bounded window of documents
    is open on the host.

    The lock of the backbone is held for one batch at a time, and the model is as it was found
    between batches.

    Args:
        backbone: Source of keys.
        bank: SAEs for this model.
        documents: Texts; each is tokenised whole.
        config: Sizes; a chunk that does not fit the model's positions or `batch_tokens` is made
            smaller. `max_memory` has an effect on CUDA alone.
        progress: Show a bar on standard error.
        clock: Gathers a `ScanReport`; see `ScanClock.report`.
        postings: Inverts the codes while the next batches run; a token's number counts from the
            first document's first.

    Yields:
        Each document with its `TokenCodes`.

    Raises:
        InputError: a setting that leaves no room for text, or one chunk that does not fit the
            accelerator's memory.
    """
    clock = clock or ScanClock(backbone.device)
    scanner = _Scanner(backbone, bank, config or ScanConfig(), clock, postings)
    windows = sources(
        backbone.text,
        documents,
        batch_tokens=scanner.batch_tokens,
        clock=clock,
    )
    unfinished: deque[Source] = deque()
    with closing(windows), _Progress(documents, progress, clock) as bar:
        for flight in _landed(scanner, windows, unfinished):
            bar.landed(flight)
            yield from _finished(unfinished, bank)
    yield from _finished(unfinished, bank)


def _landed(
    scanner: _Scanner, windows: Iterator[list[Source]], unfinished: deque[Source]
) -> Iterator[_Flight]:
    """Keep a few batches in flight and yield each when its codes have landed."""
    flights: deque[_Flight] = deque()
    for window in windows:
        unfinished.extend(window)
        pieces = [piece for source in window for piece in cut(source, scanner.layout)]
        pieces.sort(key=lambda piece: piece.context - piece.stop)
        for flight in scanner.run(deque(pieces)):
            flights.append(flight)
            if len(flights) >= _IN_FLIGHT:
                yield _land(flights.popleft(), scanner)
    while flights:
        yield _land(flights.popleft(), scanner)


def _land(flight: _Flight, scanner: _Scanner) -> _Flight:
    flight.land(scanner.postings)
    scanner.clock.settle()
    return flight


def _finished(unfinished: deque[Source], bank: Bank) -> Iterator[tuple[Document, TokenCodes]]:
    """Take from the front the sources whose codes are complete."""
    while unfinished and not unfinished[0].missing:
        source = unfinished.popleft()
        latents, values, residual = source.codes or _no_codes(bank)
        starts, ends = source.tokens.starts, source.tokens.ends
        yield source.document, TokenCodes(latents, values, residual, starts, ends)


def _no_codes(bank: Bank) -> tuple[np.ndarray, ...]:
    """Of a text that has no token."""
    shapes = ((bank.width, np.uint16), (bank.width, np.uint8), (bank.residual_width, np.uint8))
    return tuple(np.empty((0, width), dtype) for width, dtype in shapes)
