"""Banks: raw keys to codes, queries to latent weights, and the folder on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from random_bank import make_bank as random_bank
from s3_retriever.backbone.spec import Head, Tap
from s3_retriever.codec import (
    Bank,
    Calibration,
    QueryWeights,
    Residual,
    Sae,
    fit_residual,
    fold,
    load_sae,
)
from s3_retriever.codec.places import PlaceHead
from s3_retriever.errors import BankError, InputError

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.backbone import Backbone

D, LATENTS, K = 16, 128, 8
TAPS = (Tap(1, 0), Tap(2, 1), Tap(4, 0))
HEADS = (Head(1, 0), Head(1, 2), Head(2, 4), Head(4, 1))
SITES = ((TAPS[2], TAPS[0]), (TAPS[1],))


def make_calibration(seed: int = 0) -> Calibration:
    random = torch.Generator().manual_seed(seed)
    basis = torch.randn(len(TAPS), D, D, generator=random)
    whiten = basis @ basis.mT / D + torch.eye(D)
    return Calibration(
        taps=TAPS,
        heads=HEADS,
        group=3,
        head_weights=torch.tensor([1.0, 0.5, 0.25, 2.0]),
        key_mean=5 * torch.randn(len(TAPS), D, generator=random),
        query_mean=torch.randn(len(HEADS), D, generator=random),
        whiten=whiten,
        unwhiten=torch.linalg.inv(whiten).mT.contiguous(),
        scaling=0.25,
        metadata={"texts": 3},
    )


def make_sae(taps: tuple[Tap, ...], seed: int) -> Sae:
    random = torch.Generator().manual_seed(seed)
    d_in = D * len(taps)
    w_dec = torch.nn.functional.normalize(torch.randn(LATENTS, d_in, generator=random), dim=1)
    return Sae(
        taps=taps,
        k=K,
        w_enc=w_dec.T.contiguous(),
        b_enc=0.1 * torch.randn(LATENTS, generator=random),
        w_dec=w_dec.half().float(),
        b_dec=0.1 * torch.randn(d_in, generator=random),
        scale=2e-4,
    )


@pytest.fixture
def bank() -> Bank:
    saes = tuple(make_sae(taps, seed) for seed, taps in enumerate(SITES))
    calibration = make_calibration()
    return Bank(
        calibration=calibration, saes=saes, fingerprint="f" * 64, model_name="m", metadata={"a": 1}
    )


@pytest.fixture
def keys() -> torch.Tensor:
    random = torch.Generator().manual_seed(9)
    return make_calibration().key_mean + torch.randn(50, len(TAPS), D, generator=random)


def test_encode_is_calibrate_then_encode(bank: Bank, keys: torch.Tensor) -> None:
    codes = bank.encode(keys, dtype=torch.float32)
    assert codes.latents.dtype == torch.uint16
    assert codes.values.dtype == torch.uint8
    x = bank.calibration.keys(keys)
    for j, sae in enumerate(bank.saes):
        site = torch.cat([x[:, TAPS.index(tap)] for tap in sae.taps], dim=1)
        latents, values = sae.encode(site)
        assert torch.equal(codes.latents[:, bank.slots(j)].int(), latents)
        stored = codes.values[:, bank.slots(j)]
        assert int((stored.int() - sae.quantise(values).int()).abs().max()) <= 1
    assert codes.latents.shape == (50, bank.width) == (50, 2 * K)


def test_bfloat16_product_keeps_nearly_all_latents(bank: Bank, keys: torch.Tensor) -> None:
    exact = bank.encode(keys, dtype=torch.float32)
    rounded = bank.encode(keys, dtype=torch.bfloat16)
    same = (exact.latents[:, :, None].int() == rounded.latents[:, None, :].int()).any(2)
    assert same.float().mean() > 0.97


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_folded_encoder_takes_raw_keys(bank: Bank, keys: torch.Tensor, dtype: torch.dtype) -> None:
    sae = bank.saes[0]
    weight, bias = fold(bank.calibration, sae, dtype)
    site = [TAPS.index(tap) for tap in sae.taps]
    got = keys[:, site].flatten(1) @ weight.float() + bias
    x = bank.calibration.keys(keys)[:, site].flatten(1)
    expected = (x - sae.b_dec) @ sae.w_enc + sae.b_enc
    assert weight.dtype == dtype
    torch.testing.assert_close(
        got, expected, atol=0.06 if dtype == torch.bfloat16 else 1e-3, rtol=0
    )


@pytest.mark.parametrize("with_residual", [False, True])
def test_logits_from_codes_are_logits_of_the_reconstruction(
    with_residual: bool, bank: Bank, keys: torch.Tensor
) -> None:
    random = torch.Generator().manual_seed(3)
    queries = torch.randn(4, len(HEADS), D, generator=random)
    x = bank.calibration.keys(keys)
    y = bank.calibration.queries(queries)
    centred = queries - bank.calibration.query_mean
    for h, tap in enumerate(bank.calibration.tap_of_head):
        raw = (keys[:, tap] - bank.calibration.key_mean[tap]) @ centred[:, h].T
        torch.testing.assert_close(x[:, tap] @ y[:, h].T, 0.25 * raw, atol=2e-4, rtol=2e-4)
    if with_residual:
        left = x - bank.decode(bank.encode(keys, torch.float32))
        bank = dataclasses.replace(bank, residual=fit_residual(left.flatten(1)))
    codes = bank.encode(keys, torch.float32)
    logits = QueryWeights(bank, queries).logits(codes).view(len(keys), len(HEADS), 4)
    x_hat = bank.decode(codes)
    for sae in bank.saes:
        for part, tap in zip(sae.b_dec.view(-1, D), sae.taps, strict=True):
            x_hat[:, TAPS.index(tap)] -= part
    for h, tap in enumerate(bank.calibration.tap_of_head):
        expected = x_hat[:, tap] @ y[:, h].T
        torch.testing.assert_close(logits[:, h], expected, atol=1e-4, rtol=1e-4)


def test_heads_are_spread_over_the_sites(bank: Bank) -> None:
    assert bank.sites == ((2, 0), (1,))
    assert bank.heads_of(0) == (0, 1, 3)
    assert bank.heads_of(1) == (2,)


def test_queries_are_encoded_by_the_saes_of_the_keys(bank: Bank) -> None:
    queries = bank.calibration.query_mean + torch.randn(5, len(HEADS), D)
    coded = bank.encode_queries(queries)
    y = bank.calibration.queries(queries) / bank.calibration.scaling
    latents, values = bank.saes[1].encode(y[:, 2])
    assert torch.equal(coded[1][0], latents)
    torch.testing.assert_close(coded[1][1], values)
    first = (y[:, 0] + 0.5 * y[:, 1]) / 1.5
    latents, _ = bank.saes[0].encode(torch.cat([y[:, 3], first], dim=1))
    assert torch.equal(coded[0][0], latents)


def test_bad_keys_are_refused(bank: Bank, keys: torch.Tensor) -> None:
    keys[3, 1, 2] = float("nan")
    with pytest.raises(InputError, match="NaN or infinity"):
        bank.encode(keys)
    with pytest.raises(InputError, match=r"want \[rows, 3, 16\]"):
        bank.encode(keys[:, :2])


def test_no_rows(bank: Bank, keys: torch.Tensor) -> None:
    assert bank.encode(keys[:0]).latents.shape == (0, bank.width)


def test_save_and_load_change_nothing(bank: Bank, keys: torch.Tensor, tmp_path: Path) -> None:
    bank.save(tmp_path / "bank")
    loaded = Bank.load(tmp_path / "bank")
    assert loaded.digest() == bank.digest()
    assert (loaded.fingerprint, loaded.model_name) == (bank.fingerprint, bank.model_name)
    assert loaded.metadata == {"a": 1}
    assert loaded.calibration.metadata == {"texts": 3}
    assert torch.equal(loaded.encode(keys).latents.int(), bank.encode(keys).latents.int())
    stored = load_file(tmp_path / "bank" / "sae_0" / "sae_weights.safetensors")
    assert stored["W_dec"].dtype == torch.float16  # lossless here
    assert stored["b_dec"].dtype == torch.float32


def test_digest_tells_banks_apart(bank: Bank) -> None:
    other = Bank(
        calibration=bank.calibration.replace(head_weights=torch.ones(len(HEADS))),
        saes=bank.saes,
        fingerprint=bank.fingerprint,
    )
    assert other.digest() != bank.digest()


def test_a_bank_fits_the_model_it_was_made_for(tiny_backbone: Backbone) -> None:
    bank = random_bank(tiny_backbone)
    assert bank.fits(tiny_backbone)
    assert not dataclasses.replace(bank, fingerprint="0" * 64).fits(tiny_backbone)
    spec = tiny_backbone.spec
    beyond = tuple(Tap(tap.layer + spec.layers, tap.kv_head) for tap in bank.calibration.taps)
    heads = tuple(Head(head.layer + spec.layers, head.head) for head in bank.calibration.heads)
    saes = tuple(
        dataclasses.replace(
            sae, taps=tuple(Tap(t.layer + spec.layers, t.kv_head) for t in sae.taps)
        )
        for sae in bank.saes
    )
    deeper = dataclasses.replace(
        bank, calibration=bank.calibration.replace(taps=beyond, heads=heads), saes=saes
    )
    assert not deeper.fits(tiny_backbone)


def test_missing_and_damaged_files_are_named(bank: Bank, tmp_path: Path) -> None:
    with pytest.raises(BankError, match=r"bank\.json"):
        Bank.load(tmp_path)
    bank.save(tmp_path)
    weights = tmp_path / "sae_1" / "sae_weights.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(BankError, match=r"sae_1/sae_weights.safetensors is damaged"):
        Bank.load(tmp_path)
    weights.unlink()
    with pytest.raises(BankError, match=r"cannot read .*sae_1"):
        Bank.load(tmp_path)


def test_a_place_head_is_kept_and_decides_no_code(bank: Bank, tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(3)
    head = PlaceHead(torch.randn(len(HEADS) * D, 5, generator=random), torch.arange(6).float())
    naming = dataclasses.replace(bank, calibration=bank.calibration.replace(places=head))
    assert naming.digest() == bank.digest() and naming.files() != bank.files()
    naming.save(tmp_path / "bank")
    again = Bank.load(tmp_path / "bank")
    assert again.files() == naming.files() and again.calibration.places is not None
    assert torch.equal(again.calibration.places.weight, head.weight)
    assert torch.equal(again.calibration.places.bias, head.bias)
    bank.save(tmp_path / "without")
    assert Bank.load(tmp_path / "without").calibration.places is None
    with pytest.raises(InputError, match="reads 5 numbers a token, want 64"):
        bank.calibration.replace(places=PlaceHead(torch.zeros(5, 5), torch.zeros(6)))


def test_half_a_place_head_is_no_whole_bank(bank: Bank, tmp_path: Path) -> None:
    bank.save(tmp_path / "bank")
    file = tmp_path / "bank" / "calibration.safetensors"
    save_file(load_file(file) | {"place_bias": torch.zeros(6)}, file)
    description = json.loads((tmp_path / "bank" / "bank.json").read_text())
    description["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "bank" / "bank.json").write_text(json.dumps(description))
    with pytest.raises(BankError, match="not a whole bank"):
        Bank.load(tmp_path / "bank")


def test_nan_weights_and_newer_formats_are_refused(bank: Bank, tmp_path: Path) -> None:
    sae = bank.saes[0]
    sae.w_enc[0, 0] = float("nan")
    bank.save(tmp_path)
    with pytest.raises(BankError, match=r"sae_0.*W_enc holds NaN"):
        Bank.load(tmp_path)
    file = tmp_path / "bank.json"
    description = json.loads(file.read_text())
    file.write_text(json.dumps({**description, "version": 99}))
    with pytest.raises(BankError, match="format 99"):
        Bank.load(tmp_path)
    file.write_text(json.dumps({"version": 1}))
    with pytest.raises(BankError, match="does not describe a bank"):
        Bank.load(tmp_path)


def test_sites_must_cover_the_taps(bank: Bank) -> None:
    with pytest.raises(InputError, match="cover each calibrated tap once"):
        Bank(calibration=bank.calibration, saes=bank.saes[:1], fingerprint="")


def test_calibration_refuses_a_head_without_tap(bank: Bank) -> None:
    with pytest.raises(InputError, match=r"head 9.0 reads"):
        bank.calibration.replace(heads=(Head(9, 0), *HEADS[1:]))
    with pytest.raises(InputError, match="whiten is"):
        bank.calibration.replace(whiten=torch.eye(D))
    with pytest.raises(InputError, match="negative"):
        bank.calibration.replace(head_weights=torch.tensor([1.0, 1.0, 1.0, -1.0]))


def test_an_sae_that_is_none_of_a_bank_is_refused(bank: Bank, tmp_path: Path) -> None:
    bank.save(tmp_path / "bank")
    folder = tmp_path / "bank/sae_1"
    config = json.loads((folder / "cfg.json").read_text())
    for change, said in (
        ({"architecture": "gated"}, "architecture 'topk'"),
        ({"normalize_activations": "layer_norm"}, "layer_norm"),
        ({"metadata": {"hook_name": "blocks.1.attn.hook_k"}}, "not trained by s3-retriever"),
    ):
        (folder / "cfg.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(BankError, match=said):
            load_sae(folder)


# --- the residual ---------------------------------------------------------------------------------


def test_the_residual_restores_most_of_what_the_codes_leave_over() -> None:
    left = torch.randn(512, 37) * torch.linspace(0.1, 2, 37)
    left[::7] *= 5  # tokens that the codes do badly on
    residual = fit_residual(left)
    stored = residual.encode(left)
    assert stored.shape == (512, residual.width) == (512, 11)
    assert stored.dtype == torch.uint8
    rest = left - residual.decode(stored)
    assert rest.square().sum() < 0.14 * left.square().sum()  # 0.1188 for a normal variable
    loud = slice(None, None, 7)
    assert rest[loud].square().sum() < 0.14 * left[loud].square().sum()


def test_the_residual_of_nothing_is_almost_nothing() -> None:
    residual = fit_residual(torch.randn(64, 8))
    assert residual.decode(residual.encode(torch.zeros(3, 8))).abs().max() < 1e-3


def test_a_bank_with_a_residual_decodes_nearer_and_survives_saving(
    bank: Bank, tmp_path: Path
) -> None:
    bare = bank
    keys = torch.randn(300, len(bare.calibration.taps), bare.calibration.head_dim)
    x = bare.calibration.keys(keys)
    left = (x - bare.decode(bare.encode(keys))).flatten(1)
    bank = dataclasses.replace(bare, residual=fit_residual(left))
    codes = bank.encode(keys)
    assert codes.residual.shape == (300, bank.residual_width)
    error = (x - bank.decode(codes)).square().sum()
    assert error < 0.14 * left.square().sum()
    assert bank.digest() != bare.digest()
    bank.save(tmp_path / "bank")
    again = Bank.load(tmp_path / "bank")
    assert again.digest() == bank.digest()
    assert torch.equal(again.decode(codes), bank.decode(codes))


def test_a_residual_scale_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="residual"):
        Residual(scale=torch.tensor([1.0, float("nan")]), gain_scale=1.0)
