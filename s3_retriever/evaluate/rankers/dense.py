"""The ceiling of the codes: the same search over keys that were kept dense."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.codec import Bank
from s3_retriever.reading.keys import key_blocks
from s3_retriever.searching.attention import AttentionScorer, logits_at
from s3_retriever.searching.candidate_attention import CandidateAttention
from s3_retriever.searching.meaning import MeaningScorer
from s3_retriever.searching.places import AttentionDocumentScorer, AttentionPlaceScorer
from s3_retriever.searching.sample import tokens_of
from s3_retriever.searching.sums import sentence_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Calibration
    from s3_retriever.config import ScanConfig
    from s3_retriever.documents import Document
    from s3_retriever.searching.attention import LogitsOf
    from s3_retriever.searching.scorer import IndexedText, Scorer

_SAMPLE = 20_000
_TAIL = 0.001


def dense_scorers(text: IndexedText, keys: Tensor) -> dict[str, Scorer]:
    """Attention with the logits of the keys themselves, ``scoring="dense"``, and their meaning.

    Args:
        text: What is searched; its codes are not read.
        keys: ``f16[T, N, d]``, calibrated.
    """
    calibration = text.bank.calibration

    def logits(queries: Tensor) -> Callable[[slice], Tensor]:
        return key_logits(calibration, queries, lambda tokens: keys[tokens].float())

    def of_sentences(sentences: np.ndarray) -> LogitsOf:
        own = keys[torch.from_numpy(tokens_of(text.passages.bounds, sentences)[0])].float()
        return lambda queries: key_logits(calibration, queries, own.__getitem__)

    scorers: dict[str, Scorer] = {
        "dense": AttentionScorer(text, logits),
        "dense of places": AttentionPlaceScorer(text, of_sentences),
        "dense of documents": AttentionDocumentScorer(text, of_sentences),
        "dense of leads": CandidateAttention(text, of_sentences, alone=True),
    }
    if (head := text.bank.sentences) is not None:
        sums = sentence_sums(text.passages.bounds, head, lambda tokens: keys[tokens].float())
        scorers["meaning"] = MeaningScorer(text, sums)
    return scorers


class PublishedBank(Bank):
    """A bank that encodes questions as arXiv 2601.17702 does: raw, as if they were keys."""

    def encode_queries(self, queries: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Encode raw queries with the encoder of the keys; see `Bank.encode_queries`."""
        mean = torch.einsum("nhd,th->ntd", queries, self.head_shares)
        codes = self.encode(mean, torch.float32)
        return [
            (
                codes.latents[:, self.slots(j)].int(),
                sae.dequantise(codes.values[:, self.slots(j)]),
            )
            for j, sae in enumerate(self.saes)
        ]


def published(bank: Bank) -> PublishedBank:
    """The same bank, with questions encoded as published."""
    return PublishedBank(**{f.name: getattr(bank, f.name) for f in fields(bank) if f.init})


def key_logits(
    calibration: Calibration, queries: Tensor, keys: Callable[[slice], Tensor]
) -> Callable[[slice], Tensor]:
    """Attention logits of a question, for `s3_retriever.searching.attention.shares_of`.

    Args:
        calibration: Of the model.
        queries: ``f32[n, H, d]`` of the question's tokens.
        keys: Gives calibrated keys ``f32[t, N, d]`` for a slice of t text tokens.

    Returns:
        Gives ``f32[t, H · n]`` for a slice of t text tokens.
    """
    y = calibration.queries(queries)
    return lambda tokens: logits_at(keys(tokens), y, calibration.tap_of_head)


def read_keys(
    backbone: Backbone,
    calibration: Calibration,
    documents: Sequence[Document],
    config: ScanConfig,
    progress: bool = False,
) -> Tensor:
    """Calibrated keys of all tokens of a corpus, in order: ``f16[T, N, d]`` on the CPU."""
    rows: dict[str, list[tuple[int, Tensor]]] = {document.id: [] for document in documents}
    for pieces, block in key_blocks(
        backbone, calibration.taps, documents, config, progress=progress
    ):
        keys, first = calibration.keys(block).half().cpu(), 0
        for piece in pieces:
            last = first + piece.stop - piece.start
            rows[piece.source.document.id].append((piece.start, keys[first:last]))
            first = last
    ordered = [sorted(parts, key=lambda part: part[0]) for parts in rows.values()]
    return torch.cat([keys for parts in ordered for _, keys in parts])


def four_bits(keys: Tensor) -> Tensor:
    """Round each channel to one of 16 even steps, and return what they stand for.

    The steps of a channel reach from its 0.1% to its 99.9% quantile; what lies beyond is clamped.

    Args:
        keys: ``f16[T, N, d]``.

    Returns:
        ``f16[T, N, d]``.
    """
    sample = keys[:: max(len(keys) // _SAMPLE, 1)].float().numpy()
    low, high = (torch.from_numpy(q) for q in np.quantile(sample, (_TAIL, 1 - _TAIL), axis=0))
    step = ((high - low) / 15).float().clamp_min(1e-9)
    steps = ((keys.float() - low.float()) / step).round().clamp(0, 15)
    return (low + step * steps).half()
