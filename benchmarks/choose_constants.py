r"""The scoring's constants, chosen on the questions kept for that.

    python benchmarks/choose_constants.py SET... s3_retriever/data/calibration

Settings of the constants are drawn at random and asked every third question of each set, the
package's own included; the tables of quality.py are of the other two thirds. What counts is the
mean over sets of evidence recall at 1000 and at 2000 characters, of S3 + BM25. A quadratic surface
is fitted to what was measured (Box and Wilson 1951), the settings where it is highest are measured
too, and the best of all that was measured and that the package can have, without roots of attention
shares, is chosen. With --only, the settings are all those of the constants named, the others as
they ship. The sentence head learnt from the package's own texts and questions, so that these have
no part in what it weighs:

    python benchmarks/choose_constants.py SET... --only meaning meaning_reach \
        --out benchmarks/results/constants-meaning.json
"""

from __future__ import annotations

import argparse
import random
from heapq import nlargest
from itertools import combinations_with_replacement, islice, product
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np
import torch
from common import RESULTS, line, spread, tuning_split, write
from tqdm import tqdm

from s3_retriever.backbone import Backbone
from s3_retriever.config import SearchConfig, Weighing
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.engine.flow import find
from s3_retriever.evaluate.metrics import evidence_recall
from s3_retriever.evaluate.rankers.bench import Bench, RememberingReader
from s3_retriever.evaluate.rankers.build import as_hits
from s3_retriever.evaluate.rankers.memo import Memo
from s3_retriever.fitting import load_set
from s3_retriever.searching.attention import coded_logits, shares_of
from s3_retriever.searching.fusion import standardise
from s3_retriever.searching.scorers import SCORERS
from s3_retriever.searching.searcher import Searcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from s3_retriever.fitting import LabelledQuestion, LabelledSet
    from s3_retriever.reading.leads import Lead
    from s3_retriever.searching.scorer import Asked, IndexedText, Scorer

Setting = dict[str, float]
"""Values of constants by name."""

RANGES: dict[str, Sequence[float]] = {
    "exponent": (1 / 3, 1 / 2, 2 / 3, 1),
    "power": (1.5, 2, 3, 4),
    "reach": (50, 100, 200, 400),
    "bm25": (0.15, 0.3, 0.45, 0.6, 0.8, 1),
    "meaning": (0, 0.25, 0.5, 0.75, 1),
    "meaning_reach": (50, 100, 200, 400),
    "place": (1, 2, 3, 4),
    "whole": (0, 0.25, 0.5, 1),
    "document": (0, 0.15, 0.3, 0.5),
    "hop": (0, 0.4, 0.8, 1.2),
    "hop_sources": (2, 3),
    "hop_temperature": (2, 3, 4, 5, 6),
}
"""The first three make the attention of a sentence (see `Attention`); the others say what becomes
of it: weights of the parts, and the second hop. All but the exponent are those of `Weighing`."""

OF_ATTENTION = ("exponent", "power", "reach")
BY_RATIO = (*OF_ATTENTION, "meaning_reach", "hop_temperature")
"""Constants whose ratios matter, not their differences."""

REMEMBERED: dict[str, tuple[str, ...]] = {
    "bm25": ("power", "reach"),
    "bm25 of places": (),
    "bm25 of documents": (),
    "meaning": ("meaning_reach",),
}
"""Scorers by their names in `s3_retriever.searching.scorers`, and the constants they depend on."""

MOST_SPANS = 64
BUDGETS = (1000, 2000)
WRITTEN = 20
"""Settings that are written, the best of those tried."""


