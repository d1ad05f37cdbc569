"""Evidence recall: ours beside the baselines, what each part adds, and what bytes buy.

    python benchmarks/quality.py SET...                    # the main table
    python benchmarks/quality.py SET... --part ablation --banks banks/
    python benchmarks/quality.py SET... --part meaning     # beside what meaning and the hop add
    python benchmarks/quality.py SET... --part hop         # fewer spans that lead on
    python benchmarks/quality.py SET... --part bytes
    python benchmarks/quality.py SET... --model gemma.gguf --name gemma    # another model
    python benchmarks/quality.py SET... --part depth
    python benchmarks/quality.py SET... --part static --corpora CORPORA    # keys without reading
    python benchmarks/quality.py SET... --part rivals      # both depths beside embedding models:
        --embedding FOLDER --vectors FOLDER --sizes 400

SET is a folder with documents.jsonl and questions.jsonl (`s3-retriever eval --help`). Every third
question is left to choose_constants.py, and no table has it. The bank without whitening is made by
variant_banks.py; without it the row that needs it is left out. All in one run is asked of the same
questions; the result goes to results/quality-PART.json, and the plot of recall against bytes into
the documentation. With --vectors FOLDER what embedding models make of passages is kept there, and a
run that was broken off goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import RESULTS, command, test_split
from default_corpus import corpus, first
from kept_vectors import KeptVectors
from static_keys import SomeRead, token_means, unread

from s3_retriever.codec import Bank, JoinedCodes, Sae, TokenCodes
from s3_retriever.config import ScanConfig, SearchConfig, Weighing
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.evaluate import Contender, Variant, evaluate
from s3_retriever.evaluate.rankers.bench import Bench
from s3_retriever.evaluate.rankers.build import IndexRanker, SearcherRanker, dense
from s3_retriever.evaluate.rankers.contenders import contenders, embedding
from s3_retriever.evaluate.rankers.dense import dense_scorers
from s3_retriever.evaluate.rankers.hits import DEPTH
from s3_retriever.evaluate.report.export import as_json
from s3_retriever.evaluate.report.table import tables
from s3_retriever.fitting import CalibrateConfig, builtin_sets, calibrate, load_set
from s3_retriever.searching.searcher import Searcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Calibration
    from s3_retriever.evaluate import Evaluation
    from s3_retriever.evaluate.rankers.hits import Ranker
    from s3_retriever.evaluate.results import Row

MAIN = (
    *("attention+bm25", "attention", "coactivation", "paper"),
    *("dense+bm25", "dense", "dense-4bit+bm25", "bm25", "embedding", "bm25+embedding"),
)
ALL = SearchConfig(k=DEPTH)
SHIPPED = "S3 + BM25"
PLOT = Path(__file__).parents[1] / "docs/recall-against-bytes.svg"


def searched(
    bench: Bench,
    config: SearchConfig = ALL,
    *,
    bank: Callable[[Bank], Bank] = lambda bank: bank,
    codes: Callable[[Bench], tuple[TokenCodes, ...]] = Bench.codes,
) -> Ranker:
    """Ours with other settings, another bank made of the bench's, or other codes."""
    rows = codes(bench)
    searcher = Searcher(indexed_text(bench.documents, rows, bank(bench.bank)))
    return SearcherRanker(bench, searcher, config, sum(part.nbytes for part in rows))


def weighed(weighing: Weighing) -> Callable[[Bench], Ranker]:
    """Ours with other constants."""
    return partial(searched, config=ALL.replace(weighing=weighing))


def without_preamble(bench: Bench) -> Ranker:
    """Documents and questions read bare, behind the beginning-of-sequence token alone."""
    bare = Bench(bench.documents, bench.backbone, bench.bank, ScanConfig(preamble=""))
    return searched(bare)


