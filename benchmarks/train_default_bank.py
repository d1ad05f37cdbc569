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
from default_corpus import corpus

from s3_retriever.backbone import Backbone
from s3_retriever.config import ScanConfig
from s3_retriever.fitting import CalibrateConfig, TrainConfig, builtin_sets, calibrate
from s3_retriever.fitting.banks import train_bank
from s3_retriever.reading.keys import key_blocks

if TYPE_CHECKING:
    from s3_retriever.codec import Calibration

OUT = Path(__file__).parents[1] / "s3_retriever/data/banks/smollm2-135m-instruct"


def write_keys(backbone: Backbone, calibration: Calibration, folder: Path, file: Path) -> None:
    """Read the corpus and write its keys ``f16[T, N, d]``."""
    partial = file.with_suffix(".partial")
    with partial.open("wb") as stream:
        blocks = key_blocks(backbone, calibration.taps, corpus(folder), ScanConfig(), progress=True)
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
    parser.add_argument("--keys", type=Path, default=Path("keys.bin"))
    parser.add_argument("--latents", type=int, default=4096)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--place-questions", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    backbone = Backbone.load(None)
    settings = CalibrateConfig(place_questions=args.place_questions)
    calibration = calibrate(backbone, builtin_sets(), settings, progress=True)
    if not args.keys.exists():
        write_keys(backbone, calibration, args.corpora, args.keys)
    config = TrainConfig(n_latents=args.latents, k=args.k, steps=args.steps, seed=args.seed)
    rows = calibrated(calibration, args.keys)
    bank = train_bank(backbone, calibration, rows, config, progress=True)
    command = f"python {shlex.join(['benchmarks/train_default_bank.py', 'CORPORA'])}"
    notes = {
        "command": f"{command} --latents {args.latents} --k {args.k} --steps {args.steps} "
        f"--seed {args.seed}",
        "corpus": "benchmarks/default_corpus.py: WikiText-2 valid and test, a share of five "
        "English novels, pydoc topics, descriptions of installed packages, the package's own texts",
    }
    bank = replace(bank, model_name="SmolLM2-135M-Instruct", metadata=dict(bank.metadata) | notes)
    bank.save(args.out)
    print(bank.metadata, file=sys.stderr)


if __name__ == "__main__":
    main()
