"""The plain encoder against a stable sort of the whole row."""

from __future__ import annotations

import pytest
import torch

from s3_retriever.codec import encode_topk
from s3_retriever.codec import topk as module
from s3_retriever.errors import InputError

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def reference(x, w_enc, b_enc, k):
    """All preactivations, a stable sort (ties to the lower latent), latents ascending."""
    z = torch.addmm(b_enc.to(x.dtype), x, w_enc.to(x.dtype)).clamp_min(0)
    order = z.float().sort(dim=1, descending=True, stable=True).indices[:, :k]
    latents = order.sort(dim=1).values
    return latents.int(), z.gather(1, latents)


def assert_chosen(x, w_enc, b_enc, k, latents, values):
    """Latents ascend; none left out is larger, by more than the rounding of a sum, than one taken.

    A library may add up in another order for another shape, so equal bits are not to be asked for.
    """
    z = (b_enc.to(x.dtype).double() + x.double() @ w_enc.to(x.dtype).double()).clamp_min(0)
    chosen = z.gather(1, latents.long())
    torch.testing.assert_close(values, chosen.to(x.dtype))
    assert (latents.diff(dim=1) > 0).all()
    best = z.topk(k, dim=1).values.to(x.dtype)
    torch.testing.assert_close(values.sort(dim=1, descending=True).values, best)


def case(rows: int, d_in: int, n: int, step: float = 0.0) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(rows + d_in + n)
    tensors = (
        torch.randn(rows, d_in, generator=random),
        torch.randn(d_in, n, generator=random),
        torch.randn(n, generator=random),
    )
    return tuple((t / step).round() * step for t in tensors) if step else tensors


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("rows", "d_in", "n", "k", "step"),
    [
        (33, 16, 1024, 16, 0.0),
        (40, 8, 1024, 32, 1.0),  # many ties
        (7, 24, 100, 8, 0.0),  # latents that make no whole groups of 16
        (9, 8, 101, 5, 0.5),
        (5, 4, 64, 64, 0.5),  # all latents
        (1, 3, 1, 1, 0.0),
    ],
)
def test_equals_a_stable_sort(dtype, rows, d_in, n, k, step) -> None:
    x, w_enc, b_enc = case(rows, d_in, n, step)
    x = x.to(dtype)
    latents, values = encode_topk(x, w_enc, b_enc, k)
    assert latents.dtype == torch.int32
    assert values.dtype == dtype
    assert_chosen(x, w_enc, b_enc, k, latents, values)
    if step:  # sums of such numbers are exact: ties are ties
        expected, expected_values = reference(x, w_enc, b_enc, k)
        assert torch.equal(latents, expected)
        assert torch.equal(values, expected_values)


def test_rows_are_cut_into_blocks_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w_enc, b_enc = case(50, 8, 256, 0.5)
    whole = encode_topk(x, w_enc, b_enc, 8)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 7 * 256 * 4)
    blocks = encode_topk(x, w_enc, b_enc, 8)
    assert torch.equal(whole[0], blocks[0])
    assert torch.equal(whole[1], blocks[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_active_gives_the_lowest_latents_at_zero(dtype: torch.dtype) -> None:
    x = torch.zeros(3, 4, dtype=dtype)
    latents, values = encode_topk(x, torch.ones(4, 64), -torch.ones(64), 5)
    assert latents.tolist() == [[0, 1, 2, 3, 4]] * 3
    assert not values.any()


def test_fewer_active_latents_than_k() -> None:
    bias = -torch.ones(64)
    bias[[40, 7]] = torch.tensor([2.0, 3.0])
    latents, values = encode_topk(torch.zeros(1, 4), torch.ones(4, 64), bias, 4)
    assert latents.tolist() == [[0, 1, 7, 40]]
    assert values.tolist() == [[0.0, 0.0, 3.0, 2.0]]


def test_negative_zero_is_zero() -> None:
    x, weight = torch.ones(1, 1), torch.full((1, 32), -0.0)
    latents, values = encode_topk(x, weight, torch.full((32,), -0.0), 2)
    assert latents.tolist() == [[0, 1]]
    assert not values.signbit().any()


def test_no_rows() -> None:
    latents, values = encode_topk(torch.zeros(0, 4), torch.ones(4, 64), torch.ones(64), 5)
    assert latents.shape == values.shape == (0, 5)


@pytest.mark.parametrize("bad", [float("nan"), -float("nan"), float("inf")])
@pytest.mark.parametrize("place", ["x", "w_enc", "b_enc"])
def test_non_finite_numbers_are_refused(bad: float, place: str) -> None:
    x, w_enc, b_enc = case(20, 8, 256)
    {"x": x, "w_enc": w_enc, "b_enc": b_enc}[place].view(-1)[5] = bad
    with pytest.raises(InputError, match=r"NaN or infinity.*look for"):
        encode_topk(x, w_enc, b_enc, 4)


def test_an_overflow_of_float16_is_refused() -> None:
    x = torch.full((2, 4), 300.0, dtype=torch.float16)
    with pytest.raises(InputError, match="bfloat16"):
        encode_topk(x, torch.full((4, 32), 300.0), torch.zeros(32), 2)


@pytest.mark.parametrize("k", [0, -1, 257])
def test_an_impossible_k_is_refused(k: int) -> None:
    with pytest.raises(InputError, match="want 1 <= k"):
        encode_topk(*case(2, 8, 256), k)


def test_shapes_and_types_that_do_not_fit_are_refused() -> None:
    x, w_enc, b_enc = case(2, 8, 256)
    with pytest.raises(InputError, match="do not fit"):
        encode_topk(x[:, :7], w_enc, b_enc, 4)
    with pytest.raises(InputError, match=r"want \[256\]"):
        encode_topk(x, w_enc, b_enc[:-1], 4)
    with pytest.raises(InputError, match="float64"):
        encode_topk(x.double(), w_enc, b_enc, 4)
