"""Training on rows made of known atoms."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from s3_retriever.backbone.spec import Tap
from s3_retriever.codec import fit_scale
from s3_retriever.errors import InputError
from s3_retriever.fitting import TrainConfig, train_sae
from s3_retriever.fitting.training import _Trainer

TAPS = (Tap(3, 1),)
ATOMS, ACTIVE, D = 96, 4, 32
SMALL = TrainConfig(n_latents=128, k=4, steps=300, batch_rows=512, lr=0.02, dead_after_rows=10_000)


def sparse_rows(rows: int, seed: int = 0) -> torch.Tensor:
    """Rows that are positive sums of 4 of 96 atoms, off centre and not of unit size."""
    random = torch.Generator().manual_seed(seed)
    atoms = normalize(torch.randn(ATOMS, D, generator=random), dim=1)
    chosen = torch.rand(rows, ATOMS, generator=random).topk(ACTIVE).indices
    weights = 0.5 + torch.rand(rows, ACTIVE, 1, generator=random)
    return 7 * (atoms[chosen] * weights).sum(1) + 3 * torch.randn(D, generator=random)


def unexplained_by_pca(x: torch.Tensor, components: int) -> float:
    variance = torch.linalg.svdvals(x - x.mean(0)).square()
    return float(1 - variance[:components].sum() / variance.sum())


@pytest.mark.slow
def test_training_explains_what_no_few_directions_can() -> None:
    x, fresh = sparse_rows(9000).split([8000, 1000])
    sae, report = train_sae(x, SMALL, taps=TAPS)
    assert report.fvu < 0.15
    assert report.fvu < unexplained_by_pca(x, ACTIVE) / 4
    assert report.steps == 300
    assert report.rows == 300 * 512
    assert report.l0 == pytest.approx(4, abs=0.1)
    assert report.rows_per_second > 0
    assert sae.taps == TAPS
    torch.testing.assert_close(sae.w_dec.norm(dim=1), torch.ones(128), atol=1e-3, rtol=0)
    latents, values = sae.encode(fresh)  # rows as they are
    left = (sae.decode(latents, values) - fresh).square().sum()
    assert left / (fresh - fresh.mean(0)).square().sum() < 0.15


def test_a_seed_decides_everything() -> None:
    x = sparse_rows(2000)
    config = SMALL.replace(steps=20)
    first, again = train_sae(x, config, taps=TAPS)[0], train_sae(x, config, taps=TAPS)[0]
    other = train_sae(x, config.replace(seed=1), taps=TAPS)[0]
    for name in ("w_enc", "b_enc", "w_dec", "b_dec"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert first.scale == again.scale
    assert not torch.equal(first.w_dec, other.w_dec)


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train_sae(sparse_rows(200), SMALL.replace(steps=2), taps=TAPS)
    assert torch.equal(torch.rand(1), expected)


def test_weights_survive_float16() -> None:
    sae, _ = train_sae(sparse_rows(500), SMALL.replace(steps=5), taps=TAPS)
    for name in ("w_enc", "b_enc", "w_dec", "b_dec"):
        weight = getattr(sae, name)
        assert torch.equal(weight, weight.half().float())


def test_blocks_arrays_and_halves_train_too() -> None:
    x = sparse_rows(6000)
    blocks = (x[start : start + 1500].half().numpy() for start in range(0, 6000, 1500))
    _, report = train_sae(blocks, SMALL, taps=TAPS)
    assert report.rows == 6000 - 150  # each row once, but those held out of the first block
    assert report.steps == 3 * 3 + 3
    assert report.fvu < 0.9
    _, report = train_sae(x.numpy(), SMALL.replace(steps=3), taps=TAPS)
    assert report.steps == 3


def gradients_by_autograd(trainer: _Trainer, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Of half the squared error per row, with the latents chosen by a dense TopK."""
    u = (x - trainer.mean) / trainer.std
    w_dec, w_enc, b_enc = (
        weight.detach().clone().requires_grad_()
        for weight in (trainer.w_dec, trainer.w_enc, trainer.b_enc)
    )
    z = torch.relu((u - trainer.b_dec) @ w_enc.T + b_enc)
    keep = torch.zeros_like(z).scatter_(1, z.topk(4).indices, 1.0)
    error = (z * keep) @ w_dec + trainer.b_dec - u
    loss = 0.5 * error.square().sum() / len(u)
    return torch.autograd.grad(loss, (w_dec, w_enc, b_enc))


