"""The scoring's constants, chosen on the questions kept for that.

    python benchmarks/choose_constants.py SET... s3_retriever/data/calibration

Settings of the constants are drawn at random and asked every third question of each set, the
package's own included; the tables of quality.py are of the other two thirds. What counts is the
mean over sets of evidence recall at 1000 and at 2000 characters, of S3 + BM25. A quadratic surface
is fitted to what was measured (Box and Wilson 1951), the settings where it is highest are measured
too, and the best of all that was measured is chosen.
"""

from __future__ import annotations

import argparse
import random
from itertools import combinations_with_replacement, product
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch
from common import RESULTS, changed, for_choice, line, spread, write
from tqdm import tqdm

from s3_retriever.backbone import Backbone
from s3_retriever.codec import QueryWeights
from s3_retriever.config import SearchConfig
from s3_retriever.evaluate.metrics import evidence_recall
from s3_retriever.evaluate.rankers.bench import Bench
from s3_retriever.evaluate.rankers.build import as_hits
from s3_retriever.evaluate.rankers.memo import Memo
from s3_retriever.fitting import load_set
from s3_retriever.searching import attention as scoring
from s3_retriever.searching import fusion, lexical
from s3_retriever.searching import searcher as search
from s3_retriever.searching.passages import Passages
from s3_retriever.searching.searcher import Searcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from s3_retriever.fitting import LabelledQuestion, LabelledSet
    from s3_retriever.reading.leads import Lead

Setting = dict[str, float]
"""Values of constants by name."""

RANGES: dict[str, Sequence[float]] = {
    "exponent": (1 / 3, 1 / 2, 2 / 3, 1),
    "power": (1.5, 2, 3, 4),
    "reach": (50, 100, 200, 400),
    "bm25": (0.15, 0.3, 0.45, 0.6, 0.8, 1),
    "document": (0, 0.15, 0.3, 0.5),
    "hop": (0, 0.2, 0.4, 0.6, 0.8),
    "leads": (2, 3),
    "doubt": (1, 2, 3, 4),
}
"""The first three make the attention of a sentence, as `s3_retriever.searching.attention` explains;
the others say what becomes of it: weights of the parts, and the second hop."""

OF_ATTENTION = ("exponent", "power", "reach")
BY_RATIO = (*OF_ATTENTION, "doubt")
"""Constants whose ratios matter, not their differences."""

SMOOTH = Passages.smooth
CONFIG = SearchConfig(k=64)
BUDGETS = (1000, 2000)


class Remembering(Searcher):
    """A `Searcher` that works out nothing twice which the constants leave as it is.

    Attributes:
        exponent: Of shares before they are summed; the package knows plain sums alone.
    """

    exponent = 1.0

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.documents, bench.codes(), bench.bank)
        self.memo = Memo()

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
            with patch.object(Passages, "smooth", lambda *of: SMOOTH(*of) ** self.exponent):
                return scoring.summed(self.memo.get(asked, shares), counts, calibration, passages)

        constants = self.exponent, scoring.POWER, scoring.REACH
        return self.memo.get((*asked, *constants), sums)

    def _lexicon_once(self) -> Any:
        return self

    def scores(self, question: str) -> Tensor:
        """As the lexicon has it."""
        constants = lexical.POWER, lexical.REACH
        return self.memo.get((question, *constants), lambda: self._lexicon.scores(question))


class Trial:
    """One corpus, asked under many constants."""

    def __init__(self, labelled: LabelledSet, backbone: Backbone) -> None:
        self._bench = Bench(labelled.documents, backbone)
        self._searcher = Remembering(self._bench)

    def recall(self, asked: LabelledQuestion, settings: Sequence[Setting]) -> list[float]:
        """Under each setting, the mean over `BUDGETS`."""
        bench, searcher = self._bench, self._searcher
        searcher.memo = Memo()
        queries = bench.queries(asked.question)

        def follow(texts: Sequence[str]) -> list[Lead]:
            """One by one, as settings share some of the spans that lead."""
            return [lead for text in texts for lead in bench.leads(asked.question, [text])]

        def under(setting: Setting) -> float:
            with changed(constants_of(setting)):
                found = searcher.search(asked.question, queries, None, CONFIG, follow)
            hits = as_hits(found)
            return mean(evidence_recall(hits, asked.evidence, budget) for budget in BUDGETS)

        return [under(setting) for setting in settings]


def constants_of(setting: Setting) -> list[tuple[Any, str, Any]]:
    """Where the constants of a setting stand."""
    weights = {**fusion.WEIGHTS, **{name: setting[name] for name in ("bm25", "document", "hop")}}
    return [
        (Remembering, "exponent", setting["exponent"]),
        *((room, "POWER", setting["power"]) for room in (scoring, lexical)),
        *((room, "REACH", setting["reach"]) for room in (scoring, lexical)),
        (fusion, "WEIGHTS", weights),
        (search, "LEADS", setting["leads"]),
        (search, "DOUBT", setting["doubt"]),
    ]


