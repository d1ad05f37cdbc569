"""``s3-retriever index``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.cli import common
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from s3_retriever.documents import Document
    from s3_retriever.engine import EndogenousIndex

EXAMPLES = """\
  s3-retriever index notes/ -o notes.s3
  s3-retriever index report.txt minutes.md -o work.s3
  pdftotext book.pdf - | s3-retriever index - -o book.s3
  s3-retriever index notes/ -o notes.s3        again: only what changed is read,
                                               and what left the folder is forgotten"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="text file, folder, or - (stdin)")
    parser.add_argument("-o", "--output", required=True, metavar="INDEX", help="index folder")
    parser.add_argument("--bank", metavar="FOLDER", help="bank made by train; default: automatic")
    parser.add_argument("--chunk-tokens", type=int, metavar="N", help="new tokens read at a time")
    parser.add_argument("--max-memory", metavar="SIZE", help="on a GPU, such as 4GiB")
    common.add_model(parser)
    common.add_quiet(parser)
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Build an index, or bring one up to date."""
    from s3_retriever.config import ScanConfig
    from s3_retriever.engine import EndogenousIndex

    common.check_output(args.output)
    documents = common.read_documents(args.paths)
    progress = common.shows_progress(args)
    if (Path(args.output) / "catalogue.sqlite").exists():
        index = EndogenousIndex.load(args.output, model=args.model)
        _check_same(args, index)
        before = index.stats.scan_seconds
        read, gone = _update(index, documents, args.paths, progress)
    else:
        scan = ScanConfig().replace(chunk_tokens=args.chunk_tokens, max_memory=args.max_memory)
        index = EndogenousIndex.build(
            documents, model=args.model, bank=args.bank, scan=scan, progress=progress
        )
        before, read, gone = 0.0, len(documents), 0
    index.save(args.output)
    _report(args, index, read, gone, index.stats.scan_seconds - before)
    return 0


def _update(
    index: EndogenousIndex, documents: Sequence[Document], paths: Sequence[str], progress: bool
) -> tuple[int, int]:
    """Read what is new or changed and forget what is gone; returns how many of each."""
    old = index.documents
    gone = common.gone(paths, old.values(), {document.id for document in documents})
    changed = [d for d in documents if d.id not in old or old[d.id].text != d.text]
    index.delete([*gone, *(d.id for d in changed if d.id in old)])
    index.add(changed, progress=progress)
    return len(changed), len(gone)


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
    args: argparse.Namespace, index: EndogenousIndex, read: int, gone: int, seconds: float
) -> None:
    stats = index.stats
    if args.json:
        common.print_json(
            {
                "index": args.output,
                "read": read,
                "forgotten": gone,
                "documents": stats.documents,
                "characters": stats.characters,
                "tokens": stats.tokens,
                "bytes_per_token": stats.bytes_per_token,
                "seconds": seconds,
            }
        )
        return
    print(f"read {read:,} of {stats.documents:,} documents into {args.output}")
    if gone:
        print(f"forgot {gone:,} that are no longer in their folder")
    print(stats)
    print("next:", common.command_line("ask", args.output, "a question", model=args.model))
