"""Calibration: which heads find evidence, with which weights, and the whitening of their keys.

Heads are ranked by how well their calibrated attention alone finds the evidence of labelled
questions; sparse weights, at least 0, are fitted with a listwise loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus
from tqdm.auto import tqdm

from s3_retriever.backbone import Head, Tap
from s3_retriever.codec import Calibration
from s3_retriever.config import Config, ScanConfig
from s3_retriever.errors import InputError
from s3_retriever.fitting.depth import DEFAULT, SHARES
from s3_retriever.fitting.places import fit_places
from s3_retriever.labelled.sets import builtin_sets
from s3_retriever.reading.keys import key_blocks
from s3_retriever.reading.questions import head_queries
from s3_retriever.searching.attention import softmax_peaks
from s3_retriever.searching.fusion import standardise
from s3_retriever.searching.passages import cut_passages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.backbone.spec import ModelSpec
    from s3_retriever.codec.places import PlaceHead
    from s3_retriever.labelled.sets import LabelledSet
    from s3_retriever.searching.passages import Passages

_STEPS = 250
_LEARNING_RATE = 0.05
_RIDGE = 1e-2

_REACH, _POWER = 200.0, 2.5
"""The smoothing with which the shipped bank was calibrated, see
`s3_retriever.searching.passages.Passages.smooth`; another chooses other heads."""


class CalibrateConfig(Config):
    """How heads are chosen.

    Attributes:
        depth: Share of the layers that may be read; the scan ends at the deepest one chosen, so
            this is the user's trade between cost and quality.
        heads: At most so many heads are kept.
        l1: Penalty on the sum of the weights.
        place_questions: On how many made-up questions the head is fitted that finds the words that
            name a document, see `s3_retriever.fitting.places`; 0 for none.
        scan: How text is read.
    """

    depth: float = Field(default=SHARES[DEFAULT], gt=0, le=1)
    heads: int = Field(default=6, ge=1)
    l1: float = Field(default=0.01, ge=0)
    place_questions: int = Field(default=3000, ge=0)
    scan: ScanConfig = ScanConfig()


def layers_in_reach(spec: ModelSpec, depth: float) -> list[int]:
    """Return the readable layers of the first share of a model, and at least the first one."""
    end = max(ceil(spec.layers * depth), spec.readable[0] + 1)
    return [layer for layer in spec.readable if layer < end]


@dataclass(frozen=True)
class _Reading:
    """One labelled set as the model reads it."""

    keys: Tensor  # f16[T, N, d]
    queries: list[Tensor]  # f32[n, H, d] of each question
    passages: Passages
    gold: Tensor  # f32[Q, A], rows sum to 1


def calibrate(
    backbone: Backbone,
    sets: Sequence[LabelledSet],
    config: CalibrateConfig | None = None,
    *,
    progress: bool = False,
) -> Calibration:
    """Choose heads for a model by labelled questions.

    Args:
        backbone: The model.
        sets: Each searched on its own; questions without evidence are left out.
        config: Depth and number of heads.
        progress: Show bars on standard error.

    Returns:
        The calibration: heads by falling weight, their taps, means and whitening, and the head
        that finds which words of a question name a document.

    Raises:
        InputError: no set, or one whose questions all lack evidence.
    """
    if not sets:
        raise InputError("calibration needs at least one set of labelled questions")
    for labelled in sets:
        if not any(question.evidence for question in labelled.questions):
            raise InputError(f"no question of {labelled.name} has evidence to learn from")
    config = config or CalibrateConfig()
    spec = backbone.spec
    layers = layers_in_reach(spec, config.depth)
    taps = [Tap(layer, head) for layer in layers for head in range(spec.kv_heads)]
    heads = [Head(layer, head) for layer in layers for head in range(spec.heads)]
    readings = [_read(backbone, taps, heads, labelled, config, progress) for labelled in sets]
    asked = torch.cat([rows for reading in readings for rows in reading.queries])
    mean = asked.mean(0)
    reads = [taps.index(spec.tap_of(head)) for head in heads]
    scores = [_scores(r, mean, reads, spec.scaling, progress) for r in readings]
    gold = [reading.gold for reading in readings]
    weights = fit_weights(scores, gold, config.l1)
    chosen = torch.argsort(weights, descending=True, stable=True)[: config.heads]
    weights = fit_weights([s[:, chosen] for s in scores], gold, config.l1)
    kept = weights > 0.05 * weights.max()
    chosen, weights = chosen[kept], weights[kept]
    kept_heads = [heads[h] for h in chosen.tolist()]
    calibration = _assemble(
        backbone,
        kept_heads,
        weights / weights.sum(),
        asked[:, chosen],
        _key_mean(readings, taps),
        {
            "questions": sum(len(reading.queries) for reading in readings),
            "sets": [labelled.name for labelled in sets],
            **config.model_dump(mode="json"),
        },
    )
    return calibration.replace(places=_places(backbone, kept_heads, config))


def _places(backbone: Backbone, heads: Sequence[Head], config: CalibrateConfig) -> PlaceHead | None:
    """Fit the head that finds names of documents; the package's own questions hold none."""
    if not config.place_questions:
        return None
    asked = [question.question for known in builtin_sets() for question in known.questions]
    return fit_places(backbone, heads, asked, config.place_questions, config.scan)


