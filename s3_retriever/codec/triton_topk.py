"""The fused encoder: the k largest latents of every row, preactivations never written.

A program holds a block of rows and walks over the latents. One ``tl.dot`` gives the preactivations
of a block of latents in registers, where bias and ReLU are applied and each becomes a sortable
integer: above, the bits of the value in the type of the rows; below, the inverted latent. All keys
differ, and of equal values the lower latent has the larger key.

The running k best keys of a row stay in registers. While some row's largest key of the block beats
the worst of that row's best, it takes its place; a block without such a row is passed over after
one maximum. Of n latents in random order only about k·(1 + ln(n/k)) per row ever enter.

Import this module late: it needs triton. With ``TRITON_INTERPRET=1`` in the environment before
triton is imported, it runs on the CPU.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor


def supports(d_in: int, n_latents: int, k: int) -> bool:
    """Say whether the kernel takes such sizes."""
    return 1 <= d_in <= 1024 and k <= 64 and n_latents >= 16


def encode(x: Tensor, w_enc: Tensor, b_enc: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Do as `encode_unchecked` for sizes that are supported, on CUDA or in the interpreter.

    Args:
        x: ``[R, d_in]``, float32, bfloat16 or float16.
        w_enc: ``[d_in, n_latents]``; cast to the dtype of `x`.
        b_enc: ``[n_latents]``; float32.
        k: Latents per row.

    Returns:
        Latents ``int32[R, k]`` ascending in each row, values ``[R, k]`` in the dtype of `x`, and
        ``bool[]``: whether everything that came in and went out is finite. Nothing waits for the
        device.
    """
    rows, d_in = x.shape
    n = w_enc.shape[1]
    weight, bias = w_enc.to(x.dtype), b_enc.float()
    latents = torch.empty(rows, k, dtype=torch.int32, device=x.device)
    values = torch.empty(rows, k, dtype=x.dtype, device=x.device)
    block = _blocks(rows, d_in, x.element_size())
    if rows:
        with torch.cuda.device(x.device if x.is_cuda else -1):
            _encode_kernel[(triton.cdiv(rows, block.rows),)](
                x,
                weight,
                bias,
                latents,
                values,
                rows,
                n,
                *x.stride(),
                *weight.stride(),
                D=d_in,
                K=k,
                SLOTS=triton.next_power_of_2(max(2, k)),
                ROWS=block.rows,
                LATENTS=block.latents,
                INPUTS=block.inputs,
                WIDEN=_interpreted(),
                num_warps=block.warps,
            )
    finite = torch.stack([torch.isfinite(t).all() for t in (x, weight, bias, values)]).all()
    return latents, values, finite


class _Blocks(NamedTuple):
    """Sizes of what one program holds at a time."""

    rows: int
    latents: int
    inputs: int
    warps: int


def _blocks(rows: int, d_in: int, itemsize: int) -> _Blocks:
    """Choose sizes that fill the registers without spilling (compiled for sm_90).

    The more rows a program has, the less often the weights are read; but few rows must still be
    spread over all multiprocessors.
    """
    whole = triton.next_power_of_2(max(16, d_in))
    if itemsize == 4:
        return _Blocks(64, 32, min(whole, 64), 4)
    inputs = whole if whole <= 256 else 64
    return _Blocks(128, 64, inputs, 8) if rows >= 32_768 else _Blocks(64, 64, inputs, 4)


def _interpreted() -> bool:
    """Whether the kernel runs on the CPU, in an interpreter that cannot multiply bfloat16."""
    return type(_encode_kernel).__name__ == "InterpretedFunction"


@triton.jit  # type: ignore[untyped-decorator]
def _product(a, b, total, WIDEN: tl.constexpr):  # type: ignore[no-untyped-def]
    if WIDEN:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, total, input_precision="tf32x3")


@triton.jit  # type: ignore[untyped-decorator]
def _keys(z, latent, kind: tl.constexpr):  # type: ignore[no-untyped-def]
    """Sortable integers of preactivations ``f32[ROWS, LATENTS]``: 64 bits for float32, else 32."""
    z = tl.maximum(z, 0.0).to(kind)
    if kind == tl.float32:
        key = (z.to(tl.int32, bitcast=True).to(tl.int64) << 32) | (0xFFFFFFFF - latent.to(tl.int64))
    else:
        key = (z.to(tl.int16, bitcast=True).to(tl.int32) << 16) | (0xFFFF - latent)
    return key


