"""``s3-retriever info``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from s3_retriever.cli import common

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  s3-retriever info notes.s3
  s3-retriever info notes.s3 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("index", metavar="INDEX")
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print sizes; no model is loaded."""
    from s3_retriever.storage import index_info

    info = index_info(args.index)
    if args.json:
        common.print_json(asdict(info))
        return 0
    size = info.segment_bytes / max(info.tokens, 1)
    print(f"model       {info.header.get('model_name', 'unknown')}")
    print(f"documents   {info.documents:,} ({info.characters:,} characters)")
    print(f"tokens      {info.tokens:,} ({size:.0f} bytes each on disk)")
    print(f"segments    {info.segments:,} ({info.segment_bytes:,} bytes)")
    print(f"catalogue   {info.catalogue_bytes:,} bytes, texts included")
    print(f"format      {info.format_version}")
    return 0
