"""``s3-retriever index``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.cli import common
from s3_retriever.cli.sources import (
    STDIN,
    Sources,
    add_selection,
    documents_of,
    gone_below,
    nothing_there,
    read_sources,
    say_what_is_missing,
    selection_of,
)
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from s3_retriever.engine import EndogenousIndex

EXAMPLES = """\
  s3-retriever index notes/ -o notes.s3
  s3-retriever index report.pdf minutes.docx 'mail/**/*.eml' -o work.s3
  s3-retriever index src/ --include '*.py' --exclude 'tests/' -o code.s3
  s3-retriever index notes/ -o notes.s3 --dry-run
                                               what would be read, how many tokens, how long
  curl -s https://example.org/a.pdf | s3-retriever index - --name a.pdf -o books.s3
  s3-retriever index notes/ -o notes.s3        again: only what is new or changed is read
  s3-retriever index --sync notes/ -o notes.s3
                                               the same, and what left notes/ is forgotten
exit code: 0, or 3 where files could not be read; they are named, the rest is indexed"""

LEFT_OUT = 3
"""Exit code where files could not be read."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What one run did.

    Attributes:
        read: Ids of documents that were new or changed.
        forgotten: Ids of those that were deleted.
        gone: Ids of those whose file is gone, and that are kept.
        seconds: Of the scan.
    """

    read: Sequence[str]
    forgotten: Sequence[str]
    gone: Sequence[str]
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="file, folder, glob, or - (stdin)")
    parser.add_argument("-o", "--output", required=True, metavar="INDEX", help="index folder")
    parser.add_argument("--name", metavar="NAME", help="name of the text on standard input")
    parser.add_argument(
        "--sync",
        action="append",
        default=[],
        metavar="ROOT",
        help="read this folder, and forget what was read from it and is not there any more",
    )
    parser.add_argument(
        "--strict", action="store_true", help="index nothing if a file cannot be read"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be read, how many tokens, and how long it would take",
    )
    add_selection(parser)
    parser.add_argument("--bank", metavar="FOLDER", help="bank made by train; default: automatic")
    parser.add_argument("--chunk-tokens", type=int, metavar="N", help="new tokens read at a time")
    parser.add_argument("--max-memory", metavar="SIZE", help="on a GPU, such as 4GiB")
    common.add_model(parser)
    common.add_quiet(parser)
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Build an index, or bring one up to date, with the folder held from loading to saving."""
    from s3_retriever.cli import dry_run
    from s3_retriever.storage import holding, is_index

    if not args.paths and not args.sync:
        raise InputError("nothing to read: give a file, a folder, - or --sync FOLDER")
    common.check_output(args.output)
    there = [root for root in args.sync if Path(root).exists()]
    sources = read_sources([*args.paths, *there], selection_of(args), args.name, args.strict)
    if not sources and not is_index(args.output):
        raise InputError(nothing_there([*args.paths, *args.sync], sources.reading))
    if args.dry_run:
        dry_run.say(args, sources)
        return LEFT_OUT if sources.reading.failed else 0
    with holding(args.output):
        index, change = _changed(args, sources)
        index.save(args.output)
    say_what_is_missing(sources)
    _report(args, index, sources, change)
    return LEFT_OUT if sources.reading.failed else 0


def _changed(args: argparse.Namespace, sources: Sources) -> tuple[EndogenousIndex, _Change]:
    from s3_retriever.config import ScanConfig
    from s3_retriever.engine import EndogenousIndex
    from s3_retriever.storage import is_index

    progress = common.shows_progress(args)
    if is_index(args.output):
        index = EndogenousIndex.load(args.output, model=args.model)
        _check_same(args, index)
        return index, _update(index, args, sources, progress)
    scan = ScanConfig().replace(chunk_tokens=args.chunk_tokens, max_memory=args.max_memory)
    index = EndogenousIndex.build(
        documents_of(sources), model=args.model, bank=args.bank, scan=scan, progress=progress
    )
    return index, _Change([*index.documents], (), (), index.stats.scan_seconds)


def _update(
    index: EndogenousIndex, args: argparse.Namespace, sources: Sources, progress: bool
) -> _Change:
    """Read what is new or changed, and forget what is gone where that is asked for."""
    old, before = index.documents, index.stats.scan_seconds
    _check_stdin(args, sources, old)
    found = documents_of(sources, old)
    gone = _gone(args.sync, index, sources)
    changed = [d for d in found if d.id not in old or old[d.id].text != d.text]
    index.delete([*gone, *(d.id for d in changed if d.id in old)])
    index.add(changed, progress=progress)
    kept = [id for id in _gone(args.paths, index, sources) if id not in gone]
    seconds = index.stats.scan_seconds - before
    return _Change([document.id for document in changed], gone, kept, seconds)


def _gone(roots: Sequence[str], index: EndogenousIndex, sources: Sources) -> list[str]:
    places = [Path(root).resolve() for root in roots if root != "-"]
    empty = sources.reading.empty
    every = (gone_below(place, index.documents.values(), empty) for place in places)
    return list(dict.fromkeys(id for ids in every for id in ids))


def _check_stdin(args: argparse.Namespace, sources: Sources, old: Any) -> None:
    """Refuse a second text without a name, which would take the place of the first."""
    found = sources.named.get(STDIN)
    if args.name is None and found and STDIN in old and old[STDIN].text != found.text:
        raise InputError(
            f"{args.output} holds another text from standard input; give this one a name, --name "
            f"NAME, or, to take the other's place, --name {STDIN}"
        )


def _check_same(args: argparse.Namespace, index: EndogenousIndex) -> None:
    """Refuse another bank or other chunks than an index was made with, which it keeps."""
    from s3_retriever.codec import Bank

    scan = index.scan_config
    chunk = args.chunk_tokens or scan.chunk_tokens
    bank = index.bank if args.bank is None else Bank.load(args.bank)
    if chunk != scan.chunk_tokens or bank.digest() != index.bank.digest():
        raise InputError(
            f"{args.output} was made with another bank, or with --chunk-tokens "
            f"{scan.chunk_tokens}, and keeps them; leave them out, or choose another -o"
        )
    index.scan_config = scan.replace(max_memory=args.max_memory)


def _report(
    args: argparse.Namespace, index: EndogenousIndex, sources: Sources, change: _Change
) -> None:
    stats, reading = index.stats, sources.reading
    if args.json:
        common.print_json(
            {
                "index": args.output,
                "read": len(change.read),
                "forgotten": list(change.forgotten),
                "gone": list(change.gone),
                "left_out": dict(reading.failed),
                "empty": [str(path) for path in reading.empty],
                "other_kinds": reading.others,
                "ignored": reading.ignored,
                "assumed": reading.assumed(),
                "documents": stats.documents,
                "characters": stats.characters,
                "tokens": stats.tokens,
                "bytes_per_token": stats.bytes_per_token,
                "seconds": change.seconds,
            }
        )
        return
    print(f"read {len(change.read):,} of {stats.documents:,} documents into {args.output}")
    if change.forgotten:
        print(f"forgot {len(change.forgotten):,}: {', '.join(change.forgotten)}")
    if change.gone:
        print(
            f"kept {len(change.gone):,} whose files are gone: {', '.join(change.gone)}; to forget "
            "them: --sync FOLDER"
        )
    for line in common.reading_lines(reading):
        print(line)
    print(stats)
    print("next:", common.command_line("ask", args.output, "a question", model=args.model))
