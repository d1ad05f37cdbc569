"""Fits the head that finds which words of a question name a document; no text is searched."""

from __future__ import annotations

from math import ceil
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

_STEPS, _BATCH = 940, 32
_LEARNING_RATE, _LAST_RATE = 3e-3, 0.17
"""Of AdamW; the last epoch's rate is about this share of the first one's."""


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
    clauses = [
        true_clause(question, places) for question, places in zip(questions, tokens, strict=True)
    ]
    return fit_head([rows.flatten(1) for rows in queries], clauses, seed)


def true_clause(question: NamedQuestion, tokens: TokenizedText) -> slice:
    """The tokens that `PlaceHead.clause` should find: those that stand inside the clause."""
    count = len(tokens.ids)
    inside = [
        bool(question.start <= start and end <= question.end)
        for start, end in zip(tokens.starts, tokens.ends, strict=True)
    ]
    members = sum(inside)
    if not 0 < members < count:
        return slice(count, count)
    return slice(0, members) if inside[0] else slice(count - members, count)


def _parse(clause: slice, count: int) -> int:
    """Which of the parses of up to `count` tokens, by `s3_retriever.codec.places.parse_logits`."""
    if clause.start == clause.stop:
        return 0
    return int(clause.stop if clause.start == 0 else count - 1 + clause.start)


def fit_head(rows: Sequence[Tensor], clauses: Sequence[slice], seed: int = 0) -> PlaceHead:
    """Fit a place head by the cross entropy of the parses, with AdamW.

    Args:
        rows: ``f32[n, H · d]``, the queries of each question's n tokens.
        clauses: The true clause of each question, as of `true_clause`.
        seed: Of the order.
    """
    together = torch.cat([*rows])
    mean, spread = together.mean(0), together.std(0).mean()
    weight = torch.zeros(rows[0].shape[1], OUTPUTS, requires_grad=True)
    bias = torch.zeros(OUTPUTS + 1, requires_grad=True)
    adam = torch.optim.AdamW([weight, bias], lr=_LEARNING_RATE, weight_decay=1e-4)
    epochs = ceil(_STEPS * _BATCH / len(rows))
    decay = torch.optim.lr_scheduler.ExponentialLR(adam, _LAST_RATE ** (1 / epochs))
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for batch in torch.randperm(len(rows), generator=order).split(_BATCH):  # type: ignore[no-untyped-call]
            chosen = [(rows[n] - mean) / spread for n in batch.tolist()]
            outputs = pad_sequence(chosen, batch_first=True) @ weight + bias[:OUTPUTS]
            logits = parse_logits(outputs, bias[OUTPUTS], torch.tensor([*map(len, chosen)]))
            parses = [_parse(clauses[n], outputs.shape[1]) for n in batch.tolist()]
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(parses))
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
        decay.step()
    folded = weight.detach() / spread
    whole = bias.detach().clone()
    whole[:OUTPUTS] -= mean @ folded
    return PlaceHead(folded, whole)
