"""What reading through a model costs on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3_retriever.backbone import Backbone, Tap

_ROW, _RUNS = 256, 2


@dataclass(frozen=True, slots=True)
class ReadingCost:
    """A brief measurement; a scan batches its texts and is faster.

    Attributes:
        tokens: Tokens of the pass that was timed.
        seconds: Its wall-clock time, the better of two.
        key_bytes: Bytes of one token's keys at the taps, before they are coded.
        cache_bytes: Bytes of one token in the KV cache when the model answers.
        weight_bytes: Bytes of the model's weights.
    """

    tokens: int
    seconds: float
    key_bytes: int
    cache_bytes: int
    weight_bytes: int


def reading_cost(backbone: Backbone, taps: Sequence[Tap]) -> ReadingCost:
    """Read one row of random ids at some taps and time it.

    Raises:
        InputError: no taps, or one that cannot be read.
    """
    spec = backbone.spec
    length = min(_ROW, spec.max_positions)
    ids = torch.randint(3, max(backbone.text.max_id, 4), (1, length))
    with backbone.tap(taps) as reader:
        keys = reader.keys(ids)  # the first pass warms up
        seconds = min(_timed(lambda: reader.keys(ids).sum().item()) for _ in range(_RUNS))
    weights = {id(each): each for each in backbone.model.parameters()}
    return ReadingCost(
        tokens=length,
        seconds=seconds,
        key_bytes=keys[0, 0].nbytes,
        cache_bytes=spec.kv_bytes_per_token(keys.element_size()),
        weight_bytes=sum(each.numel() * each.element_size() for each in weights.values()),
    )


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
