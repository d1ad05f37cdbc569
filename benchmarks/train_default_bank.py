"""Make the bank that ships for SmolLM2-135M-Instruct.

    python benchmarks/train_default_bank.py CORPORA --keys keys.bin

CORPORA is a folder of text files (see default_corpus.py for what else is read). Raw keys are kept
in the file, two bytes a number, so that a second run with other settings does not read the text
again.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from default_corpus import corpus, first

from s3_retriever.backbone import Backbone
from s3_retriever.config import ScanConfig
from s3_retriever.fitting import CalibrateConfig, TrainConfig, builtin_sets, calibrate
from s3_retriever.fitting.banks import train_bank
from s3_retriever.fitting.depth import SHARES
from s3_retriever.reading.keys import key_blocks

if TYPE_CHECKING:
    from s3_retriever.codec import Calibration
    from s3_retriever.documents import Document

BANKS = Path(__file__).parents[1] / "s3_retriever/data/banks"
OUT = {"full": BANKS / "smollm2-135m-instruct", "fast": BANKS / "smollm2-135m-instruct-fast"}


def write_keys(
    backbone: Backbone, calibration: Calibration, documents: list[Document], file: Path
) -> None:
    """Read documents and write their keys ``f16[T, N, d]``."""
    partial = file.with_suffix(".partial")
    with partial.open("wb") as stream:
        blocks = key_blocks(backbone, calibration.taps, documents, ScanConfig(), progress=True)
        for _, keys in blocks:
            stream.write(keys.half().numpy().tobytes())
    partial.rename(file)


def calibrated(calibration: Calibration, file: Path) -> torch.Tensor:
    """Calibrated rows ``f16[T, N · d]`` of the keys in a file."""
    shape = (-1, len(calibration.taps), calibration.head_dim)
    raw = np.fromfile(file, dtype=np.float16).reshape(shape)
    rows = torch.empty(len(raw), shape[1] * shape[2], dtype=torch.half)
    for start in range(0, len(raw), 65_536):
        block = torch.from_numpy(raw[start : start + 65_536])
        rows[start : start + 65_536] = calibration.keys(block).flatten(1).half()
    return rows


def main() -> None:
    """Calibrate, read, train, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--depth", choices=tuple(OUT), default="full")
    parser.add_argument("--keys", type=Path, default=Path("keys.bin"))
    parser.add_argument("--characters", type=int, help="of the corpus, about; default: all")
    parser.add_argument("--latents", type=int, default=4096)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--place-questions", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    backbone = Backbone.load(None)
    settings = CalibrateConfig(depth=SHARES[args.depth], place_questions=args.place_questions)
    calibration = calibrate(backbone, builtin_sets(), settings, progress=True)
    if not args.keys.exists():
        texts = first(corpus(args.corpora), args.characters)
        write_keys(backbone, calibration, texts, args.keys)
    config = TrainConfig(n_latents=args.latents, k=args.k, steps=args.steps, seed=args.seed)
    rows = calibrated(calibration, args.keys)
    bank = train_bank(backbone, calibration, rows, config, progress=True)
    script = shlex.join(["benchmarks/train_default_bank.py", "CORPORA", "--depth", args.depth])
    part = "" if args.characters is None else f" --characters {args.characters}"
    notes = {
        "command": f"python {script}{part} --latents {args.latents} --k {args.k} "
        f"--steps {args.steps} --seed {args.seed}",
        "corpus": "benchmarks/default_corpus.py: WikiText-2 valid and test, a share of five "
        "English novels, pydoc topics, descriptions of installed packages, the package's own texts",
    }
    bank = replace(bank, model_name="SmolLM2-135M-Instruct", metadata=dict(bank.metadata) | notes)
    bank.save(args.out or OUT[args.depth])
    print(bank.metadata, file=sys.stderr)


if __name__ == "__main__":
    main()
