"""``s3-retriever merge``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.cli import common

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  s3-retriever merge january.s3 february.s3 -o year.s3"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("indexes", nargs="+", metavar="INDEX", help="made by one model and bank")
    parser.add_argument("-o", "--output", required=True, metavar="INDEX", help="a new folder")
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Make one index of several; nothing is read again, and no model is loaded."""
    from s3_retriever.engine.merging import merge_folders
    from s3_retriever.storage import index_info

    common.check_output(args.output)
    merge_folders(args.indexes, args.output)
    info = index_info(args.output)
    if args.json:
        common.print_json(
            {"index": args.output, "documents": info.documents, "tokens": info.tokens}
        )
        return 0
    print(
        f"{args.output} has the {info.documents:,} documents ({info.tokens:,} tokens) of "
        f"{len(args.indexes):,} indexes"
    )
    return 0
