"""Documents of several kinds, read once by a tiny model and split into shards at random."""

from __future__ import annotations

import random
from copy import copy
from dataclasses import replace
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

import torch

from judging import judging_bank
from random_head import make_head
from s3_retriever.codec.places import PlaceHead
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.parts import parts_of
from s3_retriever.engine.store import State
from s3_retriever.engine.stores import store_at
from small_corpus import SOURCES

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank

NAMES = ("assert", "break", "class", "debugger", "exceptions", "with", "yield", "lambda", "try")
TABLE = "Lamp,Height,Year\nCape Morrow,42,1871\nOtter Bay,17,1902\nHalm,23,1934\nBrask,9,1866\n"
GERMAN = (
    "Die Bucht hat einen Leuchtturm, und der Wärter dort war der alte Finch aus dem Dorf. "
    "Der alte Finch war in der Stadt Halm geboren und kam mit dem Boot in das Dorf."
)
CHINESE = "海湾有一座灯塔,守灯人是芬奇。芬奇出生在哈尔姆。采石场有一座工厂。磨坊有一座仓库。"
TEXTS = {
    **{name: topics[name][:2500] for name in NAMES},
    **SOURCES,
    "lamps.csv": TABLE,
    "german": GERMAN,
    "chinese": CHINESE,
}
DOCUMENTS = tuple(
    Document(name, text, {"size": len(text), "kind": "topic" if name in NAMES else "other"})
    for name, text in TEXTS.items()
)
QUESTIONS = (
    "How does a with statement treat an exception that its block raises?",
    "In the chapter on the debugger, which command prints a stack trace?",
    "Which lamp of Cape Morrow was built in 1871 by Ada Lindqvist?",
    "Wo wurde der Wärter vom Leuchtturm geboren?",
    "zeppelin",
)


def full_bank(backbone: Backbone) -> Bank:
    """A bank with heads for places, meaning and relevance; of most questions it names a place."""
    bank = judging_bank(backbone)
    calibration, bias = bank.calibration, torch.zeros(6)
    bias[3:5] = 1.0
    weight = torch.randn(
        len(calibration.heads) * calibration.head_dim,
        5,
        generator=torch.Generator().manual_seed(1),
    )
    calibration = calibration.replace(places=PlaceHead(weight, bias))
    return replace(bank, calibration=calibration, sentences=make_head(calibration))


def read_all(backbone: Backbone) -> EndogenousIndex:
    scan = ScanConfig(batch_tokens=4096)
    return EndogenousIndex.build(
        DOCUMENTS, model=backbone, bank=full_bank(backbone), scan=scan, progress=False
    )


def repeated(whole: EndogenousIndex, times: int) -> EndogenousIndex:
    """So many copies of each document, under ids of their own; nothing is read again."""
    pairs = [pair for part in whole._corpus.parts for pair in part.entries()]
    copies = [
        (Document(f"{document.id} {number}", document.text, document.metadata), codes)
        for number in range(times)
        for document, codes in pairs
    ]
    state = State(parts_of(copies, whole.bank), whole.bank, whole.scan_config)
    return EndogenousIndex(whole.backbone, state)


def split(whole: EndogenousIndex, folder: Path, shards: int, seed: int) -> list[Path]:
    """Save the documents as so many indexes, dealt and ordered at random."""
    chance = random.Random(seed)
    ids = [*whole.documents]
    chance.shuffle(ids)
    cuts = sorted(chance.sample(range(1, len(ids)), shards - 1))
    paths = []
    for number, (first, last) in enumerate(zip([0, *cuts], [*cuts, len(ids)], strict=True)):
        own = copy(whole)
        own.delete({*ids} - {*ids[first:last]})
        paths.append(folder / f"shard {number}")
        own.save(paths[-1])
    return paths


def one_index(backbone: Backbone, paths: list[Path]) -> EndogenousIndex:
    """One index of the documents of several folders, as they lie there."""
    states = [store_at(path).load() for path in paths]
    parts = [part for state in states for part in state.parts]
    first = states[0]
    return EndogenousIndex(
        backbone, State(parts, first.bank, first.scan, first.search, first.answer, first.report)
    )
