"""The banks that ship with the package."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from s3_retriever.codec import Bank
from s3_retriever.fitting.depth import DEFAULT, depth_of

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone
    from s3_retriever.fitting.depth import Depth


ROOT = resources.files("s3_retriever") / "data" / "banks"
"""Holds a folder for each bank."""


def builtin_bank(backbone: Backbone, depth: Depth = DEFAULT) -> Bank | None:
    """Return the bank of a depth that ships for a model, or None."""
    with resources.as_file(ROOT) as path:
        for folder in sorted(path.iterdir()) if path.is_dir() else ():
            if not (folder / "bank.json").is_file():
                continue
            bank = Bank.load(folder)
            if depth_of(bank) == depth and bank.fits(backbone):
                return bank
    return None