class Attention:
    """The scores of `s3_retriever.searching.attention.AttentionScorer`, each worked out once.

    Shares of attention do not depend on the constants; their sums do on three of them.

    Args:
        text: What is searched.
        memo: Holds shares and sums.
        exponent: Of smoothed shares before they are summed; the package has plain sums, thus 1.
    """

    def __init__(self, text: IndexedText, memo: Memo, exponent: float) -> None:
        self._text, self._memo, self._exponent = text, memo, exponent

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`."""
        rows = [self._scores(question, weighing) for question in asked]
        return torch.stack(rows)[:, torch.from_numpy(candidates)]

    def _scores(self, asked: Asked, weighing: Weighing) -> Tensor:
        """``f32[A]``."""
        question = asked.queries.numpy().tobytes(), asked.without.start, asked.without.stop
        constants = self._exponent, weighing.power, weighing.reach

        def sums() -> Tensor:
            shares = self._memo.get(("shares", question), lambda: self._shares(asked))
            return self._summed(shares, weighing)

        return self._memo.get(("sums", question, constants), sums)

    def _shares(self, asked: Asked) -> Tensor:
        """``f32[A, H · n]``."""
        text, logits = self._text, coded_logits(self._text)(asked.queries)
        return shares_of(logits, [asked], text.bank.calibration, text.passages)

    def _summed(self, shares: Tensor, weighing: Weighing) -> Tensor:
        """``f32[A]``."""
        passages, heads = self._text.passages, self._text.bank.calibration.head_shares
        smooth = passages.smooth(shares, weighing.reach, weighing.power) ** self._exponent
        return standardise(smooth.view(len(passages), len(heads), -1).sum(2)) @ heads


class Remembering:
    """The scores of a scorer, each worked out once.

    Args:
        name: Of the scorer, in `REMEMBERED`.
        scorer: Is asked for the same candidates each time, all sentences.
        memo: Holds the scores.
    """

    def __init__(self, name: str, scorer: Scorer, memo: Memo) -> None:
        self._name, self._scorer, self._memo = name, scorer, memo

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`."""

        def row(question: Asked) -> Tensor:
            place = question.place and question.place.text
            constants = (getattr(weighing, name) for name in REMEMBERED[self._name])
            key = self._name, question.queries.numpy().tobytes(), question.text, place, *constants
            scores = self._scorer.scores
            return self._memo.get(key, lambda: scores([question], candidates, weighing))

        return torch.cat([row(question) for question in asked])


class Reader(RememberingReader):
    """Reads spans one by one, as settings share some of those that lead on."""

    def leads(self, spans: Sequence[tuple[str, str]]) -> list[Lead]:
        """Read as `QuestionReader.leads` does, or remember, span by span."""
        read = super().leads
        return [lead for span in spans for lead in read([span])]


class Trial:
    """One corpus, asked under many constants."""

    def __init__(self, labelled: LabelledSet, backbone: Backbone) -> None:
        self._bench = Bench(labelled.documents, backbone)
        bench = self._bench
        self._text = indexed_text(bench.documents, bench.codes(), bench.bank)
        self._others = {name: SCORERS[name](self._text) for name in REMEMBERED}

    def recall(self, asked: LabelledQuestion, settings: Sequence[Setting]) -> list[float]:
        """Under each setting, the mean over `BUDGETS`."""
        bench, memo = self._bench, Memo()
        reader = Reader(bench.backbone, bench.bank, bench.scan, memo)

        def under(setting: Setting) -> float:
            searcher = self._searcher(memo, setting["exponent"])
            config = SearchConfig(k=MOST_SPANS, weighing=weighing_of(setting))
            (found,) = find(reader, searcher, [asked.question], config)
            hits = as_hits(found.spans)
            return mean(evidence_recall(hits, asked.evidence, budget) for budget in BUDGETS)

        return [under(setting) for setting in settings]

    def _searcher(self, memo: Memo, exponent: float) -> Searcher:
        scorers = {name: Remembering(name, own, memo) for name, own in self._others.items()}
        attention = Attention(self._text, memo, exponent)
        return Searcher(self._text, scorers={"attention": attention, **scorers})


def weighing_of(setting: Setting) -> Weighing:
    """The constants of a setting that the package has."""
    return Weighing(**{name: value for name, value in setting.items() if name != "exponent"})


def sample(attentions: int, times: int, seed: int) -> Iterator[Setting]:
    """Settings of the attention at random, each some times with what becomes of it at random."""
    chance = random.Random(seed)
    others = {name: values for name, values in RANGES.items() if name not in OF_ATTENTION}
    for values in chance.sample([*product(*(RANGES[n] for n in OF_ATTENTION))], attentions):
        attention = dict(zip(OF_ATTENTION, values, strict=True))
        for _ in range(times):
            yield attention | {name: chance.choice(known) for name, known in others.items()}


def grid(names: Sequence[str]) -> list[Setting]:
    """All settings of some constants, the others as they ship."""
    settings = product(*(RANGES[name] for name in names))
    return [shipped() | dict(zip(names, values, strict=True)) for values in settings]


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
    best: list[tuple[float, Setting]] = []
    whole = (dict(zip(RANGES, values, strict=True)) for values in product(*RANGES.values()))
    while block := [*islice(whole, 2**14)]:
        best += zip((terms(block) @ coefficients).tolist(), block, strict=True)
        best = nlargest(count, best, key=itemgetter(0))
    return [setting for _, setting in best]


def describe(setting: Setting) -> str:
    """A setting in words."""
    return ", ".join(f"{name} {value:.3g}" for name, value in setting.items())


def shipped() -> Setting:
    """The constants as they are."""
    constants = {"exponent": 1.0, **dict(Weighing())}
    return {name: constants[name] for name in RANGES}


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
    sets = [tuning_split(load_set(folder)) for folder in args.sets]
    backbone = Backbone.load(None)
    TRIALS.update((part.name, Trial(part, backbone)) for part in sets)
    torch.set_num_threads(1)  # of each process
    tried = grid(args.only) if args.only else [*sample(args.attentions, args.times, args.seed)]
    settings = [shipped(), *tried]
    recall = measured(sets, settings, args.processes)
    drawn = recall.mean(0)[1:]
    if not args.only:
        best = highest(surface(settings, recall.mean(0)), args.confirm)
        settings += best
        recall = np.concatenate([recall, measured(sets, best, args.processes)], axis=1)
    means = recall.mean(0)
    order = np.argsort(-means, kind="stable").tolist()
    for place in order[:10]:
        print(f"{100 * means[place]:.2f}  {describe(settings[place])}")
    print(f"{100 * means[0]:.2f}  as shipped")
    print(line("settings drawn", spread((100 * drawn).tolist()), "%", 1))
    write(
        "constants",
        args,
        {
            "questions": {part.name: len(part.questions) for part in sets},
            "budgets": BUDGETS,
            "chosen": next(s for s in map(settings.__getitem__, order) if s["exponent"] == 1),
            "settings_tried": len(settings),
            "recall_of_settings_drawn": {
                name: round(value, 4) for name, value in spread(drawn.tolist()).items()
            },
            "best": [
                {
                    "setting": settings[place],
                    "recall": round(float(means[place]), 4),
                    "sets": [round(x, 4) for x in recall[:, place].tolist()],
                }
                for place in order[:WRITTEN]
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
    parser.add_argument("--only", nargs="+", choices=[*RANGES], default=(), metavar="CONSTANT")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "constants.json")
    main(parser.parse_args())