def test_gradients_written_by_hand_are_those_of_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3_retriever.fitting.training.fast_dtype", lambda rows: torch.float32)
    x = sparse_rows(256)
    trainer = _Trainer(x, SMALL, torch.Generator().manual_seed(0))
    expected = gradients_by_autograd(trainer, x)
    with torch.no_grad():
        u = (x - trainer.mean) / trainer.std
        latents, z = trainer._encode(u, 4)
        error = torch.einsum("bk,bkd->bd", z, trainer.w_dec[latents.long()]) - u
        trainer._add_gradients(u, latents, z, error / len(u))
    for slope, wanted in zip(trainer.slopes, expected, strict=False):
        torch.testing.assert_close(slope, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_dead_latents_come_back_to_life() -> None:
    x = sparse_rows(4000)
    config = SMALL.replace(steps=150, dead_after_rows=2000)

    def dead_after_training(coefficient: float) -> int:
        random = torch.Generator().manual_seed(0)
        trainer = _Trainer(x, config.replace(aux_coefficient=coefficient), random)
        trainer.w_enc[:64] *= 0.05  # half of the dictionary never wins
        with torch.no_grad():
            for step in range(config.steps):
                trainer.step(x[(512 * step) % 3500 :][:512])
        return int((trainer.dead() < 64).sum())

    assert dead_after_training(0.0) > 32
    assert dead_after_training(1 / 32) < 8


def test_rows_all_alike() -> None:
    x = torch.full((100, 8), 2.5)
    sae, report = train_sae(x, SMALL.replace(steps=3, batch_rows=16), taps=TAPS)
    latents, values = sae.encode(x)
    torch.testing.assert_close(sae.decode(latents, values), x, atol=1e-2, rtol=0)
    assert report.steps == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.zeros(0, 8), "want"),
        (torch.zeros(8), "want"),
        (torch.full((4, 8), float("nan")), "NaN"),
        ([], "no rows"),
        ([torch.ones(20, 8), torch.ones(20, 9)], r"want \[rows, 8\]"),
    ],
)
def test_rows_that_will_not_do(rows: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        train_sae(rows, SMALL, taps=TAPS)


def test_k_above_the_dictionary() -> None:
    with pytest.raises(InputError, match="k=200 of 128"):
        train_sae(sparse_rows(10), SMALL.replace(k=200), taps=TAPS)


def test_bytes_keep_values() -> None:
    values = torch.rand(50_000).pow(5) * 20  # most are small, as in codes
    sae, _ = train_sae(sparse_rows(100), SMALL.replace(steps=1), taps=TAPS)
    values[:3] = torch.tensor([0.0, 1e-9, 1e9])
    scale = fit_scale(values[3:])
    sae = type(sae)(**{**vars_of(sae), "scale": scale})
    stored = sae.quantise(values)
    assert stored.dtype == torch.uint8
    assert stored[:3].tolist() == [0, 1, 255]
    back = sae.dequantise(stored)[3:]
    inside = values[3:] <= 255**2 * scale
    assert inside.float().mean() > 0.9998
    even = (values[3:] / 20 * 255).round() / 255 * 20
    error = (back - values[3:])[inside].square().mean()
    assert error < (even - values[3:])[inside].square().mean()
    torch.testing.assert_close(sae.levels[stored.long()], sae.dequantise(stored))


def vars_of(sae: object) -> dict[str, object]:
    names = ("taps", "k", "w_enc", "b_enc", "w_dec", "b_dec", "scale")
    return {name: getattr(sae, name) for name in names}


def test_no_values_still_give_a_step() -> None:
    assert fit_scale(torch.zeros(5)) == 1.0
