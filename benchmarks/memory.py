"""Peak memory and time per token against the length of the text: scan and full KV prefill.

    python benchmarks/memory.py          # SmolLM2 on the CPU, 8B shape on CUDA; plots as well

What is reported is the peak above the weights: on CUDA `torch.cuda.max_memory_allocated`; on the
CPU resident memory (Linux: `VmHWM`, reset before the run), every length in a process of its own.
There a library of torch keeps code for each size of batch that it has met. The sizes are few,
whatever the length; one batch of each is read first, and what they leave behind is part of the peak
and told apart as well.

The codes of a document are counted and let go: an index keeps them on the host, at the bytes a
token that are printed. While a document is read its codes are held, so a text that is one document
is reported less its codes.

The prefill keeps keys and values of all layers, as an answer would need them. It is measured up to
`--prefill-limit` tokens (the model's window, or what fits the card), and computed beyond: memory as
a line and time as a parabola through the measured points.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import CUDA, arguments, batches, default_model, documents_of, load, synchronize, text_of
from common import write as write_results

from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.reading.clock import ScanClock
from s3_retriever.reading.scan import scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank

_MIB = 2**20


class Peak:
    """Peak memory from here on, above what is in use now, in bytes."""

    def __init__(self) -> None:
        synchronize()
        if CUDA:
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            Path("/proc/self/clear_refs").write_text("5")
            self._before = _resident("VmRSS")

    def bytes(self) -> int:
        """The peak so far."""
        synchronize()
        now = torch.cuda.max_memory_allocated() if CUDA else _resident("VmHWM")
        return now - self._before

    def held(self) -> int:
        """What is in use now."""
        synchronize()
        now = torch.cuda.memory_allocated() if CUDA else _resident("VmRSS")
        return now - self._before


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(row.split()[1]) * 1024 for row in lines if row.startswith(name))


def run_scan(backbone: Backbone, bank: Bank, tokens: int, *, single: bool) -> dict[str, Any]:
    """Scan documents of ten thousand characters, or one document, and count the codes."""
    if single:
        documents = [Document(id="0", text=text_of(backbone, tokens))]
    else:
        documents = documents_of(backbone, tokens)
    loaded = Peak()
    sizes = read_each_size(backbone, bank, documents)
    left = loaded.held()
    peak, clock, codes = Peak(), ScanClock(backbone.device), 0
    for _, part in scan(backbone, bank, documents, clock=clock):
        codes += part.nbytes
    report = clock.report()
    return {
        "peak": left + peak.bytes() - (codes if single and not CUDA else 0),
        "left": left,
        "sizes": sizes,
        "codes": codes,
        "read": report.tokens,
        "seconds": report.seconds,
    }


def read_each_size(backbone: Backbone, bank: Bank, documents: Sequence[Document]) -> int:
    """Read the first batch of each size that a scan of some documents has; returns their number."""
    seen: set[tuple[int, ...]] = set()
    for batch in batches(backbone, documents, ScanConfig()):
        if batch.input_ids.shape not in seen:
            seen.add(batch.input_ids.shape)
            ids = torch.from_numpy(batch.input_ids).to(backbone.device)
            with torch.inference_mode(), backbone.tap(bank.calibration.taps) as reader:
                keys = reader.keys(ids).flatten(0, 1)
                bank.encode(keys[torch.from_numpy(batch.keep).to(backbone.device)])
    return len(seen)


def run_prefill(backbone: Backbone, tokens: int) -> dict[str, Any]:
    """Read a text in one forward pass and keep the KV cache of all layers."""
    ids = torch.from_numpy(backbone.text.encode(text_of(backbone, tokens)).ids).long()[None]
    ids = ids[:, :tokens].to(backbone.device)
    peak, begun = Peak(), perf_counter()
    with torch.inference_mode():
        kept = backbone.model(ids, use_cache=True, logits_to_keep=1)
    synchronize()
    took = perf_counter() - begun
    return {"peak": peak.bytes(), "read": kept.past_key_values.get_seq_length(), "seconds": took}


def run_one(args: argparse.Namespace) -> dict[str, Any]:
    """Load, warm up, and measure one way at one length."""
    torch.manual_seed(args.seed)
    backbone, bank = load(default_model(args.model), args.dtype, args.seed)
    return _run(backbone, bank, args.one, args.length)


def _run(backbone: Backbone, bank: Bank, way: str, tokens: int) -> dict[str, Any]:
    if way == "prefill":
        loaded = Peak()
        run_prefill(backbone, min(512, tokens))
        left = loaded.held()
        found = run_prefill(backbone, tokens)
        return {**found, "peak": left + found["peak"], "left": left}
    return run_scan(backbone, bank, tokens, single=way == "scan-one-document")


def in_fresh_process(args: argparse.Namespace, way: str, tokens: int) -> dict[str, Any]:
    """`run_one` in a process of its own."""
    command = [sys.executable, __file__, "--one", way, "--length", str(tokens)]
    command += ["--dtype", args.dtype, "--model", default_model(args.model)]
    command += ["--seed", str(args.seed)]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        raise SystemExit(found.stderr)
    result: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return result


def computed(measured: list[dict[str, Any]], tokens: int) -> dict[str, Any]:
    """What a prefill of that many tokens would take: a line for memory, a parabola for time."""
    read = np.array([row["tokens"] for row in measured], dtype=float)
    peak = np.polyfit(read, [row["peak"] for row in measured], 1)
    shape = np.stack([read, read**2], 1)
    times = np.array([row["seconds"] for row in measured])
    (linear, square), *_ = np.linalg.lstsq(shape / times[:, None], np.ones(len(read)), rcond=None)
    return {
        "tokens": tokens,
        "peak": int(np.polyval(peak, tokens)),
        "seconds": float(max(linear, 0) * tokens + max(square, 0) * tokens**2),
        "computed": True,
    }


def table(rows: list[dict[str, Any]], way: str) -> None:
    """Print one way's figures."""
    for row in rows:
        aside = "computed" if row.get("computed") else ""
        if "codes" in row:
            aside = f"{row['left'] / _MIB:.0f} MiB left by {row['sizes']} sizes of batches; "
            aside += f"{row['codes'] / row['tokens']:.0f} B/token of codes"
        print(
            f"{way:<18} {row['tokens']:>9,} tokens  {row['peak'] / _MIB:>9,.0f} MiB  "
            f"{row['seconds'] / row['tokens'] * 1e6:>8,.1f} µs/token  {aside}"
        )


