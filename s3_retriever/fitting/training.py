"""Training of TopK sparse autoencoders (Gao et al. 2024, arXiv 2406.04093).

The k latents of a row are the only ones that carry gradients, so that all but the encoder's product
is sparse: reconstruction and both weights' gradients are sums over k rows of a matrix. The
gradients are written out by hand:

* with error ``e = x̂ - x``, ``∂L/∂w_dec[f] = Σ_i z_if e_i`` and ``∂L/∂z_if = w_dec[f]·e_i``,
* where ``z_if > 0``, ``∂L/∂w_enc[f] = Σ_i ∂L/∂z_if (x_i - b_dec)``.

`b_dec` learns from the reconstruction alone, not through the encoder.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize
from tqdm.auto import tqdm

from s3_retriever.codec.sae import Sae, fit_scale
from s3_retriever.codec.topk import MAX_LATENTS, encode_topk, fast_dtype
from s3_retriever.config import Config
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s3_retriever.backbone.spec import Tap

_HELD_OUT_ROWS = 4096
_WARM_UP = 0.05
_DECAY = 0.3


class TrainConfig(Config):
    """How an SAE is trained.

    Attributes:
        n_latents: Size of the dictionary.
        k: Latents per row.
        steps: Steps of Adam.
        batch_rows: Rows per step.
        lr: Highest learning rate; it rises over the first 5% of the steps and falls to 0 over the
            last 30%.
        aux_k: Dead latents per row that model the error of the living ones (AuxK).
        aux_coefficient: Weight of that loss, itself relative to the size of the error; 0 for none.
        dead_after_rows: A latent is dead that was not used in so many rows.
        seed: Of the order of rows and the first weights.
    """

    n_latents: int = Field(default=4096, ge=2, le=MAX_LATENTS)
    k: int = Field(default=32, ge=1)
    steps: int = Field(default=1000, ge=1)
    batch_rows: int = Field(default=2048, ge=1)
    lr: float = Field(default=5e-3, gt=0)
    aux_k: int = Field(default=32, ge=1)
    aux_coefficient: float = Field(default=1 / 32, ge=0)
    dead_after_rows: int = Field(default=65_536, ge=1)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainReport:
    """How a training went.

    Attributes:
        fvu: Share of the variance that codes, as stored in bytes, leave unexplained on rows held
            out from training.
        dead: Share of latents not used in the last `dead_after_rows` rows.
        l0: Latents above zero per held-out row.
        steps: Steps taken.
        rows: Rows seen, repetitions included.
        rows_per_second: Of training.
    """

    fvu: float
    dead: float
    l0: float
    steps: int
    rows: int
    rows_per_second: float


@torch.no_grad()
def train_sae(
    x: Tensor | np.ndarray | Iterable[Tensor | np.ndarray],
    config: TrainConfig,
    *,
    taps: tuple[Tap, ...],
    progress: bool = False,
) -> tuple[Sae, TrainReport]:
    """Train a TopK SAE with AuxK on calibrated keys.

    Rows are centred and brought to unit variance on the way in; both are folded into the weights
    that come out, which take x as it is. The weights are rounded to what float16 holds, so that
    they are the same before and after saving.

    Args:
        x: ``[R, d_in]``, float16 to float32, drawn from in random order for as many epochs as the
            steps take; or blocks of rows, each used once, until they or the steps run out.
        config: Sizes and schedule.
        taps: The site that the rows are keys of.
        progress: Show a bar on standard error.

    Returns:
        The SAE on the device of the rows, and a report.

    Raises:
        InputError: no rows, rows that do not fit, NaN or infinity, or k above n_latents.
    """
    if config.k > config.n_latents:
        raise InputError(f"TrainConfig: k={config.k} of {config.n_latents} latents")
    random = torch.Generator().manual_seed(config.seed)
    batches, held_out = _batches(x, config.batch_rows, random)
    trainer = _Trainer(held_out, config, random)
    start = time.perf_counter()
    with tqdm(total=config.steps, desc="Training", unit="step", disable=not progress) as bar:
        for batch in islice(batches, config.steps):
            fvu = trainer.step(batch)
            if bar.update():
                bar.set_postfix(fvu=f"{float(fvu):.3f}", dead=len(trainer.dead()))
    seconds = time.perf_counter() - start
    sae = trainer.finish(taps, held_out)
    latents, values = sae.encode(held_out)
    stored = sae.dequantise(sae.quantise(values))
    return sae, TrainReport(
        fvu=_fvu(held_out, sae.decode(latents, stored)),
        dead=len(trainer.dead()) / config.n_latents,
        l0=float((values > 0).sum(1).float().mean()),
        steps=trainer.steps,
        rows=trainer.rows,
        rows_per_second=trainer.rows / seconds,
    )


class _Slopes(NamedTuple):
    """Gradients of the weights of the same names."""

    w_dec: Tensor
    w_enc: Tensor
    b_enc: Tensor
    b_dec: Tensor


class _Trainer:
    """The weights under training, in the units of the normalised rows ``u = (x - mean) / std``."""

    def __init__(self, sample: Tensor, config: TrainConfig, random: torch.Generator) -> None:
        self.config = config
        self.mean = sample.mean(0)
        self.std = float((sample - self.mean).square().mean().sqrt().clamp_min(1e-12))
        device, n, d_in = sample.device, config.n_latents, sample.shape[1]
        self.w_dec = normalize(torch.randn(n, d_in, generator=random), dim=1).to(device)
        self.w_enc = self.w_dec.clone()  # transposed: [n_latents, d_in]
        self.b_enc = torch.zeros(n, device=device)
        self.b_dec = torch.zeros(d_in, device=device)
        weights = [self.w_dec, self.w_enc, self.b_enc, self.b_dec]
        self.slopes = _Slopes(*(torch.zeros_like(weight) for weight in weights))
        for weight, slope in zip(weights, self.slopes, strict=True):
            weight.grad = slope
        self.adam = torch.optim.Adam(weights, lr=config.lr, fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.adam, self._rate)
        self.last_used = torch.zeros(n, dtype=torch.long, device=device)
        self.steps = self.rows = 0

    def step(self, x: Tensor) -> Tensor:
        """Take one step of Adam on rows ``[B, d_in]`` and return their FVU, ``f32[]``."""
        u = (x.float() - self.mean) / self.std
        latents, z = self._encode(u, self.config.k)
        error = _decode(latents, z, self.w_dec) + self.b_dec - u
        for slope in self.slopes:
            slope.zero_()
        self.slopes.b_dec.copy_(error.mean(0))
        self._add_gradients(u, latents, z, error / len(u))
        self._add_auxiliary_gradients(u, error)
        self._descend()
        self.steps += 1
        self.rows += len(u)
        self.last_used[latents[z > 0].long()] = self.rows
        return error.square().sum() / u.square().sum()

    def dead(self) -> Tensor:
        """Return the ids of the dead latents, ``int64[n_dead]``, ascending."""
        return (self.rows - self.last_used > self.config.dead_after_rows).nonzero().flatten()

    def finish(self, taps: tuple[Tap, ...], sample: Tensor) -> Sae:
        """Return the SAE in the units of x, its weights rounded to float16."""
        sae = Sae(
            taps=taps,
            k=self.config.k,
            w_enc=_rounded(self.w_enc.T),
            b_enc=_rounded(self.b_enc * self.std),
            w_dec=_rounded(self.w_dec),
            b_dec=_rounded(self.mean + self.std * self.b_dec),
            scale=1.0,
        )
        return replace(sae, scale=fit_scale(sae.encode(sample)[1]))

    def _rate(self, step: int) -> float:
        done = (step + 1) / self.config.steps
        return min(1.0, done / _WARM_UP, (1 - done) / _DECAY + 1e-3)

    def _encode(self, u: Tensor, k: int, among: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode rows, to all latents or only to those ``among``."""
        w_enc, b_enc = self.w_enc, self.b_enc
        if among is not None:
            w_enc, b_enc = w_enc[among], b_enc[among]
        latents, z = encode_topk((u - self.b_dec).to(fast_dtype(u)), w_enc.T, b_enc, k)
        return latents if among is None else among.int()[latents], z.float()

    def _add_gradients(self, u: Tensor, latents: Tensor, z: Tensor, error: Tensor) -> None:
        slope = _products(latents, error, self.w_dec) * (z > 0)
        self.slopes.w_dec.add_(_scatter(latents, z, error, len(self.w_dec)))
        self.slopes.w_enc.add_(_scatter(latents, slope, u - self.b_dec, len(self.w_enc)))
        self.slopes.b_enc.index_add_(0, latents.flatten(), slope.flatten())

    def _add_auxiliary_gradients(self, u: Tensor, error: Tensor) -> None:
        """AuxK: the dead latents learn what the living ones leave over, relative to its size."""
        dead = self.dead()
        if not len(dead) or not self.config.aux_coefficient:
            return
        latents, z = self._encode(u, min(self.config.aux_k, len(dead)), dead)
        left = _decode(latents, z, self.w_dec) + error
        weight = self.config.aux_coefficient / error.square().mean().clamp_min(1e-6)
        self._add_gradients(u, latents, z, weight * left / len(u))

    def _descend(self) -> None:
        """Step with decoder rows kept at norm 1, and no gradient spent on their length."""
        slope = self.slopes.w_dec
        slope -= (slope * self.w_dec).sum(1, keepdim=True) * self.w_dec
        self.adam.step()
        self.schedule.step()
        self.w_dec.copy_(normalize(self.w_dec, dim=1))


