"""``s3-retriever verify``."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from s3_retriever.cli import common

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  s3-retriever verify notes.s3"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("index", metavar="INDEX")
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Check an index; exit code 1 if something is wrong."""
    from s3_retriever.engine.stores import store_at
    from s3_retriever.errors import BankError
    from s3_retriever.storage import verify_index

    report = verify_index(args.index)
    if report.ok:
        try:
            store_at(args.index).load()  # the bank beside the catalogue, by its checksums
        except BankError as error:
            report = replace(report, problems=(str(error),))
    if args.json:
        common.print_json({"ok": report.ok, **asdict(report)})
    elif report.ok:
        print(f"whole: {report.documents:,} documents in {report.segments:,} segments")
    for problem in () if report.ok or args.json else report.problems:
        print(f"s3-retriever: {problem}", file=sys.stderr)
    return 0 if report.ok else 1