@triton.jit  # type: ignore[untyped-decorator]
def _encode_kernel(  # type: ignore[no-untyped-def]
    x_ptr,
    w_ptr,
    b_ptr,
    latents_ptr,
    values_ptr,
    rows,
    n,
    x_row,
    x_col,
    w_row,
    w_col,
    D: tl.constexpr,
    K: tl.constexpr,
    SLOTS: tl.constexpr,
    ROWS: tl.constexpr,
    LATENTS: tl.constexpr,
    INPUTS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    kind: tl.constexpr = x_ptr.dtype.element_ty
    whole: tl.constexpr = tl.int64 if kind == tl.float32 else tl.int32
    never: tl.constexpr = 0x7FFFFFFFFFFFFFFF if kind == tl.float32 else 0x7FFFFFFF
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    column = tl.arange(0, LATENTS)
    slot = tl.arange(0, SLOTS)
    inner = tl.arange(0, INPUTS)
    x_at = x_ptr + row[:, None] * x_row + inner[None, :] * x_col
    w_at = w_ptr + inner[:, None] * w_row + column[None, :] * w_col
    valid = row < rows

    # An empty slot is below any key, a key that was taken below those. Slots past K, and rows past
    # the last, are never beaten.
    open_slot = valid[:, None] & (slot < K)[None, :]
    best = tl.where(open_slot, (-2 - slot)[None, :].to(whole), never)
    worst = tl.min(best, 1)

    if D <= INPUTS:
        x = tl.load(x_at, valid[:, None] & (inner < D)[None, :], 0.0)
        w = tl.load(w_at, (inner < D)[:, None] & (column < n)[None, :], 0.0)
    for start in range(0, n, LATENTS):
        known = start + column < n
        z = tl.zeros((ROWS, LATENTS), tl.float32)
        if D <= INPUTS:
            z = _product(x, w, z, WIDEN)
            ahead = start + LATENTS + column < n  # the next weights travel during the search
            w_ahead = w_at + (start + LATENTS) * w_col
            w = tl.load(w_ahead, (inner < D)[:, None] & ahead[None, :], 0.0)
        else:
            for first in range(0, D, INPUTS):
                there = first + inner < D
                x_part = tl.load(x_at + first * x_col, valid[:, None] & there[None, :], 0.0)
                w_part_at = w_at + first * w_row + start * w_col
                w_part = tl.load(w_part_at, there[:, None] & known[None, :], 0.0)
                z = _product(x_part, w_part, z, WIDEN)
        # Past the last latent the value is 0 and the latent higher than any: it never stays.
        z += tl.load(b_ptr + start + column, known, float("-inf"))[None, :]
        keys = _keys(z, (start + column)[None, :], kind)

        top = tl.max(keys, 1)
        while tl.max((top > worst).to(tl.int32), 0) > 0:
            keys = tl.where(keys == top[:, None], -0x40000000, keys)
            leaves = (best == worst[:, None]) & (top > worst)[:, None]
            best = tl.where(leaves, top[:, None], best)
            worst = tl.min(best, 1)
            top = tl.max(keys, 1)

    # Latent above, value below: sorting puts the latents in order and the slots past K last.
    half: tl.constexpr = 32 if kind == tl.float32 else 16
    low: tl.constexpr = 0xFFFFFFFF if kind == tl.float32 else 0xFFFF
    used = (slot < K)[None, :]
    flipped = ((low - (best & low)).to(tl.int64) << 32) | (best >> half)
    order = tl.sort(tl.where(used, flipped, 0x7FFFFFFFFFFFFFFF), 1)
    if kind == tl.float32:
        value = (order & low).to(tl.int32).to(kind, bitcast=True)
    else:
        value = (order & low).to(tl.int16).to(kind, bitcast=True)
    out = row[:, None] * K + slot[None, :]
    tl.store(latents_ptr + out, (order >> 32).to(tl.int32), valid[:, None] & used)
    tl.store(values_ptr + out, value, valid[:, None] & used)
