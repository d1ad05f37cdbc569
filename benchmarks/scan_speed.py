"""Scan throughput against a bare forward pass of the same batches with nothing captured.

    python benchmarks/scan_speed.py                       # SmolLM2 on the CPU, 8B shape on CUDA
    python benchmarks/scan_speed.py --batches 1024 2048   # other sizes of a batch
    python benchmarks/scan_speed.py --depths              # both banks of SmolLM2, scans alone

Two bare passes stand beside the scan: `stopped` ends where the scan ends, at the projection of the
deepest key that is read (a hook that only raises); `whole` runs the layers up to that one to their
end, without any hook. The scan pays for tokenising, encoding, the copy to the host and its
bookkeeping; the bare passes get their batches ready made.

Shares are of passes of the same round, a few seconds apart. On a machine with other work, set
OMP_NUM_THREADS=1: threads that wait for one another lose most when one is held up. Then processor
time tells what the wall clock would on an idle machine.
"""

from __future__ import annotations

import statistics
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from common import (
    CUDA,
    RESULTS,
    arguments,
    batches,
    default_model,
    documents_of,
    interleaved,
    line,
    load,
    shipped_bank,
    spread,
)
from common import write as write_results

from s3_retriever.config import ScanConfig
from s3_retriever.reading.clock import ScanClock
from s3_retriever.reading.scan import scan

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.documents import Document
    from s3_retriever.fitting.depth import Depth

DEPTHS: tuple[Depth, ...] = ("full", "fast")


class _Stop(Exception):
    """Ends a forward pass where the scan ends it."""


def stop_at(decoder: Any, depth: int) -> Any:
    """Make the forward pass end at the key projection of a layer; returns the hook's handle."""

    def stop(module: Any, inputs: Any, output: Any) -> None:
        raise _Stop

    return decoder.layers[depth].self_attn.k_proj.register_forward_hook(stop)


@contextmanager
def shallow(decoder: Any, layers: int) -> Iterator[None]:
    """Give the decoder its first layers alone for a while."""
    every, configured = decoder.layers, decoder.config.num_hidden_layers
    decoder.layers, decoder.config.num_hidden_layers = every[:layers], layers
    try:
        yield
    finally:
        decoder.layers, decoder.config.num_hidden_layers = every, configured


def forward(decoder: Any, rows: Sequence[torch.Tensor]) -> None:
    """A bare forward pass of every batch."""
    with torch.inference_mode():
        for ids in rows:
            try:
                decoder(ids, use_cache=False)
            except _Stop:
                continue


def compile_parts(decoder: Any, layers: int) -> None:
    """Compile feed-forward blocks and norms: all but the projections that are read."""
    for layer in decoder.layers[:layers]:
        for part in (layer.mlp, layer.input_layernorm, layer.post_attention_layernorm):
            part.compile(dynamic=True)


def measure(
    backbone: Backbone,
    bank: Bank,
    documents: Sequence[Document],
    config: ScanConfig,
    rounds: int,
) -> dict[str, Any]:
    """Scan and bare passes, interleaved."""
    decoder = backbone.model.get_decoder()
    depth = max(tap.layer for tap in bank.calibration.taps)
    found = batches(backbone, documents, config)
    rows = [torch.from_numpy(batch.input_ids).to(backbone.device) for batch in found]
    reports = []

    def stopped() -> None:
        handle = stop_at(decoder, depth)
        try:
            forward(decoder, rows)
        finally:
            handle.remove()

    def whole() -> None:
        with shallow(decoder, depth + 1):
            forward(decoder, rows)

    def scanned() -> None:
        clock = ScanClock(backbone.device)
        for _ in scan(backbone, bank, documents, config, clock=clock):
            pass
        reports.append(clock.report())

    backbone.model.eval()
    cpu: dict[str, list[float]] = {}
    times = interleaved({"scan": scanned, "stopped": stopped, "whole": whole}, rounds, cpu)
    tokens, last = reports[-1].tokens, min(reports[1:], key=lambda report: report.seconds)
    return {
        "tokens": tokens,
        "read_tokens": last.read_tokens,
        "layers": depth + 1,
        "chunk_tokens": config.chunk_tokens,
        "batch_tokens": config.batch_tokens,
        "seconds": {name: spread(values) for name, values in times.items()},
        "tokens_per_second": round(tokens / statistics.median(times["scan"])),
        "stages_of_fastest": {name: round(value, 4) for name, value in last.stages.items()},
        "share_of_bare": {name: _share(times, name) for name in ("stopped", "whole")},
        "share_of_bare_in_processor_time": {
            name: _share(cpu, name) for name in ("stopped", "whole")
        },
    }


