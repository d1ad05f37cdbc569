"""Banks: the one that ships, those kept in the user's cache, and new ones."""

from __future__ import annotations

import random
import sys
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch
from tqdm.auto import tqdm

from s3_retriever.backbone import Tap, cache_folder
from s3_retriever.backbone.cache import CACHE_VARIABLE
from s3_retriever.codec import Bank, Calibration, fit_residual
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.errors import BankError
from s3_retriever.fitting.calibrate import CalibrateConfig, calibrate, layers_in_reach
from s3_retriever.fitting.depth import DEFAULT, SHARES
from s3_retriever.fitting.relevance import fit_relevance
from s3_retriever.fitting.sentences import fit_sentences
from s3_retriever.fitting.shipped import builtin_bank
from s3_retriever.fitting.teacher import default_teacher
from s3_retriever.fitting.training import TrainConfig, train_sae
from s3_retriever.labelled.sets import builtin_sets
from s3_retriever.reading.keys import key_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec.sentences import SentenceHead
    from s3_retriever.fitting.depth import Depth
    from s3_retriever.fitting.sentences import Teacher
    from s3_retriever.labelled import LabelledSet

AUTOMATIC_TOKENS = 150_000
"""Tokens that a bank made without asking is trained on."""

AUTOMATIC_TRAINING = TrainConfig(n_latents=4096, k=32, steps=600, batch_rows=2048)
"""How a bank made without asking is trained."""

Sites = Literal["joint", "layer"]
"""Which taps share an SAE: all of them, or those of a layer."""

_CHARACTERS_PER_TOKEN = 4
_PIECE = 8000
_RESIDUAL_ROWS = 16_384
_SENTENCE_TOKENS = 500_000
"""About as many tokens of the training text, at most, are read again for a sentence head."""


def bank_for(
    backbone: Backbone, documents: Iterable[Document], progress: bool, depth: Depth = DEFAULT
) -> Bank:
    """Return the bank for a model: shipped, cached, or made now and kept in the cache.

    Args:
        backbone: The model.
        documents: What a new bank is trained on, with the package's own texts beside them; looked
            at only then.
        progress: Show bars on standard error.
        depth: How far the model reads.

    Raises:
        BankError: a cached bank is damaged; the message says which folder to delete.
    """
    bank = bank_at_hand(backbone, depth)
    if bank is not None:
        return bank
    folder = cached_folder(backbone, depth)
    if progress:
        line = (
            f"No bank ships for this model: one is made and kept in {folder}, which takes minutes"
        )
        tqdm.write(line, file=sys.stderr)
    reach = CalibrateConfig(depth=SHARES[depth])
    calibration = calibrate(backbone, builtin_sets(), reach, progress=progress)
    texts = _some([*(document.text for document in documents), *_at_hand()], AUTOMATIC_TOKENS)
    bank = make_bank(
        backbone,
        calibration,
        texts,
        AUTOMATIC_TRAINING,
        teacher=default_teacher(progress),
        judged=builtin_sets(),
        progress=progress,
    )
    _keep(bank, folder)
    return bank


def bank_at_hand(backbone: Backbone, depth: Depth = DEFAULT) -> Bank | None:
    """Return the bank of a depth for a model that is shipped or cached, or None.

    Raises:
        BankError: a cached bank is damaged; the message says which folder to delete.
    """
    bank = builtin_bank(backbone, depth)
    if bank is not None:
        return bank
    folder = cached_folder(backbone, depth)
    if not (folder / "bank.json").is_file():  # the last file of a bank that was saved whole
        return None
    try:
        return Bank.load(folder)
    except BankError as error:
        raise BankError(f"{error}; delete {folder} to have it made anew") from error


def taps_at_hand(backbone: Backbone, depth: Depth = DEFAULT) -> tuple[list[Tap], bool]:
    """Where a model's keys are read: by its bank, or, without one, all that calibration tries.

    Returns:
        The taps, and whether they come from a bank.
    """
    bank = bank_at_hand(backbone, depth)
    if bank is not None:
        return list(bank.calibration.taps), True
    layers = layers_in_reach(backbone.spec, SHARES[depth])
    heads = range(backbone.spec.kv_heads)
    return [Tap(layer, head) for layer in layers for head in heads], False


def _keep(bank: Bank, folder: Path) -> None:
    """Save a bank in the cache; where that fails, the work that made it is not thrown away."""
    try:
        bank.save(folder)
    except BankError as error:
        warnings.warn(
            f"the bank made for this model serves now but is not kept for the next time ({error}); "
            f"set {CACHE_VARIABLE} to a folder with room to write",
            stacklevel=2,
        )


def cached_folder(backbone: Backbone, depth: Depth = DEFAULT) -> Path:
    """Where a bank made for a model is kept: the user's cache, by the model's fingerprint."""
    last = Tap(backbone.spec.readable[-1], 0)
    name = backbone.fingerprint([last])[:32]
    return cache_folder() / "banks" / (name if depth == DEFAULT else f"{name}-{depth}")