def equal_weights(bank: Bank) -> Bank:
    """All heads count the same."""
    return replace(
        bank,
        calibration=bank.calibration.replace(
            head_weights=torch.ones_like(bank.calibration.head_weights)
        ),
    )


def not_centred(bank: Bank) -> Bank:
    """Raw queries."""
    mean = torch.zeros_like(bank.calibration.query_mean)
    return replace(bank, calibration=bank.calibration.replace(query_mean=mean))


def encoded(bank: Bank, bench: Bench) -> tuple[TokenCodes, ...]:
    """Codes of another bank of the same taps, from the keys that were kept dense."""
    own = bench.bank.calibration
    rows, found, first = bench.keys(), [], 0
    for place in bench.places:
        keys = rows[first : first + len(place)].float()
        raw = torch.einsum("tni,nij->tnj", keys, own.unwhiten) + own.key_mean
        codes = bank.encode(raw)
        parts = {name: getattr(codes, name).numpy() for name in ("latents", "values", "residual")}
        found.append(TokenCodes(**parts, starts=place.starts, ends=place.ends))
        first += len(place)
    return tuple(found)


def with_bank(folder: Path) -> Callable[[Bench], Ranker]:
    """Ours with a bank of variant_banks.py."""
    bank = Bank.load(folder)
    return partial(searched, bank=lambda _: bank, codes=partial(encoded, bank))


def reference(title: str, build: Callable[[Bench], Ranker]) -> Contender:
    """A row of a table."""
    return Contender(title, title, "reference", (Variant("", build),))


def ablation(banks: Path | None) -> list[Contender]:
    """Ours whole, and with each part alone removed."""
    rows: dict[str, Callable[[Bench], Ranker]] = {
        "no BM25": partial(searched, config=ALL.replace(bm25=False)),
        "no meaning": weighed(Weighing(meaning=0.0)),
        "no second hop": partial(searched, config=ALL.replace(second_hop=False)),
        "names of documents asked like other words": weighed(Weighing(place=0.0)),
        "no whole documents": weighed(Weighing(whole=0.0)),
        "no document beside the sentence": weighed(Weighing(document=0.0)),
        "no smoothing": weighed(Weighing(reach=1e-6)),
        "single sentences for spans": weighed(Weighing(span_characters=0)),
        "query not centred": partial(searched, bank=not_centred),
        "heads weighted alike": partial(searched, bank=equal_weights),
        "no preamble for the sink": without_preamble,
        "no residual beside the codes": partial(
            searched, bank=lambda bank: replace(bank, residual=None)
        ),
        "co-activation for q·k": partial(searched, config=ALL.replace(scoring="coactivation")),
    }
    if banks:
        rows["keys not whitened"] = with_bank(banks / "no whitening")
    known = contenders()
    published = [known["paper"], known["coactivation"]]
    return [known["attention+bm25"], *(reference(t, b) for t, b in rows.items()), *published]


def only(rows: Sequence[Contender], titles: str | None) -> Sequence[Contender]:
    """The first of some rows, which the others are compared with, and those of some titles."""
    named = titles.split(",") if titles else [row.title for row in rows]
    return [rows[0], *(row for row in rows[1:] if row.title in named)]


LEAST = (1e-6, 0.05, 0.2, 0.4)
"""Weights of a span, next to that of the best one, below which it does not lead on."""


def by_leads() -> list[Contender]:
    """Ours whole, without a second hop, and with more and fewer spans that lead on."""
    rows = {"no second hop": partial(searched, config=ALL.replace(second_hop=False))}
    rows |= {
        f"spans of weight {least:g} lead on": weighed(Weighing(hop_least=least)) for least in LEAST
    }
    return [contenders()["attention+bm25"], *(reference(t, b) for t, b in rows.items())]


