"""``s3-retriever ask``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.adapters.spans import span_json
from s3_retriever.cli import common
from s3_retriever.cli.searching import add_search, search_settings

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
    """Print the answer while it is written, and the spans it was given."""
    from s3_retriever.engine import EndogenousIndex

    index = EndogenousIndex.load(args.index, model=args.model)
    answer = index.stream_answer(
        args.question,
        search=index.config.replace(**search_settings(args)),
        k=args.k,
        token_budget=args.token_budget,
        max_new_tokens=args.max_new_tokens,
    )
    if args.json:
        text = "".join(answer)
        common.print_json(
            {
                "question": args.question,
                "answer": text,
                "spans": [span_json(span) for span in answer.spans],
                "prompt_tokens": answer.prompt_tokens,
                "seconds": answer.seconds,
            }
        )
        return 0
    for piece in answer:
        print(piece, end="", flush=True)
    print("\n" + ("\n".join(common.span_lines(answer.spans)) or "nothing found"))
    return 0