def plot(figures: dict[str, list[dict[str, Any]]], title: str, path: Path) -> None:
    """Draw memory and time against length, scan beside prefill."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    styles = {"scan": ("scan (this package)", "#0b6e4f"), "prefill": ("full KV prefill", "#b23a48")}
    for way, (label, color) in styles.items():
        rows = figures[way]
        known = [row for row in rows if not row.get("computed")]
        beyond = known[-1:] + [row for row in rows if row.get("computed")]
        for part, dash, name in ((known, "o-", label), (beyond, "o:", f"{label}, computed")):
            if len(part) < 2 and dash == "o:":
                continue
            tokens = [row["tokens"] for row in part]
            memory = [row["peak"] / _MIB for row in part]
            face = "white" if dash == "o:" else color
            look = {"color": color, "markerfacecolor": face, "markersize": 5, "label": name}
            left.plot(tokens, memory, dash, **look)
            right.plot(tokens, [row["seconds"] for row in part], dash, **look)
    left.set_ylabel("peak memory above the weights, MiB")
    right.set_ylabel("seconds")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("tokens of text")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1024:g}k")
        axes.grid(alpha=0.25)
    left.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".svg", ".png"):
        figure.savefig(path.with_suffix(suffix), dpi=150)
    print(f"drawn: {path.with_suffix('.svg')}, {path.with_suffix('.png')}")


def main(args: argparse.Namespace) -> None:
    """Measure all lengths, compute what is beyond the limit, print, write and draw."""
    name = default_model(args.model)
    backbone, bank = load(name, args.dtype, args.seed)
    limit = args.prefill_limit or backbone.spec.max_positions

    def measured(way: str, tokens: int) -> dict[str, Any]:
        found = _run(backbone, bank, way, tokens) if CUDA else in_fresh_process(args, way, tokens)
        return {"tokens": tokens, **found}

    scans = [measured("scan", tokens) for tokens in args.lengths]
    single = [measured("scan-one-document", args.lengths[:2][-1])]
    table(scans, "scan")
    table(single, "scan, one document")
    prefills = [measured("prefill", tokens) for tokens in args.prefill_lengths if tokens <= limit]
    known = list(prefills)
    beyond = [tokens for tokens in args.lengths if tokens > limit]
    prefills += [computed(known, tokens) for tokens in beyond]
    table(prefills, "prefill")
    figures = {"scan": scans, "scan-one-document": single, "prefill": prefills}
    path = write_results("memory", args, {"figures": figures}, backbone, bank)
    plot(figures, f"{name}, {args.dtype}, {'GPU' if CUDA else 'CPU'}", path)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    lengths = [65_536, 114_688, 262_144, 1_048_576]
    parser.add_argument("--lengths", type=int, nargs="+", default=lengths)
    prefill = [8192, 32_768, 65_536, 131_072] if CUDA else [1024, 2048, 4096, 7168]
    parser.add_argument("--prefill-lengths", type=int, nargs="+", default=prefill)
    parser.add_argument("--prefill-limit", type=int, default=0, help="0: the model's window")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--length", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(run_one(given)))
    else:
        main(given)
