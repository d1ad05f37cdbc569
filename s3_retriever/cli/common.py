"""Arguments and output that commands share."""

from __future__ import annotations

import codecs
import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from s3_retriever.documents import Span
    from s3_retriever.files import Reading


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``."""
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="folder, .gguf file or hub name of the model; default: the embedded "
        "SmolLM2-135M-Instruct",
    )


def add_depth(parser: argparse.ArgumentParser) -> None:
    """Add ``--depth``, a word."""
    parser.add_argument(
        "--depth",
        choices=("fast", "full"),
        help="full reads the first third of the model's layers, fast the first sixth: half "
        "the scan, for fewer answers found; default: full, or what the index has",
    )


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add ``--quiet``."""
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def shows_progress(args: argparse.Namespace) -> bool:
    """Whether bars are wanted: on a terminal, unless ``--quiet``."""
    return not args.quiet and sys.stderr.isatty()


def print_json(value: Any) -> None:
    """Print a value as JSON: text as it is where the output is UTF-8, else escaped."""
    plain = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
    print(json.dumps(value, ensure_ascii=not plain, indent=1, default=str))


def command_line(*words: str, model: str | None = None) -> str:
    """What to type for a command of this program, by its path where no PATH leads to it."""
    name, called = "s3-retriever", sys.argv[0]
    if shutil.which(name) is None and Path(called).stem == name:
        name = called
    options = [] if model is None else ["--model", model]
    return shlex.join([name, *words, *options])


def reading_lines(reading: Reading) -> Iterator[str]:
    """Lines for people: what was not read, since nobody asked for it."""
    if others := reading.other_kinds():
        yield f"not read: {others}"
    if left_out := reading.left_out():
        yield f"left out by .gitignore or on request: {left_out}"


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


_SHOWN = {"s3": "S3", "bm25": "BM25"}


def span_lines(spans: Sequence[Span]) -> Iterator[str]:
    """Lines for people: where each span stands, how likely it answers, its score and its text."""
    for number, span in enumerate(spans, start=1):
        likely = "" if span.relevance is None else f"   {span.relevance:.0%}"
        parts = "  ".join(
            f"{_SHOWN.get(name, name)} {value:.2f}" for name, value in span.parts.items()
        )
        place = f"{span.citation}, characters {span.start:,}–{span.end:,}"
        yield f"[{number}] {place}{likely}   {parts}"
        if span.header:
            yield "    " + " ".join(span.header.split())
        yield "    " + " ".join(span.text.split())


def check_output(path: str, new: bool = False) -> None:
    """Refuse a folder that cannot be written before the long work, not after it.

    Args:
        path: The folder.
        new: Whether it must be missing or empty.

    Raises:
        InputError: there is a file in its place, what it would lie in is read-only, or it must be
            empty and is not.
    """
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise InputError(f"{path} cannot be written: {place} is a file; choose another -o")
    if not os.access(place, os.W_OK):
        raise InputError(f"{path} cannot be written: {place} is read-only; choose another -o")
    if new and place == Path(path).absolute() and any(place.iterdir()):
        raise InputError(
            f"{path} is not empty, and nothing is written over what is there; choose another -o"
        )