def drawn(attentions: int, times: int, seed: int) -> Iterator[Setting]:
    """Settings of the attention at random, each some times with what becomes of it at random."""
    chance = random.Random(seed)
    others = {name: values for name, values in RANGES.items() if name not in OF_ATTENTION}
    for values in chance.sample([*product(*(RANGES[n] for n in OF_ATTENTION))], attentions):
        attention = dict(zip(OF_ATTENTION, values, strict=True))
        for _ in range(times):
            yield attention | {name: chance.choice(known) for name, known in others.items()}


def coordinates(settings: Sequence[Setting]) -> np.ndarray:
    """Constants from -1 to 1 over their ranges, ``f[S, C]``."""
    columns = []
    for name, known in RANGES.items():
        scale = np.log if name in BY_RATIO else np.asarray
        low, high = scale(known[0]), scale(known[-1])
        column = scale([setting[name] for setting in settings])
        columns.append(2 * (column - low) / (high - low) - 1)
    return np.stack(columns, axis=1)


def terms(settings: Sequence[Setting]) -> np.ndarray:
    """Terms of a quadratic in the constants, ``f[S, (C + 1)(C + 2) / 2]``."""
    whole = np.insert(coordinates(settings), 0, 1.0, axis=1)
    pairs = combinations_with_replacement(range(whole.shape[1]), 2)
    return np.stack([whole[:, a] * whole[:, b] for a, b in pairs], axis=1)


def surface(settings: Sequence[Setting], recall: Sequence[float]) -> np.ndarray:
    """Coefficients of the quadratic of least squares."""
    return np.linalg.lstsq(terms(settings), np.asarray(recall), rcond=None)[0]


def highest(coefficients: np.ndarray, count: int) -> list[Setting]:
    """The settings in the ranges where the surface is highest, best first."""
    whole = [dict(zip(RANGES, v, strict=True)) for v in product(*RANGES.values())]
    height = np.concatenate(
        [terms(whole[n : n + 2**14]) @ coefficients for n in range(0, len(whole), 2**14)]
    )
    return [whole[n] for n in np.argsort(-height)[:count]]


def told(setting: Setting) -> str:
    """A setting in words."""
    return ", ".join(f"{name} {value:.3g}" for name, value in setting.items())


def shipped() -> Setting:
    """The constants as they are."""
    return {
        "exponent": Remembering.exponent,
        "power": scoring.POWER,
        "reach": scoring.REACH,
        **{name: fusion.WEIGHTS[name] for name in ("bm25", "document", "hop")},
        "leads": search.LEADS,
        "doubt": search.DOUBT,
    }


TRIALS: dict[str, Trial] = {}
"""By set. Here so that processes inherit them."""


def measured(
    sets: Sequence[LabelledSet], settings: Sequence[Setting], processes: int
) -> np.ndarray:
    """Recall on each set under each setting: ``f[K, S]``."""
    asked = [(part.name, question, settings) for part in sets for question in part.questions]
    with get_context("fork").Pool(processes) as pool:
        bar = tqdm(pool.imap(_recalls, asked), total=len(asked), unit="question", mininterval=5)
        found = np.array([*bar])
    names = np.array([name for name, *_ in asked])
    return np.stack([found[names == part.name].mean(0) for part in sets])


def _recalls(asked: tuple[str, LabelledQuestion, Sequence[Setting]]) -> list[float]:
    name, question, settings = asked
    return TRIALS[name].recall(question, settings)


def main(args: argparse.Namespace) -> None:
    """Draw, measure, fit, measure again, choose, write."""
    torch.set_num_threads(1)  # of each process
    sets = [for_choice(load_set(folder)) for folder in args.sets]
    backbone = Backbone.load(None)
    TRIALS.update((part.name, Trial(part, backbone)) for part in sets)
    settings = [shipped(), *drawn(args.attentions, args.times, args.seed)]
    recall = measured(sets, settings, args.processes)
    best = highest(surface(settings, recall.mean(0)), args.confirm)
    settings += best
    recall = np.concatenate([recall, measured(sets, best, args.processes)], axis=1)
    means = recall.mean(0)
    for place in np.argsort(-means)[:10]:
        print(f"{100 * means[place]:.2f}  {told(settings[place])}")
    print(f"{100 * means[0]:.2f}  as shipped")
    print(line("settings drawn", spread((100 * means[1 : -args.confirm]).tolist()), "%", 1))
    write(
        "constants",
        args,
        {
            "questions": {part.name: len(part.questions) for part in sets},
            "budgets": BUDGETS,
            "chosen": settings[int(means.argmax())],
            "tried": [
                {
                    "setting": setting,
                    "recall": round(float(means[n]), 4),
                    "sets": [round(x, 4) for x in recall[:, n].tolist()],
                }
                for n, setting in enumerate(settings)
            ],
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", metavar="SET")
    parser.add_argument("--attentions", type=int, default=24, help="settings drawn of attention")
    parser.add_argument("--times", type=int, default=8, help="settings drawn for each of them")
    parser.add_argument("--confirm", type=int, default=16, help="settings of the surface to try")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "constants.json")
    main(parser.parse_args())
