"""Streams documents through the model: chunks, batches, keys, codes, host memory."""

from __future__ import annotations

from collections import deque
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from s3_retriever.codec import Codes, TokenCodes, check_finite
from s3_retriever.config import ScanConfig
from s3_retriever.reading.clock import ScanClock, cuda_event
from s3_retriever.reading.forward import KeyReader
from s3_retriever.reading.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.documents import Document
    from s3_retriever.reading.batches import Batch
    from s3_retriever.reading.chunks import Source

_MAX_PENDING = 3
"""Batches whose codes may be on their way to the host."""


def scan(
    backbone: Backbone,
    bank: Bank,
    documents: Iterable[Document],
    config: ScanConfig | None = None,
    progress: bool = False,
    *,
    clock: ScanClock | None = None,
    expected: int | None = None,
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
        documents: Texts; each is tokenised whole. They may come one by one, and are let go when
            their codes have been yielded.
        config: Sizes; a chunk that does not fit the model's positions or `batch_tokens` is made
            smaller. `max_memory` has an effect on CUDA alone.
        progress: Show a bar on standard error.
        clock: Gathers a `ScanReport`; see `ScanClock.report`.
        expected: How many documents come, where they come one by one and somebody knows; for the
            bar.

    Yields:
        Each document with its `TokenCodes`.

    Raises:
        InputError: a setting that leaves no room for text, or one chunk that does not fit the
            accelerator's memory.
    """
    groups = scan_groups(
        backbone, bank, documents, config, progress, clock=clock, expected=expected
    )
    with closing(groups):
        for group in groups:
            yield from group


def scan_groups(
    backbone: Backbone,
    bank: Bank,
    documents: Iterable[Document],
    config: ScanConfig | None = None,
    progress: bool = False,
    *,
    clock: ScanClock | None = None,
    expected: int | None = None,
) -> Generator[list[tuple[Document, TokenCodes]], None, None]:
    """Do as `scan`, and yield together what comes at the same time.

    Yields:
        Documents with their codes, in input order; where rows of like length are read together,
        many are complete at once.
    """
    clock = clock or ScanClock(backbone.device)

    def encode(keys: torch.Tensor) -> torch.Tensor:
        with clock.stage("encode"):
            return _pack(bank.encode(keys))

    reader = KeyReader(backbone, bank.calibration.taps, encode, config or ScanConfig(), clock)
    unfinished: deque[Source] = deque()
    pending: deque[_PendingBatch] = deque()

    def collect() -> list[tuple[Document, TokenCodes]]:
        batch = pending.popleft()
        batch.collect(bank)
        clock.settle()
        bar.passed(batch.batch.pieces)
        return finished()

    def finished() -> list[tuple[Document, TokenCodes]]:
        group = list(_finished(unfinished, bank))
        bar.finished(len(group))
        return group

    with Progress(documents, progress, clock, "Scanning", expected) as bar:
        for batch, codes in reader.read(documents, unfinished.extend):
            pending.append(_submit(batch, codes, clock))
            if len(pending) >= _MAX_PENDING:
                yield collect()
        while pending:
            yield collect()
        yield finished()


@dataclass(frozen=True, slots=True)
class _PendingBatch:
    """A batch whose codes are on their way to the host."""

    batch: Batch
    codes: torch.Tensor  # uint8[...] on the host, as `_pack` has it
    ready: Any  # the CUDA event after the copy, or None

    def collect(self, bank: Bank) -> None:
        """Wait for the copy and hand the codes to their sources."""
        if self.ready is not None:
            self.ready.synchronize()
        parts = _unpack(self.codes, len(self.batch.keep), bank.width)
        first = 0
        for piece in self.batch.pieces:
            last = first + piece.stop - piece.start
            piece.source.put(piece, [part[first:last] for part in parts])
            first = last


def _submit(batch: Batch, codes: torch.Tensor, clock: ScanClock) -> _PendingBatch:
    """Start the one copy of a batch's codes to the host."""
    with clock.stage("transfer"):
        if not codes.is_cuda:
            return _PendingBatch(batch, codes, None)
        host = torch.empty(codes.shape, dtype=codes.dtype, pin_memory=True)
        host.copy_(codes, non_blocking=True)
    with torch.cuda.device(codes.device):
        ready = cuda_event()
        ready.record()
    return _PendingBatch(batch, host, ready)


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


def _finished(unfinished: deque[Source], bank: Bank) -> Iterator[tuple[Document, TokenCodes]]:
    """Take from the front the sources whose codes are complete."""
    while unfinished and not unfinished[0].missing:
        source = unfinished.popleft()
        latents, values, residual = source.codes or _no_codes(bank)
        starts, ends = source.tokens.starts, source.tokens.ends
        yield source.document, TokenCodes(latents, values, residual, starts, ends)


def _no_codes(bank: Bank) -> tuple[np.ndarray, ...]:
    """The codes of a text that has no token."""
    shapes = ((bank.width, np.uint16), (bank.width, np.uint8), (bank.residual_width, np.uint8))
    return tuple(np.empty((0, width), dtype) for width, dtype in shapes)