def make_bank(
    backbone: Backbone,
    calibration: Calibration,
    documents: Sequence[Document],
    config: TrainConfig | None = None,
    *,
    scan: ScanConfig | None = None,
    sites: Sites = "joint",
    teacher: Teacher | None = None,
    judged: Sequence[LabelledSet] = (),
    progress: bool = False,
) -> Bank:
    """Train the SAEs of a bank on text, by default one over all calibrated taps together.

    In a joint SAE the keys of one token at several heads share latents, which halves the bytes a
    token needs for the same error.

    Args:
        backbone: The model.
        calibration: Of this model.
        documents: Training text.
        config: Of each SAE.
        scan: How the text is read.
        sites: ``"joint"`` for one SAE over all taps, ``"layer"`` for one for the taps of each
            layer, the arrangement of arXiv 2601.17702.
        teacher: From whose vectors a sentence head is fitted; None for a bank without one.
        judged: Labelled questions on which a relevance head is fitted; none for a bank without one.
        progress: Show bars on standard error.
    """
    config, scan = config or TrainConfig(), scan or ScanConfig()
    rows = calibrated_rows(backbone, calibration, documents, scan, progress)
    bank = train_bank(backbone, calibration, rows, config, sites=sites, progress=progress)
    if teacher is not None:
        head = _sentence_head(backbone, bank, documents, teacher, scan, progress)
        bank = replace(bank, sentences=head)
    if not judged:
        return bank
    return replace(bank, relevance=fit_relevance(backbone, bank, judged, progress=progress))


def _sentence_head(
    backbone: Backbone,
    bank: Bank,
    documents: Sequence[Document],
    teacher: Teacher,
    scan: ScanConfig,
    progress: bool,
) -> SentenceHead:
    some = _some([document.text for document in documents], _SENTENCE_TOKENS)
    asked = [question.question for part in builtin_sets() for question in part.questions]
    return fit_sentences(backbone, bank, some, asked, teacher, scan=scan, progress=progress)


def calibrated_rows(
    backbone: Backbone,
    calibration: Calibration,
    documents: Sequence[Document],
    scan: ScanConfig,
    progress: bool,
) -> Tensor:
    """Calibrated keys of all taps end to end, ``f16[T, N · d]`` on the CPU."""
    blocks = [
        calibration.keys(keys).flatten(1).half().cpu()
        for _, keys in key_blocks(backbone, calibration.taps, documents, scan, progress=progress)
    ]
    return torch.cat(blocks)


def train_bank(
    backbone: Backbone,
    calibration: Calibration,
    rows: Tensor,
    config: TrainConfig,
    *,
    sites: Sites = "joint",
    progress: bool = False,
) -> Bank:
    """Train SAEs on calibrated rows ``f16[T, N · d]``; see `make_bank`."""
    config = config.replace(k=min(config.k, len(rows)))
    sample = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(config.seed))]
    sample = sample[:_RESIDUAL_ROWS].float()
    left, variance = torch.empty_like(sample), (sample - sample.mean(0)).square().sum(0)
    saes, unexplained, dead = [], 0.0, 0.0
    for taps in _taps_of_sites(calibration, sites):
        columns = _columns(calibration, taps)
        own = rows if sites == "joint" else rows[:, columns]
        sae, report = train_sae(own, config, taps=taps, progress=progress)
        latents, values = sae.encode(sample[:, columns])
        decoded = sae.decode(latents, sae.dequantise(sae.quantise(values)))
        left[:, columns] = sample[:, columns] - decoded
        saes.append(sae)
        unexplained += report.fvu * float(variance[columns].sum() / variance.sum())
        dead += report.dead * len(columns) / rows.shape[1]
    residual = fit_residual(left)
    rest = left - residual.decode(residual.encode(left))
    return Bank(
        calibration=calibration,
        saes=tuple(saes),
        fingerprint=backbone.fingerprint(calibration.taps),
        model_name=backbone.name,
        metadata={
            "tokenizer": backbone.text.digest,
            "training": config.model_dump(mode="json"),
            "training_tokens": len(rows),
            "fvu": round(unexplained, 4),
            "fvu_with_residual": round(float(rest.square().sum() / variance.sum()), 4),
            "dead": round(dead, 4),
        },
        residual=residual,
    )


def _taps_of_sites(calibration: Calibration, sites: Sites) -> list[tuple[Tap, ...]]:
    """The taps of each SAE."""
    if sites == "joint":
        return [calibration.taps]
    layers = sorted({tap.layer for tap in calibration.taps})
    return [tuple(t for t in calibration.taps if t.layer == layer) for layer in layers]


def _columns(calibration: Calibration, taps: Sequence[Tap]) -> Tensor:
    """Where the keys of some taps stand in a row of all of them, ``int64[m · d]``."""
    places = torch.arange(len(calibration.taps) * calibration.head_dim)
    blocks = places.view(len(calibration.taps), -1)
    return blocks[[calibration.taps.index(tap) for tap in taps]].flatten()


def _some(texts: Sequence[str], tokens: int) -> list[Document]:
    """Shuffled pieces of texts, up to a size."""
    room = tokens * _CHARACTERS_PER_TOKEN
    pieces = [text[i : i + _PIECE] for text in texts for i in range(0, len(text), _PIECE)]
    random.Random(0).shuffle(pieces)
    chosen: list[Document] = []
    size = 0
    for piece in pieces:
        if piece.strip():
            chosen.append(Document(id=str(len(chosen)), text=piece))
            size += len(piece)
        if size >= room:
            break
    return chosen


def _at_hand() -> list[str]:
    """The package's own texts and the reference of the Python language.

    The latter where this Python brings it; so what a bank is trained on depends on the version of
    Python.
    """
    own = [document.text for labelled in builtin_sets() for document in labelled.documents]
    try:
        from pydoc_data.topics import topics  # 700 kB, which nothing else needs
    except ImportError:
        return own
    return [*own, *topics.values()]