def by_bytes() -> list[Contender]:
    """The same keys in fewer and in more bytes."""
    known = contenders()
    rows = [known["attention+bm25"]]
    rows += [reference(f"{k} latents, no residual", partial(fewer, k)) for k in (8, 16, 32)]
    for bits in STEPS:
        title = f"32 latents, residual at {bits} bits"
        rows.append(reference(title, partial(finer, bits)))
    return [*rows, known["dense-4bit+bm25"], known["dense+bm25"]]


def fewer(k: int, bench: Bench) -> Ranker:
    """The strongest latents of each token alone."""

    def kept(part: TokenCodes) -> TokenCodes:
        order = np.argsort(-part.values.astype(int), axis=1, kind="stable")[:, :k]
        latents, values = (np.take_along_axis(a, order, 1) for a in (part.latents, part.values))
        none = np.empty((len(part), 0), dtype=np.uint8)
        return replace(part, latents=latents, values=values, residual=none)

    def smaller(bank: Bank) -> Bank:
        (sae,) = bank.saes
        return replace(bank, saes=(replace(sae, k=k),), residual=None)

    return searched(bench, bank=smaller, codes=lambda bench: tuple(map(kept, bench.codes())))


STEPS = {4: 0.3352, 6: 0.1041}
"""Of the even quantiser of least error for a normal variable, by bits (Max 1960; Jayant and Noll
1984)."""