def _decode(latents: Tensor, z: Tensor, w_dec: Tensor) -> Tensor:
    """``Σ_j z_ij w_dec[latents_ij]``: ``[B, d_in]``."""
    return embedding_bag(latents, w_dec, per_sample_weights=z, mode="sum")


def _products(latents: Tensor, rows: Tensor, w_dec: Tensor) -> Tensor:
    """``w_dec[latents_ij] · rows_i``: ``[B, k]``, without the other products."""
    count, k = latents.shape
    starts = torch.arange(0, count * k + 1, k, dtype=torch.int32, device=rows.device)
    zeros = rows.new_zeros(count * k)
    size = (count, len(w_dec))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support")
        pattern = torch.sparse_csr_tensor(
            starts, latents.flatten(), zeros, size, check_invariants=False
        )
    products: Tensor = torch.sparse.sampled_addmm(pattern, rows, w_dec.T).values()
    return products.view(count, k)


def _scatter(latents: Tensor, weights: Tensor, rows: Tensor, n: int) -> Tensor:
    """``Σ_ij weights_ij rows_i`` over the slots of each latent: ``[n, d_in]``."""
    flat = latents.flatten()
    order = flat.sort(stable=True).indices
    counts = torch.bincount(flat, minlength=n)
    starts = counts.cumsum(0) - counts
    row = order // latents.shape[1]
    slots = weights.flatten()[order]
    return embedding_bag(row, rows, starts, per_sample_weights=slots, mode="sum")


