"""Train the bank without whitening that quality.py compares with the one that ships.

    python benchmarks/train_default_bank.py CORPORA --keys keys.bin --out /tmp/again
    python benchmarks/variant_banks.py keys.bin --out banks/

It differs from the bank that ships in this alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from train_default_bank import calibrated

from s3_retriever.backbone import Backbone
from s3_retriever.fitting import TrainConfig
from s3_retriever.fitting.banks import builtin_bank, train_bank

if TYPE_CHECKING:
    from s3_retriever.codec import Calibration


def unwhitened(calibration: Calibration) -> Calibration:
    """The same loudness of each tap, but the basis of the raw keys."""
    size = calibration.head_dim
    loudness = calibration.whiten.square().sum((1, 2)).div(size).sqrt()[:, None, None]
    eye = torch.eye(size)
    return calibration.replace(whiten=loudness * eye, unwhiten=eye / loudness)


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("keys", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    backbone = Backbone.load(None)
    shipped = builtin_bank(backbone)
    if shipped is None:
        raise SystemExit("the bank for SmolLM2-135M-Instruct is missing from this checkout")
    config = TrainConfig(**shipped.metadata["training"])

    calibration = unwhitened(shipped.calibration)
    rows = calibrated(calibration, args.keys)
    bank = train_bank(backbone, calibration, rows, config, progress=True)
    bank.save(args.out / "no whitening")
    print(bank.metadata)


if __name__ == "__main__":
    main()
