"""The fused encoder against `torch.matmul` and `torch.topk`.

    python benchmarks/encoder.py                              # a million rows, on CUDA
    python benchmarks/encoder.py --rows 8192 --latents 4096   # smaller, also on the CPU

Three ways to the k largest latents of every row, with bias and ReLU: `fused` is the encoder of the
package (the Triton kernel on CUDA, two-step selection on the CPU), `torch` multiplies and calls
`topk` in blocks of rows, `product` multiplies alone, into a block that is overwritten: what a
selection that costs nothing would take. Before timing, the fused codes are compared with those of
a stable sort.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import torch
from common import CUDA, DTYPES, arguments, interleaved, line, spread
from common import write as write_results
from torch import Tensor

from s3_retriever.codec.topk import encode_unchecked

if TYPE_CHECKING:
    import argparse

PEAK_BF16 = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
"""Dense bfloat16 operations a second of the matrix units (NVIDIA's data sheets, SXM)."""

_BLOCK_BYTES = 2**30


def inputs(rows: int, d: int, latents: int, dtype: torch.dtype, seed: int) -> tuple[Tensor, ...]:
    """Normal rows and weights, and a bias that is not zero."""
    device = "cuda" if CUDA else "cpu"
    random = torch.Generator(device).manual_seed(seed)
    x = torch.randn(rows, d, generator=random, device=device).to(dtype)
    weight = torch.randn(d, latents, generator=random, device=device) / d**0.5
    bias = 0.1 * torch.randn(latents, generator=random, device=device)
    return x, weight.to(dtype), bias


def step_of(x: Tensor, weight: Tensor) -> int:
    """Rows of a block whose preactivations take a gibibyte, less on the CPU."""
    room = _BLOCK_BYTES if CUDA else _BLOCK_BYTES // 32
    return max(1, min(len(x), room // (weight.shape[1] * x.element_size())))


def product(x: Tensor, weight: Tensor, bias: Tensor) -> None:
    """The product alone."""
    step = step_of(x, weight)
    block = torch.empty(step, weight.shape[1], dtype=x.dtype, device=x.device)
    for start in range(0, len(x), step):
        rows = x[start : start + step]
        torch.matmul(rows, weight, out=block[: len(rows)])


def plain(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Product, bias, ReLU and `torch.topk`, in blocks of rows."""
    step, added = step_of(x, weight), bias.to(x.dtype)
    parts = [
        (torch.matmul(x[start : start + step], weight) + added).relu_().topk(k, dim=1)
        for start in range(0, len(x), step)
    ]
    return torch.cat([part.indices for part in parts]), torch.cat([part.values for part in parts])


def agreement(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> float:
    """Share of latents that the fused encoder and a sort of float32 preactivations both name."""
    rows = x[:2048]
    z = torch.addmm(bias, rows.float(), weight.float()).relu()
    best = z.to(x.dtype).float().sort(dim=1, descending=True, stable=True).indices[:, :k]
    found = encode_unchecked(rows, weight, bias, k)[0].long()
    return float((found[:, :, None] == best[:, None, :]).any(2).float().mean())


def measure(rows: int, d: int, latents: int, k: int, args: argparse.Namespace) -> dict[str, Any]:
    """Time the three ways on one size."""
    x, weight, bias = inputs(rows, d, latents, DTYPES[args.dtype], args.seed)
    same = agreement(x, weight, bias, k)
    ways = {
        "fused": lambda: encode_unchecked(x, weight, bias, k),
        "torch": lambda: plain(x, weight, bias, k),
        "product": lambda: product(x, weight, bias),
    }
    with torch.inference_mode():
        times = interleaved(ways, args.rounds)
    operations = 2 * rows * d * latents
    best = statistics.median(times["fused"])
    found: dict[str, Any] = {
        "rows": rows,
        "d": d,
        "latents": latents,
        "k": k,
        "dtype": args.dtype,
        "same_latents": round(same, 6),
        "seconds": {name: spread(values) for name, values in times.items()},
        "faster_than_torch": round(statistics.median(times["torch"]) / best, 3),
        "operations_per_second": round(operations / best),
    }
    peak = next((v for name, v in PEAK_BF16.items() if CUDA and name in _card()), None)
    if peak and args.dtype == "bf16":
        found["share_of_matrix_units"] = round(operations / best / peak, 4)
    return found


def _card() -> str:
    return str(torch.cuda.get_device_name())


def show(found: dict[str, Any]) -> None:
    """Print one size."""
    sizes = f"{found['rows']:,} rows, d={found['d']}, {found['latents']:,} latents, k={found['k']}"
    print(f"\n{sizes}, {found['dtype']}; minimum / median / maximum")
    for name, values in found["seconds"].items():
        print("  " + line(name, values, "s", 4))
    print(
        f"  {found['faster_than_torch']:.2f} times as fast as torch, "
        f"{found['operations_per_second'] / 1e12:.2f} Tflop/s"
        + (
            f", {found['share_of_matrix_units']:.1%} of the matrix units"
            if "share_of_matrix_units" in found
            else ""
        )
        + f", {found['same_latents']:.4%} of the latents the same"
    )


def main(args: argparse.Namespace) -> None:
    """Measure the sizes asked for, or the sweep."""
    sizes = [(args.rows, args.d, args.latents, args.k)]
    if args.sweep:
        sizes += [(args.rows // 4, d, args.latents, args.k) for d in (64, 80, 96, 256)]
        sizes += [(args.rows // 4, args.d, n, args.k) for n in (1024, 4096, 8192)]
        sizes += [(args.rows // 4, args.d, args.latents, k) for k in (8, 16, 64)]
    found = [measure(*size, args) for size in sizes]
    for row in found:
        show(row)
    machine = _card() if CUDA else "cpu"
    write_results("encoder", args, {"device": machine, "figures": found})


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000 if CUDA else 8192)
    parser.add_argument("--d", type=int, default=128)
    parser.add_argument("--latents", type=int, default=16_384)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="bf16")
    parser.add_argument("--rounds", type=int, default=10 if CUDA else 5)
    parser.add_argument("--sweep", action="store_true", help="other d, latents and k as well")
    main(parser.parse_args())