def _read(
    backbone: Backbone,
    taps: Sequence[Tap],
    heads: Sequence[Head],
    labelled: LabelledSet,
    config: CalibrateConfig,
    progress: bool,
) -> _Reading:
    rows: dict[str, Tensor] = {}
    ends: dict[str, np.ndarray] = {}
    stream = key_blocks(
        backbone,
        taps,
        labelled.documents,
        config.scan,
        progress=progress,
        label=f"Reading {labelled.name}",
    )
    for pieces, keys in stream:
        keys, first = keys.half().cpu(), 0
        for piece in pieces:
            id, tokens = piece.source.document.id, piece.source.tokens
            if id not in rows:
                rows[id] = torch.empty(len(tokens.ids), *keys.shape[1:], dtype=torch.half)
                ends[id] = tokens.ends
            last = first + piece.stop - piece.start
            rows[id][piece.start : piece.stop] = keys[first:last]
            first = last
    ids = [document.id for document in labelled.documents]
    passages = cut_passages(labelled.documents, [ends[id] for id in ids])
    questions = [question for question in labelled.questions if question.evidence]
    queries = head_queries(backbone, heads, [q.question for q in questions], config.scan)
    gold = torch.zeros(len(questions), len(passages))
    for row, question in zip(gold, questions, strict=True):
        for place in question.evidence:
            low = np.maximum(passages.start, place.start)
            shared = np.minimum(passages.end, place.end) - low
            here = passages.document == ids.index(place.document_id)
            row += torch.from_numpy(np.where(here, shared.clip(0), 0)).float()
    gold /= gold.sum(1, keepdim=True).clamp_min(1)
    return _Reading(torch.cat([rows[id] for id in ids]), queries, passages, gold)


def _scores(
    reading: _Reading, mean: Tensor, reads: Sequence[int], scaling: float, progress: bool
) -> Tensor:
    """Standardised score of each head alone, ``f32[Q, H, A]``."""
    count, heads = len(reading.queries), len(reads)
    scores = torch.zeros(count, heads, len(reading.passages))
    owner = torch.repeat_interleave(
        torch.arange(count), torch.tensor([len(rows) for rows in reading.queries])
    )
    together = torch.cat(reading.queries)
    for head in tqdm(range(heads), desc="Ranking heads", unit="head", disable=not progress):
        keys = reading.keys[:, reads[head]].float()
        queries = scaling * (together[:, head] - mean[head]).T
        scores[:, head] = _head_scores(keys, queries, owner, count, reading.passages)
    return scores


