"""An index folder of a large text: opening, adding, deleting, saving, filters, bytes, memory.

::

    python benchmarks/index_at_scale.py --tokens 1000000

The text is that of search_speed.py: real sentences drawn at random, with their codes. Everything
after the building is timed in processes of its own, by a model that is loaded before; what the
model reads is left out of the times of searches, and the scan of what is added of those of `add`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from pydoc_data.topics import topics
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from common import arguments, line, load, spread, write
from search_speed import drawn, real_text

from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.parts import parts_of
from s3_retriever.engine.store import State
from s3_retriever.engine.stores import store_at
from s3_retriever.labelled.sets import builtin_sets
from s3_retriever.storage import holding, index_info

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.codec.codes import TokenCodes

PARTS = 100
"""Additions that make the second folder; also the numbers that a filter chooses by."""

FILTERS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "1%": {"part": 0},
    "50%": {"part": {"$lt": PARTS // 2}},
}


def entries(
    args: argparse.Namespace, backbone: Backbone, bank: Bank
) -> list[tuple[Document, TokenCodes]]:
    """Documents with a number to choose by, and their codes."""
    text = drawn(real_text(backbone, bank, args.real), args.tokens, args.seed)
    documents = [
        Document(own.id, own.text, {"part": number % PARTS})
        for number, own in enumerate(text.documents)
    ]
    return list(zip(documents, text.codes.parts, strict=True))


def made(
    backbone: Backbone, bank: Bank, rows: Sequence[tuple[Document, TokenCodes]], folder: Path
) -> float:
    """Save an index of what was read; seconds, those of its tables included."""
    begun = perf_counter()
    state = State(parts_of(rows, bank), bank, ScanConfig())
    EndogenousIndex(backbone, state).save(folder)
    return perf_counter() - begun


def added(
    backbone: Backbone, bank: Bank, rows: Sequence[tuple[Document, TokenCodes]], folder: Path
) -> None:
    """The same by many additions, each saved."""
    step = -(-len(rows) // PARTS)
    made(backbone, bank, rows[:step], folder)
    store = store_at(folder)
    with holding(folder):
        state = store.outline()
        for first in range(step, len(rows), step):
            state = store.extend(state, rows[first : first + step])


def questions(count: int) -> list[str]:
    """Questions of the labelled sets that ship."""
    asked = [question.question for part in builtin_sets() for question in part.questions]
    return asked[:: max(len(asked) // count, 1)][:count]


def anonymous() -> int:
    """Bytes of memory of this process that no file stands behind."""
    for row in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if row.startswith("Anonymous:"):
            return int(row.split()[1]) * 1024
    raise SystemExit("this system does not tell what memory a process has")


def searched(index: EndogenousIndex, asked: Sequence[str], kept: Any = None) -> list[float]:
    """Seconds of each search, without the model's reading."""
    return [index.search(question, k=40, filter=kept).seconds.search for question in asked]


def asks(folder: Path, backbone: Backbone, count: int) -> dict[str, Any]:
    """What a process that opens a folder and asks it takes."""
    asked, before = questions(count), anonymous()
    begun = perf_counter()
    index = EndogenousIndex.load(folder, model=backbone)
    opened = perf_counter() - begun
    (first,) = searched(index, asked[:1])
    searched(index, asked)  # what the model reads of them is read
    seconds = searched(index, asked)
    memory = anonymous() - before
    filters: dict[str, Any] = {}
    for name, kept in FILTERS.items():
        (once,) = searched(index, asked[:1], kept)
        filters[name] = {"first": once, **spread(searched(index, asked, kept))}
    return {
        "open": opened,
        "first_answer": opened + first,
        "search": spread(seconds),
        "anonymous_bytes": memory,
        "filters": filters,
    }


def changes(folder: Path, backbone: Backbone, rounds: int) -> dict[str, Any]:
    """Seconds of additions and deletions, and of saving after each."""
    index = EndogenousIndex.load(folder, model=backbone)
    searched(index, questions(1))
    pages = sorted(topics.values(), key=len)[len(topics) // 2 :]
    rows: dict[str, list[float]] = {"add": [], "save_added": [], "delete": [], "save_deleted": []}
    for number in range(rounds):
        before, begun = index.stats.scan_seconds, perf_counter()
        index.add([Document(f"page {number}", pages[number][:4000])], progress=False)
        scanned = index.stats.scan_seconds - before
        rows["add"].append(perf_counter() - begun - scanned)
        rows["save_added"].append(saved(index, folder))
        begun = perf_counter()
        index.delete([str(number)])
        rows["delete"].append(perf_counter() - begun)
        rows["save_deleted"].append(saved(index, folder))
    return {name: spread(own) for name, own in rows.items()}


def saved(index: EndogenousIndex, folder: Path) -> float:
    """Seconds of saving."""
    begun = perf_counter()
    index.save(folder)
    return perf_counter() - begun


TASKS = {"asks": asks, "changes": changes}


def apart(task: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Run a task in a process of its own."""
    count = args.questions if task == "asks" else args.rounds
    words = [sys.executable, __file__, "--task", task, str(folder), str(count)]
    words += ["--threads", str(args.threads), "--seed", str(args.seed)]
    out = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    print(task, folder.name, json.dumps(found), flush=True)
    return found


def measured(
    args: argparse.Namespace, backbone: Backbone, bank: Bank, home: Path
) -> dict[str, Any]:
    """All figures."""
    rows = entries(args, backbone, bank)
    whole, parts = home / "whole.s3", home / "parts.s3"
    building = made(backbone, bank, rows, whole)
    info = index_info(whole)
    figures: dict[str, Any] = {
        "tokens": info.tokens,
        "documents": info.documents,
        "save_of_all": building,
        "segments": info.segments,
        "bytes_per_token": (info.segment_bytes + info.table_bytes) / info.tokens,
        "whole": apart("asks", whole, args),
    }
    added(backbone, bank, rows, parts)
    figures["segments_of_additions"] = index_info(parts).segments
    figures["additions"] = apart("asks", parts, args)
    medians = (figures[name]["search"]["median"] for name in ("additions", "whole"))
    figures["additions_of_whole"] = next(medians) / next(medians)
    figures["changes"] = apart("changes", whole, args)
    for name, figure in figures["changes"].items():
        print(line(name, figure))
    return figures


def main(args: argparse.Namespace) -> None:
    """Measure and write, or do one task and print what it took."""
    torch.set_num_threads(args.threads)
    backbone, bank = load("smollm2", "fp32", args.seed)
    if args.task:
        task, folder, count = args.task
        print(json.dumps(TASKS[task](Path(folder), backbone, int(count))))
        return
    with tempfile.TemporaryDirectory() as home:
        found = measured(args, backbone, bank, Path(home))
    write("index_at_scale", args, {"threads": args.threads, **found}, backbone, bank)


if __name__ == "__main__":
    parser = arguments(__doc__ or "")
    parser.add_argument("--tokens", type=int, default=1_000_000, help="of the synthetic text")
    parser.add_argument("--real", type=int, default=60_000, help="tokens that are drawn from")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=8, help="additions and deletions")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--task", nargs=3, help="of a process of its own: name, folder, count")
    main(parser.parse_args())
