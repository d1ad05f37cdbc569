"""``s3-retriever index``."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.cli import common, many
from s3_retriever.cli.sources import (
    STDIN,
    Known,
    Sources,
    add_selection,
    gone_below,
    known_in,
    list_sources,
    nothing_there,
    say_what_is_missing,
    selection_of,
)
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from s3_retriever.distributed import BuildReport
    from s3_retriever.documents import Document
    from s3_retriever.engine.results import IndexStats
    from s3_retriever.storage.catalogue import Entry

EXAMPLES = """\
  s3-retriever index notes/ -o notes.s3
  s3-retriever index report.pdf minutes.docx 'mail/**/*.eml' -o work.s3
  s3-retriever index src/ --include '*.py' --exclude 'tests/' -o code.s3
  s3-retriever index notes/ -o notes.s3 --dry-run
                                               what would be read, how many tokens, how long
  s3-retriever index archive/ -o archive.s3 --depth fast
                                               half the layers, half the scan
  curl -s https://example.org/a.pdf | s3-retriever index - --name a.pdf -o books.s3
  s3-retriever index notes/ -o notes.s3        again: only what is new or changed is read
  s3-retriever index --sync notes/ -o notes.s3
                                               the same, and what left notes/ is forgotten
  s3-retriever index texts/ -o s3://bucket/texts --ray 10.0.0.1:6379
                                               by all machines of a Ray cluster
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
        stats: Sizes of the index now.
    """

    read: Sequence[str]
    forgotten: Sequence[str]
    gone: Sequence[str]
    seconds: float
    stats: IndexStats | BuildReport


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
    many.add_machines(parser)
    parser.add_argument("--bank", metavar="FOLDER", help="bank made by train; default: automatic")
    common.add_depth(parser)
    parser.add_argument("--chunk-tokens", type=int, metavar="N", help="new tokens read at a time")
    parser.add_argument("--max-memory", metavar="SIZE", help="on a GPU, such as 4GiB")
    common.add_model(parser)
    common.add_quiet(parser)
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Build an index, or bring one up to date, with the folder held from reading to saving."""
    from s3_retriever.cli import dry_run

    if not args.paths and not args.sync:
        raise InputError("nothing to read: give a file, a folder, - or --sync FOLDER")
    many.check_output(args)
    there = [root for root in args.sync if Path(root).exists()]
    sources = list_sources([*args.paths, *there], selection_of(args), args.name, args.strict)
    if args.dry_run:
        dry_run.say(args, sources)
    else:
        change = _brought_up(args, sources) if args.ray is None else _by_many(args, sources)
        say_what_is_missing(sources)
        _report(args, sources, change)
    return LEFT_OUT if sources.reading.failed else 0


def _brought_up(args: argparse.Namespace, sources: Sources) -> _Change:
    """Read what is new or changed, and forget what is gone where that is asked for."""
    from s3_retriever.engine.opening import Given, open_stream
    from s3_retriever.engine.resolve import resolve_backbone
    from s3_retriever.engine.sizes import outline_stats
    from s3_retriever.engine.stores import store_at
    from s3_retriever.engine.streaming import known_documents
    from s3_retriever.storage import holding, is_index

    progress, store = common.shows_progress(args), store_at(args.output)
    new = None if is_index(args.output) else _some_documents(args, sources)
    scan = {"chunk_tokens": args.chunk_tokens, "max_memory": args.max_memory}
    with holding(args.output):
        known = known_in(known_documents(store.outline()).values())
        _check_stdin(args, sources, known)
        documents = sources.documents(known) if new is None or known else new
        backbone = resolve_backbone(args.model, None, progress)
        stream, documents = open_stream(
            store, backbone, documents, Given(args.bank, scan, depth=args.depth), progress
        )
        before = stream.state.report.seconds
        stream.take(documents, progress, None if known else len(sources))
        gone = _gone(args.sync, known, sources)
        stream.forget(gone)
    kept = [id for id in _gone(args.paths, known, sources) if id not in gone]
    stats = outline_stats(stream.state, backbone)
    return _Change(stream.read, gone, kept, stats.scan_seconds - before, stats)


def _by_many(args: argparse.Namespace, sources: Sources) -> _Change:
    """The same by the machines of a cluster."""
    gone: list[str] = []
    known: dict[str, Known] = {}

    def documents(entries: Iterable[Entry], begun: bool) -> Iterator[Document]:
        known.update(known_in(entries))
        _check_stdin(args, sources, known)
        return sources.documents(known) if begun else _some_documents(args, sources)

    def forgotten() -> Sequence[str]:
        gone.extend(_gone(args.sync, known, sources))
        return gone

    report = many.read(args, documents, forgotten)
    kept = [id for id in _gone(args.paths, known, sources) if id not in gone]
    return _Change(report.read, gone, kept, report.seconds, report)


def _some_documents(args: argparse.Namespace, sources: Sources) -> Iterator[Document]:
    """The documents of an index that is not there yet; the first is read, to know there is one."""
    documents = sources.documents({})
    first = next(documents, None)
    if first is None:
        raise InputError(nothing_there([*args.paths, *args.sync], sources.reading))
    return chain([first], documents)


def _gone(roots: Sequence[str], known: Mapping[str, Known], sources: Sources) -> list[str]:
    places = [Path(root).resolve() for root in roots if root != "-"]
    every = (gone_below(place, known, sources.reading.empty) for place in places)
    return list(dict.fromkeys(id for ids in every for id in ids))


def _check_stdin(args: argparse.Namespace, sources: Sources, known: Mapping[str, Known]) -> None:
    """Refuse a second text without a name, which would take the place of the first."""
    from s3_retriever.engine.streaming import digest_of

    found = sources.named.get(STDIN)
    if (
        args.name is None
        and found
        and STDIN in known
        and (known[STDIN].digest != digest_of(found.text))
    ):
        raise InputError(
            f"{args.output} holds another text from standard input; give this one a name, --name "
            f"NAME, or, to take the other's place, --name {STDIN}"
        )


def _report(args: argparse.Namespace, sources: Sources, change: _Change) -> None:
    stats, reading = change.stats, sources.reading
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
    print("next:", many.next_step(args))
