"""``s3-retriever compact``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.cli import common

if TYPE_CHECKING:
    import argparse

    from s3_retriever.storage import IndexInfo

EXAMPLES = """\
  s3-retriever compact notes.s3
                 after many small changes: few files, and nothing left of what was deleted"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("index", metavar="INDEX")
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Merge the small files of an index, and drop what is out of use; no model is loaded."""
    from s3_retriever.engine.stores import store_at
    from s3_retriever.storage import holding, index_info

    before = index_info(args.index)
    with holding(args.index):
        store = store_at(args.index)
        store.save(store.load(), compact=True)
    after = index_info(args.index)
    if args.json:
        common.print_json({"before": _sizes(before), "after": _sizes(after)})
        return 0
    print(
        f"{before.segments:,} segments of {_bytes(before):,} bytes are now {after.segments:,} of "
        f"{_bytes(after):,}"
    )
    return 0


def _bytes(info: IndexInfo) -> int:
    return info.segment_bytes + info.table_bytes


def _sizes(info: IndexInfo) -> dict[str, int]:
    return {"segments": info.segments, "bytes": _bytes(info)}