def by_depth(
    backbone: Backbone, documents: Sequence[Document], config: ScanConfig, rounds: int
) -> dict[str, Any]:
    """Scans with the banks of both depths, interleaved."""
    banks = {depth: shipped_bank(backbone, depth) for depth in DEPTHS}
    reports = {}

    def scanned(depth: Depth) -> None:
        clock = ScanClock(backbone.device)
        for _ in scan(backbone, banks[depth], documents, config, clock=clock):
            pass
        reports[depth] = clock.report()

    cpu: dict[str, list[float]] = {}
    times = interleaved({depth: partial(scanned, depth) for depth in banks}, rounds, cpu)
    tokens = reports["full"].tokens
    pairs = zip(times["full"], times["fast"], strict=True)
    return {
        "tokens": tokens,
        "layers": {d: max(t.layer for t in b.calibration.taps) + 1 for d, b in banks.items()},
        "seconds": {depth: spread(values) for depth, values in times.items()},
        "processor_seconds": {depth: spread(values) for depth, values in cpu.items()},
        "tokens_per_second": {d: round(tokens / statistics.median(v)) for d, v in times.items()},
        "fast_over_full": spread([full / fast for full, fast in pairs]),
    }


def _share(times: dict[str, list[float]], bare: str) -> dict[str, float]:
    """Throughput of the scan relative to a bare pass, round by round."""
    pairs = zip(times[bare], times["scan"], strict=True)
    return spread([without / scanned for without, scanned in pairs])


def show(title: str, figures: dict[str, Any]) -> None:
    """Print one measurement."""
    print(
        f"\n{title}: {figures['tokens']:,} tokens, {figures['layers']} layers, minimum / median /"
    )
    print(f"maximum; {figures['tokens_per_second']:,} tokens/s")
    for name, values in figures["seconds"].items():
        print("  " + line(name, values))
    for name, values in figures["share_of_bare"].items():
        print("  " + line(f"throughput of the scan, {name}=1", values, ""))
    if not CUDA:
        for name, values in figures["share_of_bare_in_processor_time"].items():
            print("  " + line(f"by processor time, {name}=1", values, ""))
    stages = figures["stages_of_fastest"].items()
    print("  fastest scan: " + ", ".join(f"{name} {value:.2f} s" for name, value in stages))


def compare_depths(args: argparse.Namespace) -> None:
    """Both banks of SmolLM2, for each type of weights."""
    found = {}
    for dtype in args.dtypes:
        backbone, bank = load("smollm2", dtype, args.seed)
        config = ScanConfig(chunk_tokens=args.chunk, batch_tokens=args.batches[0])
        found[dtype] = by_depth(backbone, documents_of(backbone, args.tokens), config, args.rounds)
        print(f"\n{dtype}: {found[dtype]['tokens']:,} tokens, minimum / median / maximum")
        for depth, speed in found[dtype]["tokens_per_second"].items():
            values = found[dtype]["seconds"][depth]
            print("  " + line(f"{depth}, {speed:,} tokens/s", values))
        print("  " + line("fast over full", found[dtype]["fast_over_full"], ""))
    args.out = args.out or RESULTS / "scan_speed-depths.json"
    write_results("scan_speed", args, {"figures": found}, backbone, bank)


def main(args: argparse.Namespace) -> None:
    """Measure every combination asked for, and write them to one file."""
    name = default_model(args.model)
    found: dict[str, Any] = {}
    for dtype in args.dtypes:
        for compiled in (False, True) if args.compile else (False,):
            backbone, bank = load(name, dtype, args.seed)
            if compiled:
                depth = max(tap.layer for tap in bank.calibration.taps)
                compile_parts(backbone.model.get_decoder(), depth + 1)
            documents = documents_of(backbone, args.tokens)
            for size in args.batches:
                config = ScanConfig(chunk_tokens=args.chunk, batch_tokens=size)
                title = f"{name}, {dtype}{', compiled' * compiled}, batches of {size}"
                found[title] = measure(backbone, bank, documents, config, args.rounds)
                show(title, found[title])
    write_results("scan_speed", args, {"figures": found}, backbone, bank)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--tokens", type=int, default=262_144 if CUDA else 16_384)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunk", type=int, default=ScanConfig().chunk_tokens)
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[16_384] if CUDA else [ScanConfig().batch_tokens]
    )
    parser.add_argument("--dtypes", nargs="+", default=["bf16"] if CUDA else ["bf16", "fp32"])
    parser.add_argument("--compile", action="store_true", help="also with compiled layers")
    parser.add_argument("--depths", action="store_true", help="both banks that ship for SmolLM2")
    chosen = parser.parse_args()
    (compare_depths if chosen.depths else main)(chosen)