def _head_scores(
    keys: Tensor, queries: Tensor, owner: Tensor, count: int, passages: Passages
) -> Tensor:
    """Late interaction of one head for many questions at once, ``f32[count, A]``."""
    peaks = softmax_peaks(lambda tokens: keys[tokens] @ queries, queries.shape[1], passages.bounds)
    smooth = passages.smooth(peaks, _REACH, _POWER)
    total = torch.zeros(count, len(passages)).index_add_(0, owner, smooth.T.contiguous())
    return standardise(total.T).T


def fit_weights(scores: Sequence[Tensor], gold: Sequence[Tensor], l1: float) -> Tensor:
    """Fit weights of heads, at least 0, so that their weighted sum ranks evidence first.

    The loss is the cross entropy between the evidence and the softmax over sentences, plus an L1
    penalty; every set counts the same.

    Args:
        scores: ``f32[Q, H, A]`` for each set.
        gold: ``f32[Q, A]`` for each set, rows summing to 1.
        l1: Weight of the penalty.

    Returns:
        ``f32[H]``.
    """
    raw = torch.full((scores[0].shape[1],), -2.0, requires_grad=True)
    adam = torch.optim.Adam([raw], lr=_LEARNING_RATE)
    for _ in range(_STEPS):
        weights = softplus(raw)
        loss = l1 * weights.sum()
        for score, target in zip(scores, gold, strict=True):
            ranked = torch.log_softmax(torch.einsum("h,qha->qa", weights, score), dim=1)
            loss = loss - (target * ranked).sum(1).mean() / len(scores)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return softplus(raw).detach()


def _key_mean(readings: Sequence[_Reading], taps: Sequence[Tap]) -> dict[Tap, Tensor]:
    keys = sum(reading.keys.float().sum(0) for reading in readings)
    count = sum(len(reading.keys) for reading in readings)
    return {tap: keys[place] / count for place, tap in enumerate(taps)}  # type: ignore[index]


def _assemble(
    backbone: Backbone,
    heads: Sequence[Head],
    weights: Tensor,
    asked: Tensor,
    key_mean: dict[Tap, Tensor],
    metadata: dict[str, object],
) -> Calibration:
    """Whiten each KV head by its queries' covariance, scaled by the root of its heads' weight.

    With ``whiten = s · Σ_q^½`` and ``unwhiten = Σ_q^-½ / s``, the squared error of x in a joint
    site counts each tap by ``s²``, the share of its heads in the score.
    """
    spec = backbone.spec
    taps = tuple(sorted({spec.tap_of(head) for head in heads}))
    mean = asked.mean(0)
    whiten, unwhiten = [], []
    for tap in taps:
        mine = [h for h, head in enumerate(heads) if spec.tap_of(head) == tap]
        share = weights[mine]
        covariance = sum(  # weighted over the heads
            w / share.sum() * torch.cov((asked[:, h] - mean[h]).double().T)
            for h, w in zip(mine, share, strict=True)
        )
        root, inverse = _roots(covariance)
        loudness = float(share.sum()) ** 0.5
        whiten.append(loudness * root)
        unwhiten.append(inverse / loudness)
    return Calibration(
        taps=taps,
        heads=tuple(heads),
        group=spec.heads // spec.kv_heads,
        head_weights=weights,
        key_mean=torch.stack([key_mean[tap] for tap in taps]),
        query_mean=mean,
        whiten=torch.stack(whiten).float(),
        unwhiten=torch.stack(unwhiten).float(),
        scaling=spec.scaling,
        metadata=metadata,
    )


def _roots(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """``(Σ + εI)^½`` and its inverse, ε a hundredth of the mean variance."""
    size = len(covariance)
    ridge = _RIDGE * covariance.trace() / size + 1e-12
    values, vectors = torch.linalg.eigh(covariance + ridge * torch.eye(size, dtype=torch.double))
    root = values.clamp_min(1e-12).sqrt()
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