def _rounded(weight: Tensor) -> Tensor:
    return weight.half().float().contiguous()


def _fvu(x: Tensor, reconstructed: Tensor) -> float:
    return float((reconstructed - x).square().sum() / (x - x.mean(0)).square().sum())


def _batches(
    x: Tensor | np.ndarray | Iterable[Tensor | np.ndarray],
    batch_rows: int,
    random: torch.Generator,
) -> tuple[Iterator[Tensor], Tensor]:
    """Return an iterator over batches, and rows held out from them, ``f32``."""
    if isinstance(x, Tensor | np.ndarray):
        held_out, rest = _split(x, random)
        return _epochs(rest, batch_rows, random), held_out
    blocks = iter(x)
    first = next(blocks, None)
    if first is None:
        raise InputError("there are no rows to train on")
    held_out, rest = _split(first, random)
    return _once(chain([rest], blocks), batch_rows, random), held_out


def _split(block: Tensor | np.ndarray, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Hold out a tenth of the rows; of less than ten, all are used for both."""
    rows = _checked(block, None)
    order = torch.randperm(len(rows), generator=random)
    held = min(_HELD_OUT_ROWS, len(rows) // 10)
    held_out, rest = (rows[order[:held]], rows[order[held:]]) if held else (rows, rows)
    return held_out.float(), rest


def _epochs(rows: Tensor, batch_rows: int, random: torch.Generator) -> Iterator[Tensor]:
    size = min(batch_rows, len(rows))
    while True:
        order = torch.randperm(len(rows), generator=random)
        for start in range(0, len(rows) - size + 1, size):
            yield rows[order[start : start + size]]


def _once(
    blocks: Iterable[Tensor | np.ndarray], batch_rows: int, random: torch.Generator
) -> Iterator[Tensor]:
    d_in = None
    for block in blocks:
        rows = _checked(block, d_in)
        d_in = rows.shape[1]
        order = torch.randperm(len(rows), generator=random)
        for start in range(0, len(rows), batch_rows):
            yield rows[order[start : start + batch_rows]]


def _checked(block: Tensor | np.ndarray, d_in: int | None) -> Tensor:
    rows = torch.as_tensor(block)
    if rows.ndim != 2 or not len(rows) or d_in not in (None, rows.shape[1]):
        raise InputError(f"training rows are {list(rows.shape)}, want [rows, {d_in or 'd_in'}]")
    if not bool(torch.isfinite(rows).all()):
        raise InputError("training rows hold NaN or infinity: look at the model that made them")
    return rows
