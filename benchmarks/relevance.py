"""What relevance says, and whether "nothing here answers that" can be told from "found".

    python benchmarks/relevance.py SET...

Each question is asked of its documents, and of the same without the sentences that hold its
evidence. On the package's questions each kind of text is judged by a head fitted on the others; on
each SET by one fitted on all of them. Writes the reliability of the former as docs/relevance.svg.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import RESULTS, load, write

from s3_retriever.evaluate.metrics import auroc
from s3_retriever.fitting import builtin_sets, load_set
from s3_retriever.fitting.relevance import examples, fit_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.codec.relevance import RelevanceHead
    from s3_retriever.fitting import LabelledSet
    from s3_retriever.fitting.relevance import Example

PLOT = Path(__file__).parents[1] / "docs/relevance.svg"
EDGES = (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1)

Judged = list[tuple["Example", np.ndarray]]
"""Searches, with the relevance ``f64[S]`` of their spans."""


def smaller(labelled: LabelledSet, questions: int, characters: int, seed: int) -> LabelledSet:
    """Some of a set's questions, and their documents with others beside them up to a size."""
    chance = random.Random(seed)
    asked = [question for question in labelled.questions if question.evidence]
    chance.shuffle(asked)
    texts = {document.id: len(document.text) for document in labelled.documents}
    kept: set[str] = set()
    chosen = []
    for question in asked:
        more = kept | {place.document_id for place in question.evidence}
        if not kept or sum(texts[id] for id in more) <= characters:
            kept = more
            chosen.append(question)
        if len(chosen) == questions:
            break
    others = [id for id in texts if id not in kept]
    chance.shuffle(others)
    for id in others:
        if sum(texts[own] for own in kept) + texts[id] <= characters:
            kept.add(id)
    documents = tuple(document for document in labelled.documents if document.id in kept)
    return replace(labelled, documents=documents, questions=tuple(chosen))


def judged(head: RelevanceHead, found: Sequence[Example]) -> Judged:
    """What a head says of the spans of searches."""
    return [(example, head.probabilities(example.features)) for example in found]


def figures(found: Judged) -> dict[str, Any]:
    """Areas under curves, and of spans of about the same relevance, the share with evidence."""
    answered = np.array([example.answered for example, _ in found])
    best = np.array([relevance.max(initial=0) for _, relevance in found])
    first = np.array([bool(example.hits[:1].any()) for example, _ in found])
    told = first | ~answered
    hits = np.concatenate([example.hits for example, _ in found])
    spans = np.concatenate([relevance for _, relevance in found])
    return {
        "questions": int(answered.sum()),
        "evidence_first": round(float(first[answered].mean()), 3),
        "auroc": round(auroc(best, answered), 3),
        "auroc_where_evidence_is_first": round(auroc(best[told], answered[told]), 3),
        "auroc_of_spans": round(auroc(spans, hits), 3),
        "median_best": {
            "answered": round(float(np.median(best[answered])), 3),
            "removed": round(float(np.median(best[~answered])), 3),
        },
        "reliability": reliability(spans, hits),
    }


def reliability(spans: np.ndarray, hits: np.ndarray) -> list[dict[str, float]]:
    """Of spans between two relevances: how many, their mean, and the share with evidence."""
    bins = []
    for low, high in pairwise(EDGES):
        inside = (spans >= low) & ((spans < high) | (high == EDGES[-1]))
        if inside.any():
            means = float(spans[inside].mean()), float(hits[inside].mean())
            own = {"spans": int(inside.sum()), "said": round(means[0], 3)}
            bins.append({**own, "true": round(means[1], 3)})
    return bins


def plot(bins: Sequence[dict[str, float]], path: Path) -> None:
    """The share with evidence against what was said."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(4.6, 4.2), layout="constrained")
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    said, true = ([one[name] for one in bins] for name in ("said", "true"))
    errors = [1.96 * np.sqrt(one["true"] * (1 - one["true"]) / one["spans"]) for one in bins]
    axes.errorbar(said, true, yerr=errors, fmt="o-", color="#0b6e4f", capsize=2)
    for one in bins:
        place = {"xytext": (6, -10), "textcoords": "offset points", "fontsize": 7}
        axes.annotate(f"{one['spans']:,.0f}", (one["said"], one["true"]), color="#0b6e4f", **place)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="relevance", ylabel="share of spans with evidence")
    axes.grid(alpha=0.25)
    figure.savefig(path)


def show(name: str, own: dict[str, Any]) -> None:
    """One line."""
    areas = own["auroc"], own["auroc_where_evidence_is_first"], own["auroc_of_spans"]
    numbers = "  ".join(f"{area:.3f}" for area in areas)
    print(f"{name:28} {own['questions']:4} {own['evidence_first']:.2f}  {numbers}", flush=True)


def main(args: argparse.Namespace) -> None:
    """Ask, fit, judge, write after every set."""
    backbone, bank = load("smollm2", "fp32")
    kinds = {own.name: [*examples(backbone, bank, own)] for own in builtin_sets()}
    across: Judged = []
    made: dict[str, Any] = {"kinds": {}, "sets": {}}
    print(f"{'':28} asked first  answered or removed, of these first, of spans")
    for kind, found in kinds.items():
        others = [one for name, own in kinds.items() if name != kind for one in own]
        mine = judged(fit_head(others), found)
        made["kinds"][kind] = figures(mine)
        show(kind, made["kinds"][kind])
        across += mine
    made["package"] = figures(across)
    show("all of them", made["package"])
    plot(made["package"]["reliability"], PLOT)
    head = fit_head([one for own in kinds.values() for one in own])
    made["head"] = head.described()
    write("relevance", args, made, backbone, bank)
    for folder in args.sets:
        labelled = smaller(load_set(folder), args.questions, args.characters, args.seed)
        found = judged(head, [*examples(backbone, bank, labelled)])
        made["sets"][labelled.name] = figures(found)
        show(labelled.name, made["sets"][labelled.name])
        write("relevance", args, made, backbone, bank)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--questions", type=int, default=60, help="of each set, at most")
    parser.add_argument("--characters", type=int, default=130_000, help="of each set, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "relevance.json")
    main(parser.parse_args())
