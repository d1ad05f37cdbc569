"""Recall with constants chosen on the other sets: what the shipped ones owe to these questions.

    python benchmarks/cross_validation.py SET...

Settings of the scoring are drawn at random. For each set in turn, the setting with the best mean
recall on all the others is taken, and its recall on the set itself counts: no question has a part
in the choice of the constants that it is asked with. The shipped constants are not among those that
are drawn but by chance; they and the baselines are measured in the same run.
"""

from __future__ import annotations

import argparse
import random
import sys
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from common import RESULTS
from quality import ALL, Patched, in_short, reference, write

from s3_retriever import fusion, lexical, scoring, search, spans
from s3_retriever.codec import QueryWeights
from s3_retriever.evaluate import evaluate
from s3_retriever.evaluate.contenders import contenders
from s3_retriever.evaluate.rankers import as_hits
from s3_retriever.evaluate.results import Row
from s3_retriever.fitting import load_set
from s3_retriever.hop import read_leads
from s3_retriever.question import read_questions
from s3_retriever.search import Searcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from s3_retriever.config import SearchConfig
    from s3_retriever.evaluate import Contender, Evaluation
    from s3_retriever.evaluate.bench import Bench
    from s3_retriever.evaluate.hits import Hit, Ranker
    from s3_retriever.hop import Lead

Setting = dict[str, float]
"""Values of constants by name."""

OF_ATTENTION: dict[str, Sequence[float]] = {
    "exponent": (1 / 3, 1 / 2, 2 / 3, 1),
    "power": (1.5, 2, 3, 4),
    "reach": (100, 200, 400),
}
"""What the attention of a sentence is made with, as `s3_retriever.scoring` explains."""

OF_FUSION: dict[str, Sequence[float]] = {
    "bm25": (0.15, 0.3, 0.45, 0.6, 0.8, 1),
    "document": (0, 0.15, 0.3, 0.5),
    "hop": (0, 0.2, 0.4, 0.6, 0.8),
    "leads": (2, 3),
    "doubt": (1, 2, 3, 4),
    "characters": (0, 120, 240, 360),
}
"""What becomes of it: weights of the parts, the second hop, and the length of a span."""

WAYS = {"S3 + BM25": ALL, "S3": ALL.replace(bm25=False)}
BASELINES = ("bm25", "embedding", "bm25+embedding")


