"""On what an evaluation ran: versions, machine and model."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from s3_retriever import __version__

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank

_PACKAGES = ("torch", "transformers", "numpy", "rank-bm25", "faiss-cpu")


def about(backbone: Backbone, bank: Bank | None) -> dict[str, Any]:
    """Versions of the packages, the machine, the model and its bank; JSON-serialisable."""
    return {
        "versions": {
            "s3-retriever": __version__,
            "python": platform.python_version(),
            **{package: _version(package) for package in _PACKAGES},
        },
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": _device(backbone),
        },
        "model": {
            "name": backbone.name,
            "layers": backbone.spec.layers,
            "dtype": str(backbone.dtype).removeprefix("torch."),
        },
        **({} if bank is None else {"bank": _bank(bank)}),
    }


def _bank(bank: Bank) -> dict[str, Any]:
    calibration = bank.calibration
    return {
        "digest": bank.digest(),
        "heads": [f"{head.layer}.{head.head}" for head in calibration.heads],
        "layers_read": 1 + max(tap.layer for tap in calibration.taps),
        "latents_per_token": bank.width,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return (names or [platform.processor()])[0].strip() or platform.machine()


def _device(backbone: Backbone) -> str:
    if backbone.device.type == "cuda":
        return str(torch.cuda.get_device_name(backbone.device))
    return backbone.device.type
