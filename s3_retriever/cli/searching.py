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
  s3-retriever search notes.s3 "notice period" --min-relevance 0.3
  s3-retriever search notes.s3 "notice period" --exact
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
        "--exact",
        action="store_true",
        help="read the codes of all sentences, not only of those that look worth it",
    )
    parser.add_argument(
        "--bias-tokens",
        type=int,
        metavar="N",
        help="add so many tokens of lead and of tail of each document that a span comes from",
    )
    parser.add_argument(
        "--min-relevance",
        type=float,
        metavar="P",
        help="leave out spans that are less likely than this, 0 to 1, to hold evidence",
    )
    common.add_model(parser)
    common.add_json(parser)


def search_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of a search that were given, beside `k` and `token_budget`."""
    return {
        "scoring": args.scoring,
        "bm25": False if args.no_bm25 else None,
        "second_hop": False if args.no_second_hop else None,
        "exact": True if args.exact else None,
        "bias_tokens": args.bias_tokens,
        "min_relevance": args.min_relevance,
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
        seconds = asdict(found.seconds)
        made = {"question": args.question, "relevance": found.relevance, "spans": spans}
        common.print_json(made | {"seconds": seconds})
    else:
        print("\n".join(common.span_lines(found.spans)) or "nothing found")
    return 0
