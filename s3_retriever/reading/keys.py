"""Keys of a stream of text at chosen taps, read exactly as a scan reads them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import torch
from tqdm.auto import tqdm

from s3_retriever.reading.chunks import cut, layout_of, sources, take_batch
from s3_retriever.reading.clock import ScanClock

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
        config: Sizes of chunks and batches.
        progress: Show a bar over characters on standard error.
        label: Of the bar.

    Yields:
        The pieces of the rows, and their tokens' keys end to end, ``[R, N, d]`` on the device of
        the model. Blocks do not come in the order of the text.
    """
    layout, clock = layout_of(backbone, config), ScanClock(backbone.device)
    windows = sources(backbone.text, documents, batch_tokens=config.batch_tokens, clock=clock)
    total = sum(len(document.text) for document in documents)
    with tqdm(total=total, desc=label, unit="char", unit_scale=True, disable=not progress) as bar:
        for window in windows:
            pieces = [piece for source in window for piece in cut(source, layout)]
            waiting = deque(sorted(pieces, key=lambda piece: piece.context - piece.stop))
            while waiting:
                batch = take_batch(waiting, layout, config.batch_tokens)
                with backbone.tap(taps) as reader:
                    ids = torch.from_numpy(batch.input_ids).to(backbone.device)
                    keys = reader.keys(ids).flatten(0, 1)
                yield batch.pieces, keys[torch.from_numpy(batch.keep).to(keys.device)]
            bar.update(sum(len(source.document.text) for source in window))
