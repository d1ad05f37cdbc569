"""``s3-retriever show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.cli import common
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    import argparse

    from s3_retriever.documents import Document

EXAMPLES = """\
  s3-retriever show notes.s3                       the ids of all documents
  s3-retriever show notes.s3 report.pdf            the text that offsets count in
  s3-retriever show notes.s3 report.pdf 1204 1391"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("index", metavar="INDEX")
    parser.add_argument("document", nargs="?", metavar="ID", help="default: the ids of all")
    parser.add_argument("start", nargs="?", type=int, metavar="START", help="first character")
    parser.add_argument("end", nargs="?", type=int, metavar="END", help="one past the last")
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print text, or ids; no model is loaded."""
    from s3_retriever.storage import load_index

    documents = {it.document.id: it.document for it in load_index(args.index).documents}
    if args.document is None:
        if args.json:
            common.print_json(list(documents))
        else:
            print("\n".join(documents))
        return 0
    if args.document not in documents:
        words = common.command_line("show", args.index)
        raise InputError(f"there is no document {args.document!r}; for all ids, type: {words}")
    _print(args, documents[args.document])
    return 0


def _print(args: argparse.Namespace, document: Document) -> None:
    start, end = args.start or 0, len(document.text) if args.end is None else args.end
    if not 0 <= start < end <= len(document.text):
        raise InputError(
            f"characters {start} to {end} are not in {document.id!r}, which has "
            f"{len(document.text):,}"
        )
    if args.json:
        common.print_json(
            {
                "document": document.id,
                "start": start,
                "end": end,
                "text": document.text[start:end],
                "metadata": dict(document.at(start)),
            }
        )
    else:
        print(document.text[start:end])
