"""``s3-retriever bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.cli import common
from s3_retriever.cli.sources import read_documents

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  s3-retriever bench
  s3-retriever bench book.txt --chunk-tokens 1024 --batch-tokens 4096"""

_TOPICS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="default: some Python topics")
    parser.add_argument("--chunk-tokens", type=int, metavar="N", help="new tokens of a row")
    parser.add_argument("--batch-tokens", type=int, metavar="N", help="tokens of a forward pass")
    parser.add_argument("--max-memory", metavar="SIZE", help="on a GPU, such as 4GiB")
    common.add_depth(parser)
    common.add_model(parser)
    common.add_quiet(parser)
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Scan once to warm up, once to measure, and print the stages."""
    from dataclasses import asdict

    from s3_retriever.cli.demo import topics
    from s3_retriever.config import ScanConfig
    from s3_retriever.engine.resolve import resolve_backbone, resolve_bank
    from s3_retriever.reading.clock import ScanClock
    from s3_retriever.reading.scan import scan

    documents = read_documents(args.paths) if args.paths else topics()[:_TOPICS]
    config = ScanConfig().replace(
        chunk_tokens=args.chunk_tokens,
        batch_tokens=args.batch_tokens,
        max_memory=args.max_memory,
    )
    progress = common.shows_progress(args)
    backbone = resolve_backbone(args.model, None, not args.quiet)
    bank = resolve_bank(None, backbone, documents, progress, args.depth)
    for _ in scan(backbone, bank, documents[:1], config):
        pass
    clock = ScanClock(backbone.device)
    for _ in scan(backbone, bank, documents, config, progress, clock=clock):
        pass
    report = clock.report()
    if args.json:
        figures = {**asdict(report), "tokens_per_second": report.tokens_per_second}
        common.print_json(figures)
        return 0
    print(f"{report.tokens:,} tokens in {report.seconds:.2f} s: {report.tokens_per_second:,.0f}/s")
    for stage, seconds in report.stages.items():
        print(f"{stage:10} {seconds:7.2f} s  {seconds / report.seconds:6.1%}")
    print("tokenise runs beside the others, in a thread of its own")
    padded = report.read_tokens / max(report.tokens, 1)
    print(f"read {padded:.2f} tokens for each token of text, in {report.batches} batches")
    return 0
