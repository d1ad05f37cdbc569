"""The encoder: the k largest latents of every row, ``TopK(ReLU(x @ w_enc + b_enc))``.

One function, `encode_topk`, serves training and scanning. On CUDA it calls the fused Triton
kernel; everywhere else the plain torch path below, which is also what the kernel is tested
against.

Ties go to the lower latent, so that results do not depend on the device, the block size or the
sorting algorithm. To that end a value and its latent are packed into one integer, value bits above,
inverted latent below: a non-negative float orders like its bits.
"""

from __future__ import annotations

import functools
import importlib.util

import numpy as np
import torch
from torch import Tensor

from s3_retriever.backbone.modes import cpu_has_bfloat16
from s3_retriever.errors import InputError

MAX_LATENTS = 65_536
"""Latent ids are stored in 16 bits."""

_BLOCK_BYTES = 8 * 2**20
"""Bytes of preactivations held at once."""

_STEP = 64
"""Rows are filled up to a multiple of this: oneDNN keeps a compiled kernel for every shape, and few
shapes keep memory flat."""


def encode_topk(x: Tensor, w_enc: Tensor, b_enc: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Encode rows to their k largest latents.

    Args:
        x: ``[R, d_in]``, float32, bfloat16 or float16; `R` may be 0.
        w_enc: ``[d_in, n_latents]``; cast to the dtype of `x`.
        b_enc: ``[n_latents]``.
        k: Latents per row, ``1 <= k <= n_latents``.

    Returns:
        Latents ``int32[R, k]``, ascending within a row, and their values ``[R, k]`` in the dtype of
        `x`, all at least 0. A row with fewer than k positive preactivations is filled up with the
        lowest other latents at value 0.

    Raises:
        InputError: shapes that do not fit, or NaN or infinity in what comes in or goes out.
    """
    latents, values, finite = encode_unchecked(x, w_enc, b_enc, k)
    check_finite(finite)
    return latents, values


def encode_unchecked(
    x: Tensor, w_enc: Tensor, b_enc: Tensor, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Do as `encode_topk`, but leave the check of the values to the caller.

    Returns:
        Latents, values, and ``bool[]``: whether everything that came in and went out is finite. On
        an accelerator nothing waits for the device.

    Raises:
        InputError: shapes that do not fit.
    """
    _check_shapes(x, w_enc, b_enc, k)
    if x.is_cuda and _has_triton():
        from s3_retriever.codec.triton_topk import encode, supports

        if supports(x.shape[1], w_enc.shape[1], k):
            return encode(x, w_enc, b_enc, k)
    return _encode_torch(x, w_enc, b_enc, k)


def check_finite(finite: Tensor) -> None:
    """Raise if an encoder met NaN or infinity.

    Raises:
        InputError: `finite` is false.
    """
    if not bool(finite):
        raise InputError(
            "the encoder met NaN or infinity: look for non-finite keys (a float16 model overflows; "
            "load it in bfloat16 or float32) or non-finite SAE weights (run the training again)"
        )


def fast_dtype(x: Tensor) -> torch.dtype:
    """Return the type in which rows like `x` are best encoded where they are.

    That is bfloat16 on a CPU that multiplies it natively, about twice as fast as float32; on CUDA
    it is the type of `x`; float32 elsewhere.
    """
    if x.is_cuda:
        return x.dtype
    return torch.bfloat16 if x.device.type == "cpu" and cpu_has_bfloat16() else torch.float32


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def _check_shapes(x: Tensor, w_enc: Tensor, b_enc: Tensor, k: int) -> None:
    if x.ndim != 2 or w_enc.ndim != 2 or x.shape[1] != w_enc.shape[0]:
        raise InputError(
            f"x {list(x.shape)} and w_enc {list(w_enc.shape)} do not fit: "
            "want [rows, d_in] and [d_in, n_latents]"
        )
    n = w_enc.shape[1]
    if b_enc.shape != (n,):
        raise InputError(f"b_enc {list(b_enc.shape)} does not fit {n} latents: want [{n}]")
    if not 1 <= k <= n or n > MAX_LATENTS:
        raise InputError(f"k={k} of {n} latents: want 1 <= k <= n_latents <= {MAX_LATENTS}")
    if x.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise InputError(f"x is {x.dtype}: cast it to float32, bfloat16 or float16")


@torch.no_grad()
def _encode_torch(x: Tensor, w_enc: Tensor, b_enc: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    asked, n = x.shape[0], w_enc.shape[1]
    x = torch.nn.functional.pad(x, (0, 0, 0, -asked % _STEP))
    rows = x.shape[0]
    weight, bias = w_enc.to(x.dtype), b_enc.to(x.dtype)
    latents = torch.empty(rows, k, dtype=torch.int32, device=x.device)
    values = torch.empty(rows, k, dtype=x.dtype, device=x.device)
    step = max(1, _BLOCK_BYTES // (n * x.element_size()))
    buffer = torch.empty(min(step, rows), n, dtype=x.dtype, device=x.device)
    for start in range(0, rows, step):
        block = slice(start, start + step)
        z = buffer[: len(x[block])]
        torch.addmm(bias, x[block], weight, out=z)
        latents[block], values[block] = _select(z, k)
    if not rows:
        return latents, values, torch.ones((), dtype=torch.bool, device=x.device)
    ends = [end for t in (x, weight, bias, values) for end in t.aminmax()]
    return latents[:asked], values[:asked], torch.isfinite(torch.stack(ends)).all()


def _select(z: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Pick the k largest of each row of preactivations ``[R, n]``, in two steps.

    The k largest lie in the k groups of neighbours with the largest maxima, so only the maxima and
    the members of those groups are ranked. Floats are compared as integers of the same bits, in
    which the negative ones are negative, for that is several times as fast.
    """
    rows, n = z.shape
    size = _group_size(n, k)
    bits = z.view(torch.int32 if z.dtype == torch.float32 else torch.int16)
    groups = bits.view(-1, size)
    within = torch.arange(size, device=z.device)
    first = torch.arange(0, n, size, device=z.device)
    chosen = _top(groups.amax(1).view(rows, -1), first, k)[0]
    rank = (torch.arange(rows, device=z.device)[:, None] * n + chosen).flatten() // size
    members = groups.index_select(0, rank).view(rows, -1)
    latents, values = _top(members, (chosen[:, :, None] + within).flatten(1), k)
    order = latents.argsort(1)
    return latents.gather(1, order), values.gather(1, order).view(z.dtype)


def _group_size(n: int, k: int) -> int:
    """The power of two that divides n and leaves about as many groups as members to rank."""
    size = 1
    while n % (2 * size) == 0 and 4 * size * size * k <= n:
        size *= 2
    return size


def _top(bits: Tensor, ids: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Pick the k largest of ``[R, m]``, negative ones as 0, ties by lower id ``[R, m]`` or ``[m]``.

    Returns:
        Ids ``[R, k]`` and bits ``[R, k]``, in no order.
    """
    wide, shift = (torch.int64, 32) if bits.dtype == torch.int32 else (torch.int32, 16)
    low = (1 << 16) - 1
    packed = bits.clamp_min(0).to(wide).bitwise_left_shift_(shift)
    packed += (low - ids).to(wide)
    best = _largest(packed, k)
    return low - (best & low), (best >> shift).to(bits.dtype)


def _largest(z: Tensor, k: int) -> Tensor:
    """The k largest of each row of integers, in no order."""
    if z.device.type != "cpu":
        return z.topk(k, dim=1, sorted=False).values
    parted = np.partition(z.numpy(), -k, axis=1)  # vectorised, up to ten times as fast as `topk`
    return torch.from_numpy(parted[:, -k:])
