"""``s3-retriever search``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from s3_retriever.adapters.spans import span_json
from s3_retriever.cli import common

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  s3-retriever search notes.s3 "who pays for the repairs?"
  s3-retriever search notes.s3 "notice period" -k 3 --json
  s3-retriever search notes.s3 "notice period" --scoring coactivation --no-bm25"""


def add_search(parser: argparse.ArgumentParser) -> None:
    """Add what searching and asking share."""
    parser.add_argument("index", metavar="INDEX", help="folder made by s3-retriever index")
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("-k", type=int, metavar="N", help="most spans")
    parser.add_argument("--token-budget", type=int, metavar="N", help="most tokens of evidence")
    parser.add_argument("--scoring", metavar="NAME", help="attention (default) or coactivation")
    parser.add_argument("--no-bm25", action="store_true", help="attention alone")
    parser.add_argument(
        "--no-second-hop",
        action="store_true",
        help="do not ask the other documents for what the best spans name",
    )
    parser.add_argument(
        "--bias-tokens",
        type=int,
        metavar="N",
        help="add so many tokens of lead and of tail of each document that a span comes from",
    )
    common.add_model(parser)
    common.add_json(parser)


def search_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of a search that were given, beside `k` and `token_budget`."""
    return {
        "scoring": args.scoring,
        "bm25": False if args.no_bm25 else None,
        "second_hop": False if args.no_second_hop else None,
        "bias_tokens": args.bias_tokens,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    add_search(parser)


def run(args: argparse.Namespace) -> int:
    """Print spans."""
    from s3_retriever.engine import EndogenousIndex

    index = EndogenousIndex.load(args.index, model=args.model)
    found = index.search(
        args.question, k=args.k, token_budget=args.token_budget, **search_settings(args)
    )
    if args.json:
        spans = [span_json(span) for span in found]
        common.print_json(
            {"question": args.question, "spans": spans, "seconds": asdict(found.seconds)}
        )
    else:
        print("\n".join(common.span_lines(found.spans)) or "nothing found")
    return 0
