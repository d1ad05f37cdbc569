"""``s3-retriever ask``."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from s3_retriever.cli import common
from s3_retriever.cli.searching import add_search

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from s3_retriever.documents import Span
    from s3_retriever.engine import EndogenousIndex

EXAMPLES = """\
  s3-retriever ask notes.s3 "who pays for the repairs?"
  s3-retriever ask notes.s3 "who pays for the repairs?" --token-budget 400 --json"""


@dataclass
class Asked:
    """An answer under way.

    Attributes:
        spans: Those that the model was given, numbered as in its prompt.
        prompt_tokens: Length of the prompt.
        seconds: Of ``"read"``, ``"search"`` and, once the pieces have been taken, ``"answer"``.
        pieces: The answer as the model writes it; to be taken once.
    """

    spans: tuple[Span, ...]
    prompt_tokens: int
    seconds: dict[str, float]
    pieces: Iterator[str]


def ask(
    index: EndogenousIndex,
    question: str,
    settings: Mapping[str, int | None] | None = None,
    stop: Sequence[str] = (),
) -> Asked:
    """Answer as `EndogenousIndex.answer` does, piece by piece, and with the spans at hand.

    Args:
        index: To search.
        question: As for `EndogenousIndex.answer`.
        settings: Values of `AnswerConfig`; None is the index's own.
        stop: More strings that end the answer.
    """
    from s3_retriever.answering.generator import TextGenerator
    from s3_retriever.answering.prompt import STOP, build_prompt

    config = index.answer_config.replace(**(settings or {}))
    found = index.search(question, k=config.k, token_budget=config.token_budget, order="document")
    seconds = dict(found.seconds)
    if not found.spans:
        return Asked((), 0, seconds, iter(()))
    generator = TextGenerator(index.backbone)
    prompt = build_prompt(generator, question, found.spans, config)
    pieces = generator.stream(
        prompt.text, max_new_tokens=config.max_new_tokens, stop=(*STOP, *stop)
    )
    return Asked(prompt.spans, prompt.tokens, seconds, _stripped(pieces, seconds))


def _stripped(pieces: Iterator[str], seconds: dict[str, float]) -> Iterator[str]:
    """Leave out white space at both ends, and note how long it took."""
    begun, said, waiting = perf_counter(), False, ""
    for piece in pieces:
        text = waiting + piece if said else piece.lstrip()
        kept = text.rstrip()
        waiting = text[len(kept) :]
        if kept:
            said = True
            yield kept
    seconds["answer"] = perf_counter() - begun


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    add_search(parser)
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="length of the answer")


def run(args: argparse.Namespace) -> int:
    """Print the answer while it is written, and the spans it was given."""
    from s3_retriever.engine import EndogenousIndex

    index = EndogenousIndex.load(args.index, model=args.model)
    names = ("k", "token_budget", "max_new_tokens")
    asked = ask(index, args.question, {name: getattr(args, name) for name in names})
    if args.json:
        common.print_json(
            {
                "question": args.question,
                "answer": "".join(asked.pieces),
                "spans": [common.span_json(span) for span in asked.spans],
                "prompt_tokens": asked.prompt_tokens,
                "seconds": asked.seconds,
            }
        )
        return 0
    for piece in asked.pieces:
        print(piece, end="", flush=True)
    print("\n" + ("\n".join(common.span_lines(asked.spans)) or "nothing found"))
    return 0
