"""Questions through the model: the queries that their own tokens ask with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from s3_retriever.reading.chunks import lead_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_retriever.backbone import Backbone, Head
    from s3_retriever.codec import Bank
    from s3_retriever.config import ScanConfig


@dataclass(frozen=True, slots=True)
class QuestionQueries:
    """A question as the model asks it.

    Attributes:
        queries: ``f32[n, H, d]`` on the CPU, of the question's own n tokens, before rotary
            embedding.
    """

    queries: Tensor


def read_questions(
    backbone: Backbone, bank: Bank, questions: Sequence[str], config: ScanConfig
) -> list[QuestionQueries]:
    """Read questions behind BOS and the preamble, in batches of `ScanConfig.batch_tokens`.

    Args:
        backbone: The model.
        bank: Says which heads to read.
        questions: Each of at least one token and at most the model's window.
        config: The preamble and the size of a batch.

    Returns:
        One entry for each question, in order.
    """
    heads = bank.calibration.heads
    queries = head_queries(backbone, heads, questions, config)
    return [QuestionQueries(rows) for rows in queries]


def head_queries(
    backbone: Backbone, heads: Sequence[Head], questions: Sequence[str], config: ScanConfig
) -> list[Tensor]:
    """Return for each question ``f32[n, H, d]`` on the CPU; see `read_questions`."""
    lead = lead_ids(backbone.text, config.preamble)
    rows = [[int(token) for token in t.ids] for t in backbone.text.encode_batch(list(questions))]
    found: dict[int, Tensor] = {}
    for batch in _batches(rows, len(lead), config.batch_tokens):
        longest = max(len(rows[number]) for number in batch)
        kept = lead[: max(backbone.spec.max_positions - longest, 0)]
        ids = torch.zeros(len(batch), len(kept) + longest, dtype=torch.long)
        for place, number in enumerate(batch):
            row = [*kept, *rows[number]]
            ids[place, : len(row)] = torch.tensor(row)
        with backbone.tap((), heads) as reader:
            queries = reader.queries(ids.to(backbone.device)).float().cpu()
        for place, number in enumerate(batch):
            found[number] = queries[place, len(kept) : len(kept) + len(rows[number])]
    return [found[number] for number in range(len(rows))]


def _batches(rows: Sequence[Sequence[int]], lead: int, most_tokens: int) -> Iterator[list[int]]:
    """Numbers of the rows, longest first, as many together as fit."""
    order = sorted(range(len(rows)), key=lambda number: -len(rows[number]))
    while order:
        size = max(most_tokens // (lead + len(rows[order[0]])), 1)
        yield order[:size]
        order = order[size:]
