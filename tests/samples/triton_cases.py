"""What the fused encoder must do; run by `test_triton_topk`, in the interpreter or on a GPU."""

from __future__ import annotations

import pytest
import torch

from s3_retriever.codec.topk import check_finite, encode_unchecked
from s3_retriever.codec.triton_topk import encode, supports
from s3_retriever.errors import InputError

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FP32, BF16, FP16 = torch.float32, torch.bfloat16, torch.float16
ROUNDING = {FP32: 1e-5, BF16: 2**-7, FP16: 2**-10}


def case(rows: int, d_in: int, n: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(rows + d_in + n)
    x = torch.randn(rows, d_in, generator=random)
    w_enc = torch.randn(d_in, n, generator=random) / d_in**0.5
    b_enc = 0.3 * torch.randn(n, generator=random)
    return x.to(DEVICE, dtype), w_enc.to(DEVICE, dtype), b_enc.to(DEVICE)


def whole_numbers(rows: int, d_in: int, n: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Small integers, which all types add exactly, with many ties."""
    random = torch.Generator().manual_seed(rows + d_in + n)
    x = torch.randint(-1, 2, (rows, d_in), generator=random)
    w_enc = torch.randint(-1, 2, (d_in, n), generator=random)
    b_enc = torch.randint(-2, 3, (n,), generator=random)
    return x.to(DEVICE, dtype), w_enc.to(DEVICE, dtype), b_enc.to(DEVICE, torch.float32)


def plain(x, w_enc, b_enc, k):
    """The torch path, on the CPU."""
    return encode_unchecked(x.cpu(), w_enc.cpu(), b_enc.cpu(), k)


def same_as_plain(x, w_enc, b_enc, k) -> None:
    latents, values, finite = encode(x, w_enc, b_enc, k)
    expected, expected_values, _ = plain(x, w_enc, b_enc, k)
    assert torch.equal(latents.cpu(), expected)
    assert torch.equal(values.cpu(), expected_values)
    assert bool(finite)


@pytest.mark.parametrize(
    ("rows", "d_in", "n", "k", "dtype"),
    [
        (65, 64, 128, 8, BF16),  # two blocks of rows, two of latents
        (3, 80, 200, 16, FP16),  # no power of two, and a block that is not full
        (2, 128, 80, 64, BF16),  # most latents of a row
        (3, 256, 96, 5, FP32),  # several blocks of inputs, k no power of two
        (5, 448, 64, 16, BF16),
        (2, 1024, 100, 8, FP16),
        (2, 100, 300, 1, FP32),
    ],
)
def test_latents_and_values_are_right(rows, d_in, n, k, dtype) -> None:
    """Against float64: only values that differ by no more than rounding may be exchanged."""
    x, w_enc, b_enc = case(rows, d_in, n, dtype)
    latents, values, finite = encode(x, w_enc, b_enc, k)
    exact = (x.double() @ w_enc.double() + b_enc.double()).clamp_min(0)
    tolerance = ROUNDING[dtype] * exact.amax(1, keepdim=True)
    assert latents.dtype == torch.int32
    assert values.dtype == dtype
    assert (latents[:, 1:] > latents[:, :-1]).all()
    torch.testing.assert_close(
        values.double(), exact.gather(1, latents.long()), atol=float(tolerance.max()), rtol=0
    )
    kth = exact.topk(k).values[:, -1:]
    chosen = torch.zeros_like(exact).scatter_(1, latents.long(), 1).bool()
    assert not ((exact > kth + tolerance) & ~chosen).any()
    assert not ((exact < kth - tolerance) & chosen).any()
    assert bool(finite)


@pytest.mark.parametrize(
    ("rows", "d_in", "n", "k", "dtype"),
    [
        (70, 16, 130, 8, BF16),
        (4, 16, 128, 16, FP32),
        (2, 8, 90, 20, FP16),
        (3, 300, 100, 9, FP32),
        (1, 1, 16, 16, BF16),
    ],
)
def test_ties_go_to_the_lower_latent(rows, d_in, n, k, dtype) -> None:
    same_as_plain(*whole_numbers(rows, d_in, n, dtype), k)


def test_the_largest_dictionary() -> None:
    """Its last latents are found, whose numbers fill the lower half of a key."""
    x, w_enc, b_enc = whole_numbers(2, 16, 16_384, BF16)
    if DEVICE == "cpu":  # the interpreter takes minutes over all of the blocks
        x, b_enc = torch.zeros_like(x), torch.zeros_like(b_enc)
        b_enc[[0, 16_000, 16_383]] = 1
    same_as_plain(x, w_enc, b_enc, 4 if DEVICE == "cpu" else 16)


@pytest.mark.parametrize("dtype", [FP32, BF16])
def test_values_that_rise_with_the_latent(dtype: torch.dtype) -> None:
    """The worst order: every block throws out what the blocks before brought in."""
    x = torch.ones(2, 16, device=DEVICE, dtype=dtype)
    rising = torch.arange(150, device=DEVICE).float() / 2
    w_enc = torch.zeros(16, 150, device=DEVICE, dtype=dtype)
    same_as_plain(x, w_enc, rising, 8)
    same_as_plain(x, w_enc, rising.flip(0), 8)


@pytest.mark.parametrize("dtype", [FP32, BF16])
def test_nothing_active_gives_the_lowest_latents_at_zero(dtype: torch.dtype) -> None:
    x, w_enc, b_enc = case(5, 64, 150, dtype)
    latents, values, _ = encode(x, w_enc, b_enc - 100, 8)
    assert latents.tolist() == [list(range(8))] * 5
    assert not values.any()
    zeros = torch.zeros_like(x)
    same_as_plain(zeros, w_enc, (4 * b_enc).round(), 8)


def test_fewer_active_latents_than_k() -> None:
    x, w_enc, b_enc = whole_numbers(4, 16, 150, BF16)
    b_enc.fill_(-1000)
    b_enc[[149, 7]] = 100
    latents, values, _ = encode(x, w_enc, b_enc, 4)
    assert latents.tolist() == [[0, 1, 7, 149]] * 4
    assert (values > 0).tolist() == [[False, False, True, True]] * 4


@pytest.mark.parametrize("place", ["x", "w_enc", "b_enc"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_numbers_are_found(place: str, bad: float) -> None:
    x, w_enc, b_enc = case(2, 16, 32, BF16)
    {"x": x, "w_enc": w_enc, "b_enc": b_enc}[place].view(-1)[9] = bad
    with pytest.raises(InputError, match="NaN or infinity"):
        check_finite(encode(x, w_enc, b_enc, 8)[2])


def test_an_overflow_of_float16_is_found() -> None:
    x = torch.full((2, 64), 300.0, dtype=FP16, device=DEVICE)
    w_enc = torch.full((64, 32), 300.0, device=DEVICE)
    with pytest.raises(InputError, match="bfloat16"):
        check_finite(encode(x, w_enc, torch.zeros(32, device=DEVICE), 8)[2])


def test_any_strides() -> None:
    x, w_enc, b_enc = whole_numbers(6, 32, 100, BF16)
    wide = torch.stack([x, x + 1], dim=2)[:, :, 0]
    same_as_plain(wide, w_enc.T.contiguous().T, b_enc, 8)
    assert not wide.is_contiguous()


def test_no_rows() -> None:
    x, w_enc, b_enc = case(0, 64, 256, torch.float32)
    latents, values, finite = encode(x, w_enc, b_enc, 8)
    assert latents.shape == values.shape == (0, 8)
    assert bool(finite)


def test_what_is_supported() -> None:
    assert supports(1024, 16_384, 64)
    assert supports(64, 1024, 8)
    assert not supports(64, 1024, 65)
    assert not supports(2048, 1024, 8)


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a CUDA device")
def test_many_rows_on_a_gpu() -> None:
    x, w_enc, b_enc = whole_numbers(40_000, 128, 16_384, BF16)
    latents, values, _ = encode(x, w_enc, b_enc, 32)
    some = torch.randint(0, 40_000, (500,), device=DEVICE)
    expected, expected_values, _ = plain(x[some], w_enc, b_enc, 32)
    assert torch.equal(latents[some].cpu(), expected)
    assert torch.equal(values[some].cpu(), expected_values)


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a CUDA device")
def test_cuda_tensors_take_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    from s3_retriever.codec import topk

    monkeypatch.setattr(topk, "_encode_torch", None)
    latents, _, _ = encode_unchecked(*case(5, 64, 256, BF16), 8)
    assert latents.is_cuda