class Remembering(Searcher):
    """A `Searcher` that works out no attention twice."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.documents, bench.codes(), bench.bank)
        self._memo = bench.memo

    def _attended(
        self, queries: Sequence[Tensor], config: SearchConfig, skips: Sequence[slice]
    ) -> Tensor:
        return torch.cat([self._of(*asked) for asked in zip(queries, skips, strict=True)])

    def _of(self, queries: Tensor, skip: slice) -> Tensor:
        """Attention of one question: its shares do not depend on the constants, their sums do."""
        counts, calibration, passages = [len(queries)], self._bank.calibration, self._passages
        asked = hash(queries.numpy().tobytes()), skip.start, skip.stop

        def shares() -> Tensor:
            weights, codes = QueryWeights(self._bank, queries), self._joined
            return scoring.shares_of(
                lambda tokens: weights.logits(codes.rows(tokens)),
                counts,
                calibration,
                passages,
                [skip],
            )

        def sums() -> Tensor:
            return scoring.summed(self._memo.get(asked, shares), counts, calibration, passages)

        constants = scoring.EXPONENT, scoring.POWER, scoring.REACH
        return self._memo.get((*asked, *constants), sums)


class Ours:
    """A search whose readings of questions and of leads are shared by all settings."""

    def __init__(self, bench: Bench, config: SearchConfig) -> None:
        self._bench, self._config = bench, config
        self._searcher = bench.memo.get("remembering", lambda: Remembering(bench))
        self.nbytes = sum(part.nbytes for part in bench.codes())

    def rank(self, question: str) -> list[Hit]:
        """As `SearcherRanker` does."""
        bench, asked = self._bench, [question]
        (reading,) = bench.memo.get(
            ("read", question),
            lambda: read_questions(bench.backbone, bench.bank, asked, bench.scan),
        )

        def follow(texts: Sequence[str]) -> list[Lead]:
            return [self._lead(question, text) for text in texts]

        found = self._searcher.search(question, reading.queries, None, self._config, follow)
        return as_hits(found)

    def _lead(self, question: str, text: str) -> Lead:
        bench = self._bench
        (lead,) = bench.memo.get(
            ("lead", question, text),
            lambda: read_leads(bench.backbone, bench.bank, question, [text], bench.scan),
        )
        return lead


def with_constants(setting: Setting, config: SearchConfig, bench: Bench) -> Ranker:
    """Ours under other constants."""
    weights = {**fusion.WEIGHTS, **{name: setting[name] for name in ("bm25", "document", "hop")}}
    constants = [
        (scoring, "EXPONENT", setting["exponent"]),
        *((room, "POWER", setting["power"]) for room in (scoring, lexical)),
        *((room, "REACH", setting["reach"]) for room in (scoring, lexical)),
        (fusion, "WEIGHTS", weights),
        (search, "LEADS", setting["leads"]),
        (search, "DOUBT", setting["doubt"]),
        (spans, "SPAN_CHARACTERS", setting["characters"]),
    ]
    return Patched(Ours(bench, config), constants)


def drawn(attentions: int, fusions: int, seed: int) -> Iterator[Setting]:
    """Settings at random: some of the attention, each with some of what becomes of it."""
    chance = random.Random(seed)

    def some(ranges: Mapping[str, Sequence[float]]) -> Setting:
        return {name: chance.choice(values) for name, values in ranges.items()}

    for _ in range(attentions):
        attention = some(OF_ATTENTION)
        yield from (attention | some(OF_FUSION) for _ in range(fusions))


def told(setting: Setting) -> str:
    """A setting in words."""
    return ", ".join(f"{name} {value:.3g}" for name, value in setting.items())


def rows_of(way: str, settings: Sequence[Setting]) -> list[Contender]:
    """One way of searching under every setting."""
    return [
        reference(f"{way}: {told(setting)}", partial(with_constants, setting, WAYS[way]))
        for setting in settings
    ]


def held_out(found: Evaluation, way: str) -> tuple[Row, list[str]]:
    """The row of the settings that do best on all sets but the one they are reported on.

    Returns:
        The row, and the setting taken for each set.
    """
    tried = [row for row in found.rows if row.name.startswith(f"{way}: ")]
    runs, taken = [], []
    for place in range(len(found.sets)):

        def elsewhere(row: Row, place: int = place) -> float:
            return sum(m for n, m in enumerate(row.means(found.metric)) if n != place)

        best = max(tried, key=elsewhere)
        runs.append(best.runs[place])
        taken.append(best.name.removeprefix(f"{way}: "))
    title = f"{way}, constants chosen on the other sets"
    return Row(name=title, title=title, role="ours", variant="", runs=tuple(runs)), taken


def shown(found: Evaluation, row: Row) -> dict[str, Any]:
    """A row as it is written and as tables.py reads it."""
    gap = found.difference(row)
    return {
        "title": row.title,
        "variant": row.variant,
        "means": {found.metric: row.mean(found.metric)},
        "sets": {run.set: {found.metric: run.mean(found.metric)} for run in row.runs},
        "difference": None if gap is None else [gap.mean, gap.low, gap.high],
    }


def main(args: argparse.Namespace) -> None:
    """Evaluate, choose, print, write."""
    settings = list(drawn(args.attentions, args.fusions, args.seed))
    known = contenders()
    found = evaluate(
        [load_set(folder) for folder in args.sets],
        [
            *(known[name] for name in ("attention+bm25", "attention", *BASELINES)),
            *chain.from_iterable(rows_of(way, settings) for way in WAYS),
        ],
        limit=args.limit,
        seed=args.seed,
        progress=sys.stderr.isatty(),
    )
    rows, chosen = [], {}
    by_name = {row.name: row for row in found.rows}
    for way, name in zip(WAYS, ("attention+bm25", "attention"), strict=True):
        row, chosen[way] = held_out(found, way)
        rows += [by_name[name], row]
    rows += [by_name[name] for name in BASELINES]
    names = ["python", "benchmarks/cross_validation.py", *(Path(f).name for f in args.sets)]
    options = ["--attentions", "--fusions", "--limit", "--seed"]
    given = [f"{name}={getattr(args, name[2:])}" for name in options if getattr(args, name[2:])]
    made = in_short(found, [*names, *given])
    made["rows"] = [shown(found, row) for row in rows]
    made["chosen"] = chosen
    tried = {row.name: row for row in found.rows if ": " in row.name}
    made["tried"] = {
        name: [round(mean, 4) for mean in row.means(found.metric)] for name, row in tried.items()
    }
    for row in made["rows"]:
        print(f"{row['title']:<50} {100 * row['means'][found.metric]:.1f}", row["difference"] or "")
    for way in WAYS:
        means = [
            row.mean(found.metric) for name, row in tried.items() if name.startswith(way + ":")
        ]
        low, middle, high = (100 * figure(means) for figure in (min, median, max))
        print(f"{way}: {low:.1f} to {high:.1f} under all settings, median {middle:.1f}")
    write(made, args.out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", metavar="SET")
    parser.add_argument("--attentions", type=int, default=12, help="settings drawn of attention")
    parser.add_argument("--fusions", type=int, default=6, help="settings drawn for each of them")
    parser.add_argument("--limit", type=int, help="questions of each set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "quality-held-out.json")
    given = parser.parse_args()
    if len(given.sets) < 2:
        parser.error("give at least two sets: constants for one are chosen on the others")
    main(given)
