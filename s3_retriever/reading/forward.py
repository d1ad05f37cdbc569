"""The one loop that reads documents through the model: batches in, what is made of keys out."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, nullcontext
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch

from s3_retriever.reading.batches import Batches
from s3_retriever.reading.chunks import layout_of, sources
from s3_retriever.reading.memory import fitting_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from s3_retriever.backbone import Backbone, Tap
    from s3_retriever.config import ScanConfig
    from s3_retriever.documents import Document
    from s3_retriever.reading.batches import Batch
    from s3_retriever.reading.chunks import Layout, Source
    from s3_retriever.reading.clock import ScanClock

T = TypeVar("T")


class KeyReader(Generic[T]):
    """Reads documents batch by batch, within the memory there is.

    Where `ScanConfig.max_memory` is set and the model is on CUDA, what a batch takes is measured
    and the batch chosen to fit; where memory runs out all the same, the batch is halved.

    Args:
        backbone: The model.
        taps: N places where keys are read.
        make: Makes something of the keys of a batch, ``[R, N, d]`` on the device of the model and
            in its dtype; what it takes of the accelerator's memory counts as the batch's.
        config: Sizes of chunks and batches.
        clock: Times the stages ``tokenise`` and ``forward``, and counts.

    Attributes:
        batch_tokens: Most tokens of a batch, padding included.

    Raises:
        InputError: a setting that leaves no room for text.
    """

    def __init__(
        self,
        backbone: Backbone,
        taps: Sequence[Tap],
        make: Callable[[torch.Tensor], T],
        config: ScanConfig,
        clock: ScanClock,
    ) -> None:
        self._backbone, self._taps, self._make, self._clock = backbone, taps, make, clock
        if config.max_memory is not None and backbone.device.type == "cuda":
            tokens = self._probe(config.max_memory, layout_of(backbone, config))
            config = config.replace(batch_tokens=tokens)
        self._layout = layout_of(backbone, config)
        self.batch_tokens = config.batch_tokens

    def _probe(self, limit: int, layout: Layout) -> int:
        row = np.zeros((1, layout.width), dtype=np.int64)

        def forward(rows: int) -> None:
            self._read(np.repeat(row, rows, axis=0), np.arange(rows * layout.width))

        return fitting_tokens(limit, layout.width, forward, self._backbone.device)

    def _read(self, input_ids: np.ndarray, keep: np.ndarray) -> T:
        with self._current_device(), torch.inference_mode():
            with self._clock.stage("forward"), self._backbone.tap(self._taps) as reader:
                keys = reader.keys(self._send(input_ids)).flatten(0, 1)[self._send(keep)]
            return self._make(keys)

    def _current_device(self) -> AbstractContextManager[Any]:
        """Make the model's device the current one, whose stream events are recorded in."""
        device = self._backbone.device
        return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

    def _send(self, array: np.ndarray) -> torch.Tensor:
        host = torch.from_numpy(array)
        if self._backbone.device.type == "cuda":
            host = host.pin_memory()
        return host.to(self._backbone.device, non_blocking=True)

    def read(
        self, documents: Iterable[Document], opened: Callable[[list[Source]], None] | None = None
    ) -> Iterator[tuple[Batch, T]]:
        """Read documents, longest rows of a window first.

        Args:
            documents: Texts, of any number and length; they may come one by one.
            opened: Is told of each window of documents before its first batch.

        Yields:
            Each batch, and what was made of the keys of its pieces' own tokens, end to end.

        Raises:
            InputError: one chunk does not fit the accelerator's memory.
        """
        windows = sources(
            self._backbone.text,
            documents,
            batch_tokens=self.batch_tokens,
            clock=self._clock,
        )
        with closing(windows):
            told = windows if opened is None else _telling(windows, opened)
            batches = Batches(told, self._layout, self.batch_tokens)
            for batch in batches:
                try:
                    made = self._read(batch.input_ids, batch.keep)
                except torch.OutOfMemoryError:
                    batches.put_back(batch)
                    if torch.cuda.is_available():
                        torch.cuda.empty_cache()
                    continue
                self._clock.count(
                    tokens=len(batch.keep), read_tokens=batch.input_ids.size, batches=1
                )
                yield batch, made


def _telling(
    windows: Iterator[list[Source]], opened: Callable[[list[Source]], None]
) -> Iterator[list[Source]]:
    for window in windows:
        opened(window)
        yield window
