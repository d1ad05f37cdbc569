"""Weights of the layers that a token passes through when it is read, embeddings left out.

    python benchmarks/weights_read.py --embedding FOLDER

Ours to the depth of both banks that ship for SmolLM2, MiniLM, and embedding models as
sentence-transformers saves them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from common import shipped_bank

from s3_retriever.backbone import Backbone
from s3_retriever.evaluate.rankers.embedders import minilm
from s3_retriever.evaluate.rankers.sentence_embedder import SentenceEmbedder

if TYPE_CHECKING:
    from torch.nn import Module

    from s3_retriever.fitting.depth import Depth

DEPTHS: tuple[Depth, ...] = ("full", "fast")


def weights(module: Module) -> int:
    """Parameters of a module, without those of its tables of embeddings."""
    tables = {id(own.weight) for own in module.modules() if isinstance(own, torch.nn.Embedding)}
    return sum(own.numel() for own in module.parameters() if id(own) not in tables)


def main(folders: list[Path]) -> None:
    """Count and print."""
    backbone = Backbone.load(None)
    for depth in DEPTHS:
        taps = shipped_bank(backbone, depth).calibration.taps
        layers = backbone.model.model.layers[: max(tap.layer for tap in taps) + 1]
        print(f'depth="{depth}", {len(layers)} layers: {weights(layers):,}')
    for embedder in (minilm(), *map(SentenceEmbedder, folders)):
        print(f"{embedder.name}: {weights(embedder._model):,}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--embedding", type=Path, action="append", default=[], metavar="FOLDER")
    main(parser.parse_args().embedding)