def finer(bits: int, bench: Bench) -> Ranker:
    """The codes as they ship, beside a residual of more bits a number."""
    bank, codes, keys = bench.bank, bench.codes(), bench.keys()
    residual = bank.residual
    if residual is None:
        raise SystemExit("the bank has no residual")
    coded = replace(bank, residual=None).decode(JoinedCodes(codes).rows(slice(None)))
    left = (keys - coded).flatten(1) / residual.scale
    step = STEPS[bits] * left.square().mean(1, keepdim=True).sqrt()
    most = 2 ** (bits - 1)
    levels = (left / step).floor().clamp(-most, most - 1) + 0.5
    restored = coded + (levels * step * residual.scale).view_as(coded)
    text = indexed_text(bench.documents, codes, bank)
    searcher = Searcher(text, scorers=dense_scorers(text, restored.half()))
    plain = sum(part.nbytes - part.residual.nbytes for part in codes)
    nbytes = plain + len(keys) * (1 + left.shape[1] * bits // 8)
    return SearcherRanker(bench, searcher, ALL.replace(scoring="dense"), nbytes)


def rivals(folders: Sequence[Path], kept: Path | None, sizes: Sequence[str]) -> list[Contender]:
    """Ours at both depths, and BM25 and embedding models, which are also fused.

    The models that are given have chunks of some sizes only.
    """
    known = contenders()
    small = [known[name] for name in ("bm25", "embedding", "bm25+embedding")]
    models = [KeptVectors(folder, kept) if kept else folder for folder in folders]
    large = [row for model in models for row in embedding(model)]
    limited = [replace(row, variants=at_sizes(row.variants, sizes)) for row in large]
    return [*by_scan(), *small, *limited]


def at_sizes(variants: Sequence[Variant], sizes: Sequence[str]) -> tuple[Variant, ...]:
    """Those of some sizes of chunks."""
    return tuple(each for each in variants if each.label.split()[0] in sizes)


DEPTHS = (1 / 6, 1 / 3, 1 / 2, 2 / 3)


@cache
def calibrated(backbone: Backbone, depth: float) -> Calibration:
    """Heads chosen among the first layers only."""
    return calibrate(backbone, builtin_sets(), CalibrateConfig(depth=depth))


def bare_bank(backbone: Backbone, calibration: Calibration) -> Bank:
    """A bank for dense keys, which read its calibration alone.

    A bank must have an SAE: this one's has a single latent and weights that are all 0.
    """
    d_in = len(calibration.taps) * calibration.head_dim
    sae = Sae(
        taps=calibration.taps,
        k=1,
        w_enc=torch.zeros(d_in, 1),
        b_enc=torch.zeros(1),
        w_dec=torch.zeros(1, d_in),
        b_dec=torch.zeros(d_in),
        scale=1.0,
    )
    fingerprint = backbone.fingerprint(calibration.taps)
    return Bank(calibration=calibration, saes=(sae,), fingerprint=fingerprint)


def at_depth(depth: float, bench: Bench, *, bm25: bool) -> Ranker:
    """Dense keys of heads down to a depth: what reading more of the model would bring."""
    bank = bare_bank(bench.backbone, calibrated(bench.backbone, depth))
    return dense(Bench(bench.documents, bench.backbone, bank), bm25=bm25)


def by_depth() -> list[Contender]:
    """Dense keys by the share of the layers that may be read."""
    return [
        reference(
            f"first {depth:.0%} of the layers{' + BM25' if bm25 else ''}",
            partial(at_depth, depth, bm25=bm25),
        )
        for depth in DEPTHS
        for bm25 in (True, False)
    ]


def half_read(bench: Bench, *, bm25: bool) -> Ranker:
    """Ours as ``depth="fast"`` makes it."""

    def read() -> Bench:
        half = Bench(bench.documents, bench.backbone, depth="fast")
        half.index()
        return half

    return IndexRanker(bench.memo.get("fast", read), bm25=bm25)


def by_scan() -> list[Contender]:
    """Ours with the banks of both depths, with BM25 and without."""
    known = contenders()
    rows = [known["attention+bm25"], known["attention"]]
    titles = {True: f'{SHIPPED}, depth="fast"', False: 'S3, depth="fast"'}
    return [
        *rows,
        *(reference(title, partial(half_read, bm25=bm25)) for bm25, title in titles.items()),
    ]


READ = (50, 100, 200, 500)
"""Sentences."""


@cache
def means_of(backbone: Backbone, bank: Bank, corpora: Path, characters: int) -> Tensor:
    """The mean key of each vocabulary id in the first texts of the training corpus."""
    texts = first(corpus(corpora), characters)
    return token_means(backbone, bank.calibration, texts, sys.stderr.isatty())


def static(corpora: Path, characters: int) -> list[Contender]:
    """Dense keys, the keys that tokens have anywhere, and both, with BM25 and without."""

    def row(bench: Bench, config: SearchConfig, sentences: int) -> Ranker:
        means = means_of(bench.backbone, bench.bank, corpora, characters)
        if sentences == 0:
            return unread(means, config, bench)
        return SomeRead(sentences, means, config, bench)

    known = contenders()
    titles = {0: "static keys, no text read"}
    titles |= {n: f"static candidates, {n} sentences read" for n in READ}
    rows = [known["dense+bm25"], known["dense"]]
    for bm25 in (True, False):
        config = ALL.replace(scoring="dense", bm25=bm25)
        rows += [
            reference(title + " + BM25" * bm25, partial(row, config=config, sentences=n))
            for n, title in titles.items()
        ]
    return rows


def plot(made: dict[str, Any], path: Path) -> None:
    """Recall against bytes a token, from what was written as JSON."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 4.2), layout="constrained")
    for of_keys, color in ((False, "#0b6e4f"), (True, "#b23a48")):
        rows = [row for row in made["rows"] if row["ranker"].startswith("dense") == of_keys]
        points = sorted(
            (row["cost"]["bytes_per_token"], 100 * row["means"][made["metric"]], row["title"])
            for row in rows
        )
        axes.plot([x for x, *_ in points], [y for _, y, _ in points], "o-", color=color)
        for x, y, title in points:
            shown = "as shipped: residual at 2 bits" if title == SHIPPED else title
            slope, place, side = (-38, (2, -6), "left") if of_keys else (60, (2, 6), "left")
            if x < 128:
                slope, place = 0, (8, -4)
            elif of_keys and x < 256:
                place, side = (-4, 4), "right"
            look = {"fontsize": 7, "rotation": slope, "rotation_mode": "anchor", "color": color}
            at = {"xytext": place, "textcoords": "offset points", "ha": side}
            axes.annotate(shown, (x, y), **at, **look)
    axes.set_xscale("log", base=2)
    axes.set_xlim(24, 1500)
    low, high = axes.get_ylim()
    axes.set_ylim(low - 1.5, high + 5)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set_xlabel("bytes a token")
    axes.set_ylabel("evidence recall at 2000 characters, %")
    axes.grid(alpha=0.25)
    figure.savefig(path)


def main(args: argparse.Namespace) -> None:
    """Evaluate, print, write."""
    rankers: dict[str, Callable[[], Sequence[str | Contender]]] = {
        "main": lambda: args.rankers.split(",") if args.rankers else MAIN,
        "ablation": lambda: only(ablation(args.banks), args.rows),
        "meaning": lambda: only(ablation(None), "no meaning,no second hop"),
        "hop": by_leads,
        "bytes": by_bytes,
        "depth": by_depth,
        "static": lambda: static(args.corpora, args.characters),
        "rivals": lambda: only(
            rivals(args.embedding, args.vectors, args.sizes.split(",")), args.rows
        ),
    }
    found = evaluate(
        [test_split(load_set(folder)) for folder in args.sets],
        rankers[args.part](),
        model=args.model,
        bank=args.bank,
        limit=args.limit,
        seed=args.seed,
        progress=sys.stderr.isatty(),
    )
    print(tables(found))
    made = in_short(found)
    name = f"quality-{args.part}" + (f"-{args.name}" if args.name else "")
    write(made, RESULTS / f"{name}.json")
    if args.part == "bytes":
        plot(made, PLOT)


def in_short(found: Evaluation) -> dict[str, Any]:
    """An evaluation as plain data without what belongs to single questions, which are counted."""
    made = as_json(found, command())
    del made["variants"]
    for row, plain in zip(found.rows, made["rows"], strict=True):
        del plain["hits"]
        plain["against_first"] = against(row, found.rows[0], found.metric)
    for labelled in made["sets"]:
        labelled["questions"] = len(labelled["questions"])
    return made


def against(row: Row, first: Row, metric: str) -> dict[str, dict[str, int]]:
    """On each set, how many questions a row answers better and worse than the first one."""
    counts = {}
    for own, other in zip(row.runs, first.runs, strict=True):
        gain = own.values[metric] - other.values[metric]
        counts[own.set] = {"better": int((gain > 0).sum()), "worse": int((gain < 0).sum())}
    return counts


def write(made: dict[str, Any], path: Path) -> None:
    """As JSON, one entry to a line."""
    path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", metavar="SET")
    parts = ("main", "ablation", "meaning", "hop", "bytes", "depth", "static", "rivals")
    parser.add_argument("--part", choices=parts, default="main")
    parser.add_argument("--banks", type=Path, help="made by variant_banks.py")
    parser.add_argument("--corpora", type=Path, help="as of train_default_bank.py, for static keys")
    parser.add_argument("--characters", type=int, default=2_000_000, help="of that, about")
    parser.add_argument("--model", help="as for s3-retriever eval")
    parser.add_argument("--bank", type=Path, help="of that model; default: as for its first index")
    parser.add_argument("--rankers", help="of the main table, by name; default: ten of them")
    parser.add_argument(
        "--embedding", type=Path, action="append", default=[], help="folder of a rival's model"
    )
    parser.add_argument("--vectors", type=Path, help="folder that keeps what rivals have read")
    parser.add_argument("--sizes", default="400,800", help="of the rivals' chunks, in characters")
    parser.add_argument("--rows", help="of the ablation and the rivals, by title; default: all")
    parser.add_argument("--name", help="to tell the results of several runs apart")
    parser.add_argument("--limit", type=int, help="questions of each set")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.part == "static" and chosen.corpora is None:
        parser.error("static keys come from other texts: give --corpora")
    main(chosen)
