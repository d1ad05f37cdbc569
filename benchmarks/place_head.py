"""How well the words of a question that name a document are found, and how often in vain.

    python benchmarks/place_head.py [SET...]

Fits the head of `s3_retriever.fitting.places` for SmolLM2 and asks it about questions made with
another seed; of the questions of each SET it counts those in which it finds a clause.
"""

from __future__ import annotations

import argparse
from time import perf_counter
from typing import TYPE_CHECKING

from s3_retriever.backbone import Backbone
from s3_retriever.config import ScanConfig
from s3_retriever.fitting import builtin_sets, load_set
from s3_retriever.fitting.banks import builtin_bank
from s3_retriever.fitting.named_questions import named_questions
from s3_retriever.fitting.places import fit_places, parse_of
from s3_retriever.reading.questions import head_queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.codec.places import PlaceHead


def clauses(
    backbone: Backbone, head: PlaceHead, heads: Sequence[object], texts: Sequence[str]
) -> list[slice]:
    """The clause of each question."""
    return [head.clause(rows) for rows in head_queries(backbone, heads, texts, ScanConfig())]


def main(args: argparse.Namespace) -> None:
    """Fit, ask, count."""
    backbone = Backbone.load(None)
    bank = builtin_bank(backbone)
    heads = bank.calibration.heads
    asked = [question.question for part in builtin_sets() for question in part.questions]
    begun = perf_counter()
    head = fit_places(backbone, heads, asked, args.questions, ScanConfig(), args.seed)
    print(f"fitted on {args.questions} questions in {perf_counter() - begun:.0f} s")
    made = named_questions([], args.test, args.seed + 1)
    texts = [question.text for question in made]
    places = backbone.text.encode_batch(texts)
    right = {True: 0, False: 0}
    for question, tokens, found in zip(
        made, places, clauses(backbone, head, heads, texts), strict=True
    ):
        count, parse = len(tokens.ids), parse_of(question, tokens)
        start, stop = found.start, found.stop
        mine = 0 if start == stop else stop if start == 0 else count - 1 + start
        right[parse > 0] += mine == parse
    print(f"of {args.test} others, a third with a clause, found whole: {right[True]}", end="")
    print(f"; none seen where there is none: {right[False]}")
    for folder in args.sets:
        part = load_set(folder)
        found = clauses(backbone, head, heads, [q.question for q in part.questions])
        seen = sum(clause.start < clause.stop for clause in found)
        print(f"{part.name}: a clause in {seen} of {len(found)} questions")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--questions", type=int, default=6000)
    parser.add_argument("--test", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    main(parser.parse_args())
