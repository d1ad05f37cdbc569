"""How well the words of a question that name a document are found, and how often in vain.

    python benchmarks/place_head.py SET...

Fits the head of `s3_retriever.fitting.places` for SmolLM2 and asks it about questions made with
another seed; of the questions of each SET it counts those in which it finds a clause.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

from common import RESULTS, load, write

from s3_retriever.config import ScanConfig
from s3_retriever.fitting import builtin_sets, load_set
from s3_retriever.fitting.named_questions import named_questions
from s3_retriever.fitting.places import fit_places, true_clause
from s3_retriever.reading.questions import head_queries


def main(args: argparse.Namespace) -> None:
    """Fit, ask, count, write."""
    backbone, bank = load("smollm2", "fp32")
    heads, scan = bank.calibration.heads, ScanConfig()
    asked = [question.question for part in builtin_sets() for question in part.questions]
    begun = perf_counter()
    head = fit_places(backbone, heads, asked, args.questions, scan, args.seed)
    seconds = perf_counter() - begun

    def clauses(texts: list[str]) -> list[slice]:
        return [head.clause(queries) for queries in head_queries(backbone, heads, texts, scan)]

    made = named_questions([], args.test, args.seed + 1)
    texts = [question.text for question in made]
    tokens = backbone.text.encode_batch(texts)
    true = [true_clause(*pair) for pair in zip(made, tokens, strict=True)]
    pairs = [*zip(clauses(texts), true, strict=True)]
    named = [found == wanted for found, wanted in pairs if wanted.start < wanted.stop]
    plain = [found == wanted for found, wanted in pairs if wanted.start == wanted.stop]
    print(f"fitted on {args.questions} questions in {seconds:.0f} s")
    print(f"clauses found whole: {sum(named)} of {len(named)}")
    print(f"questions without one left alone: {sum(plain)} of {len(plain)}")
    marked = {}
    for folder in args.sets:
        part = load_set(folder)
        found = clauses([question.question for question in part.questions])
        seen = sum(clause.start < clause.stop for clause in found)
        marked[part.name] = {"questions": len(found), "with_clause": seen}
        print(f"{part.name}: a clause in {seen} of {len(found)} questions")
    made_up = {"clauses": len(named), "found": sum(named)}
    made_up |= {"plain": len(plain), "left_alone": sum(plain)}
    write("place_head", args, {"fit_seconds": round(seconds, 1), "made": made_up, "sets": marked})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--questions", type=int, default=6000)
    parser.add_argument("--test", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "place_head.json")
    main(parser.parse_args())
