"""Fits the head that finds which words of a question name a document; no text is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from s3_retriever.codec.places import OUTPUTS, PlaceHead, parse_logits
from s3_retriever.fitting.named_questions import named_questions
from s3_retriever.reading.questions import head_queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone, Head, TokenizedText
    from s3_retriever.config import ScanConfig
    from s3_retriever.fitting.named_questions import NamedQuestion

_EPOCHS, _BATCH = 5, 32
_LEARNING_RATE, _DECAY = 3e-3, 0.7
_SHORTEST = 3


def fit_places(
    backbone: Backbone,
    heads: Sequence[Head],
    asked: Sequence[str],
    count: int,
    scan: ScanConfig,
    seed: int = 0,
) -> PlaceHead:
    """Fit a place head on questions made for it, a third of which name a document.

    Args:
        backbone: The model.
        heads: The H heads whose queries are read.
        asked: Questions that name no document, used beside those that are made up.
        count: Questions to make.
        scan: How questions are read.
        seed: Of what is made and of the order.
    """
    questions = named_questions(asked, count, seed)
    texts = [question.text for question in questions]
    queries = head_queries(backbone, heads, texts, scan)
    tokens = backbone.text.encode_batch(texts)
    pairs = [
        (rows.flatten(1), parse_of(question, places))
        for rows, question, places in zip(queries, questions, tokens, strict=True)
        if len(rows) >= _SHORTEST
    ]
    return _fit([rows for rows, _ in pairs], torch.tensor([parse for _, parse in pairs]), seed)


def parse_of(question: NamedQuestion, tokens: TokenizedText) -> int:
    """The number of a question's true parse; see `s3_retriever.codec.places.parse_logits`."""
    count = len(tokens.ids)
    inside = [
        bool(question.start <= start and end <= question.end)
        for start, end in zip(tokens.starts, tokens.ends, strict=True)
    ]
    members = sum(inside)
    if not 0 < members < count:
        return 0
    return members if inside[0] else count - 1 + count - members


def _fit(rows: Sequence[Tensor], parses: Tensor, seed: int) -> PlaceHead:
    """Least cross entropy of the parses, by Adam; rows are ``f32[n, H · d]``."""
    together = torch.cat([*rows])
    mean, spread = together.mean(0), together.std(0).mean()
    weight = torch.zeros(rows[0].shape[1], OUTPUTS, requires_grad=True)
    bias = torch.zeros(OUTPUTS + 1, requires_grad=True)
    adam = torch.optim.AdamW([weight, bias], lr=_LEARNING_RATE, weight_decay=1e-4)
    decay = torch.optim.lr_scheduler.ExponentialLR(adam, _DECAY)
    order = torch.Generator().manual_seed(seed)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(rows), generator=order).split(_BATCH):  # type: ignore[no-untyped-call]
            chosen = [(rows[n] - mean) / spread for n in batch.tolist()]
            outputs = pad_sequence(chosen, batch_first=True) @ weight + bias[:OUTPUTS]
            found = parse_logits(outputs, bias[OUTPUTS], [*map(len, chosen)])
            logits = pad_sequence(found, batch_first=True, padding_value=-torch.inf)
            loss = torch.nn.functional.cross_entropy(logits, parses[batch])
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
        decay.step()
    folded = weight.detach() / spread
    whole = bias.detach().clone()
    whole[:OUTPUTS] -= mean @ folded
    return PlaceHead(folded, whole)
