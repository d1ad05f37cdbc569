"""Keys of a stream of text at chosen taps, read exactly as a scan reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.reading.clock import ScanClock
from s3_retriever.reading.forward import KeyReader
from s3_retriever.reading.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from s3_retriever.backbone import Backbone, Tap
    from s3_retriever.config import ScanConfig
    from s3_retriever.documents import Document
    from s3_retriever.reading.chunks import Piece


def key_blocks(
    backbone: Backbone,
    taps: Sequence[Tap],
    documents: Sequence[Document],
    config: ScanConfig,
    *,
    progress: bool = False,
    label: str = "Reading keys",
) -> Iterator[tuple[tuple[Piece, ...], Tensor]]:
    """Read documents and yield raw keys, one block for each forward pass.

    Args:
        backbone: The model.
        taps: N places.
        documents: Texts, of any number and length.
        config: Sizes of chunks and batches, and the accelerator's memory.
        progress: Show a bar over characters on standard error.
        label: Of the bar.

    Yields:
        The pieces of the rows, and their tokens' keys end to end, ``[R, N, d]`` on the device of
        the model. Blocks do not come in the order of the text.

    Raises:
        InputError: a setting that leaves no room for text, or one chunk that does not fit the
            accelerator's memory.
    """
    clock = ScanClock(backbone.device)
    reader = KeyReader(backbone, taps, lambda keys: keys, config, clock)
    with Progress(documents, progress, clock, label) as bar:
        for batch, keys in reader.read(documents):
            yield batch.pieces, keys
            bar.passed(batch.pieces)
