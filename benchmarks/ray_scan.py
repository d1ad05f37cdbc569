"""A scan by one worker of Ray against the plain scan, in one run, in turn.

    python benchmarks/ray_scan.py                         # SmolLM2, 100,000 tokens
    python benchmarks/ray_scan.py --tokens 20000 --rounds 1

Both read the same documents into folders. A worker starts and loads the model each time, which the
plain scan does not; so each also reads one document, and what that took is taken from the time of
all: what is compared is the time of reading and saving the rest. The time to start is given too.
Threads are the same for both: OMP_NUM_THREADS, or what PyTorch takes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from common import CUDA, arguments, documents_of, interleaved, line, spread
from common import write as write_results

from s3_retriever.backbone import Backbone
from s3_retriever.distributed import build
from s3_retriever.distributed._ray import connect
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.resolve import resolve_bank

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from s3_retriever.documents import Document


def contenders(
    args: argparse.Namespace, backbone: Backbone, documents: Sequence[Document], folder: Path
) -> dict[str, Callable[[], object]]:
    """Builds of one document and of all, plain and by Ray."""
    bank = resolve_bank(None, backbone, documents, False)

    def plain(some: Sequence[Document]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        EndogenousIndex.build(some, path=folder, model=backbone, bank=bank, progress=False)

    def by_ray(some: Sequence[Document]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        build(
            some,
            folder,
            model=args.name,
            bank=bank,
            num_gpus=float(CUDA),
            num_cpus=1,
            concurrency=1,
            progress=False,
        )

    return {
        "plain, one document": lambda: plain(documents[:1]),
        "plain": lambda: plain(documents),
        "ray, one document": lambda: by_ray(documents[:1]),
        "ray": lambda: by_ray(documents),
    }


def main() -> None:
    """Time, print, and write a file."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--name", help="name or path of a model; default: SmolLM2")
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    os.environ.setdefault("RAY_worker_niceness", "0")  # as the plain scan has it
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    backbone = Backbone.load(args.name)
    documents = documents_of(backbone, args.tokens)
    connect("local", data=True)
    with TemporaryDirectory() as made:
        runs = contenders(args, backbone, documents, Path(made) / "index")
        times = interleaved(runs, args.rounds)
    tokens = sum(len(backbone.text.encode(document.text)) for document in documents[1:])
    rest = {
        name: [a - b for a, b in zip(times[name], times[f"{name}, one document"], strict=True)]
        for name in ("plain", "ray")
    }
    figures = {
        "tokens": tokens,
        "documents": len(documents),
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "tokens_per_second": {n: spread([tokens / one for one in own]) for n, own in rest.items()},
        "ray_of_plain": spread([a / b for a, b in zip(rest["plain"], rest["ray"], strict=True)]),
        "seconds_to_start": spread(times["ray, one document"]),
        "seconds": {name: spread(own) for name, own in times.items()},
    }
    for name, own in figures["tokens_per_second"].items():  # type: ignore[attr-defined]
        print(line(name, own, "tokens/s", 0))
    print(line("ray / plain", figures["ray_of_plain"], ""))  # type: ignore[arg-type]
    print(line("one document by ray", figures["seconds_to_start"]))  # type: ignore[arg-type]
    write_results("ray_scan", args, figures, backbone)


if __name__ == "__main__":
    main()
