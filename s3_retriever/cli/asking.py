"""``s3-retriever ask``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.cli import common
from s3_retriever.cli.searching import add_search

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  s3-retriever ask notes.s3 "who pays for the repairs?"
  s3-retriever ask notes.s3 "who pays for the repairs?" --token-budget 400 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    add_search(parser)
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="length of the answer")


def run(args: argparse.Namespace) -> int:
    """Print the answer and the spans it was given."""
    from s3_retriever.engine import EndogenousIndex

    index = EndogenousIndex.load(args.index, model=args.model)
    answer = index.answer(
        args.question,
        k=args.k,
        token_budget=args.token_budget,
        max_new_tokens=args.max_new_tokens,
    )
    if args.json:
        spans = [common.span_json(span) for span in answer.spans]
        common.print_json({"question": args.question, "answer": answer.text, "spans": spans})
    else:
        print(answer.text, *common.span_lines(answer.spans), sep="\n")
    return 0
