"""Time of a search over a large text: exact beside fast, rank_bm25 beside ours, and recall of both.

::

    python benchmarks/search_speed.py --tokens 1000000
    python benchmarks/search_speed.py --recall SET...

The text is synthetic where real text runs out: sentences of the reference of the Python language
and of the texts that ship for calibration are drawn at random, with their words, their tokens and
their codes; the residual of each token is that of another token, so that no key comes twice.
Questions are real, and read by the model, which is left out of all times. Recall is over real sets.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict
from pathlib import Path
from pydoc_data.topics import topics
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import arguments, line, load, spread, write
from rank_bm25 import BM25Okapi

from s3_retriever.codec import JoinedCodes
from s3_retriever.codec.codes import TokenCodes
from s3_retriever.config import ScanConfig, SearchConfig
from s3_retriever.documents import Document
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.engine.flow import find
from s3_retriever.evaluate.metrics import evidence_recall
from s3_retriever.evaluate.rankers.bench import RememberingReader
from s3_retriever.evaluate.rankers.hits import Hit
from s3_retriever.evaluate.rankers.memo import Memo
from s3_retriever.labelled.sets import builtin_sets, load_set
from s3_retriever.reading.scan import scan
from s3_retriever.searching.bm25 import Bm25
from s3_retriever.searching.passages import Passages
from s3_retriever.searching.scorer import IndexedText
from s3_retriever.searching.searcher import Searcher
from s3_retriever.text.words import words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank

FAST = SearchConfig(k=40)
EXACT = FAST.replace(exact=True)
KINDS = {
    "fast": FAST,
    "exact": EXACT,
    "fast without BM25": FAST.replace(bm25=False),
    "exact without BM25": EXACT.replace(bm25=False),
}
DOCUMENT_SENTENCES = 40
BUDGET = 2000


def real_text(backbone: Backbone, bank: Bank, tokens: int) -> IndexedText:
    """Real documents of about that many tokens, with their codes."""
    texts = [own.text for part in builtin_sets() for own in part.documents] + [*topics.values()]
    documents, left = [], tokens
    for number, text in enumerate(texts):
        if left <= 0:
            break
        documents.append(Document(str(number), text))
        left -= backbone.text.count(text)
    codes = {document.id: rows for document, rows in scan(backbone, bank, documents, ScanConfig())}
    return indexed_text(documents, [codes[document.id] for document in documents], bank)


def drawn(real: IndexedText, tokens: int, seed: int) -> IndexedText:
    """A text of that many tokens, of sentences drawn from a real one; see the top of this file."""
    random, passages, sentences = np.random.default_rng(seed), real.passages, real.sentences()
    sizes = np.diff(passages.bounds)
    owning = np.flatnonzero(sizes)
    chosen = random.choice(owning, int(1.2 * tokens / sizes[owning].mean()) + 1)
    chosen = chosen[: int(np.searchsorted(np.cumsum(sizes[chosen]), tokens)) + 1]
    bounds = np.concatenate([[0], np.cumsum(sizes[chosen])])
    rows = np.repeat(passages.bounds[chosen] - bounds[:-1], sizes[chosen]) + np.arange(bounds[-1])
    whole = real.codes.rows(slice(None))
    arrays = [whole.latents.numpy()[rows], whole.values.numpy()[rows]]
    arrays.append(whole.residual.numpy()[random.integers(len(real.codes), size=len(rows))])
    document = np.arange(len(chosen)) // DOCUMENT_SENTENCES
    lengths = np.array([len(sentences[number]) for number in chosen])
    ends = np.cumsum(lengths)
    firsts = np.arange(0, len(chosen), DOCUMENT_SENTENCES)
    end = ends - (ends - lengths)[firsts][document]
    documents, parts = [], []
    for number, first in enumerate(firsts.tolist()):
        own = chosen[first : first + DOCUMENT_SENTENCES]
        documents.append(Document(str(number), "".join(sentences[n] for n in own)))
        rows_of = slice(int(bounds[first]), int(bounds[first + len(own)]))
        length = len(documents[-1].text)
        places = np.linspace(0, length, rows_of.stop - rows_of.start + 1).astype(np.int32)
        parts.append(TokenCodes(*(a[rows_of] for a in arrays), places[:-1], places[1:]))
    whole_text = Passages(document, end - lengths, end, bounds, np.full(len(document), -1))
    return IndexedText(tuple(documents), whole_text, JoinedCodes(parts), real.bank)


def times(
    searcher: Searcher, reader: RememberingReader, questions: Sequence[str], exact: int
) -> dict[str, Any]:
    """Seconds of the steps of a search, of every question; the first `exact` ask both ways."""
    rows: dict[str, list[dict[str, float]]] = {"fast": [], "exact": []}
    shared = []
    for number, question in enumerate(questions):
        find(reader, searcher, [question], FAST)  # the model reads what it has to
        (fast,) = find(reader, searcher, [question], FAST)
        rows["fast"].append(asdict(fast.seconds) | {"search": fast.seconds.search})
        if number < exact:
            find(reader, searcher, [question], EXACT)
            (slow,) = find(reader, searcher, [question], EXACT)
            rows["exact"].append(asdict(slow.seconds) | {"search": slow.seconds.search})
            both = ({span.id for span in found.spans[:10]} for found in (fast, slow))
            shared.append(len(set.intersection(*both)) / 10)
    figures: dict[str, Any] = {}
    for kind, own in rows.items():
        steps = [name for name in own[0] if name != "read"] if own else []
        figures[kind] = {name: spread([row[name] for row in own]) for name in steps}
        for name, figure in figures[kind].items():
            print(line(f"{kind}: {name}", figure))
    if shared:
        ratios = [f["search"] / e["search"] for f, e in zip(*rows.values(), strict=False)]
        figures |= {"fast_of_exact": spread(ratios), "shared_of_best_ten": statistics.mean(shared)}
        print(line("fast / exact", figures["fast_of_exact"], "", 4))
        print(f"shared of the best ten spans: {figures['shared_of_best_ten']:.3f}")
    return figures


def lexical(text: IndexedText, questions: Sequence[str]) -> dict[str, Any]:
    """rank_bm25 beside ours: seconds of the scores of every sentence, and whether they agree."""
    ours = Bm25(text.word_postings)
    theirs = BM25Okapi([words(sentence) for sentence in text.sentences()])
    rows: dict[str, list[float]] = {"ours": [], "rank_bm25": []}
    furthest = 0.0
    for question in questions:
        asked = words(question)
        begun = perf_counter()
        found, scores = ours.scores(asked)
        rows["ours"].append(perf_counter() - begun)
        begun = perf_counter()
        expected = theirs.get_scores(asked)
        rows["rank_bm25"].append(perf_counter() - begun)
        whole = np.zeros(len(expected))
        whole[found] = scores
        furthest = max(furthest, float(np.abs(whole - expected).max()))
    figures: dict[str, Any] = {name: spread(own) for name, own in rows.items()}
    ratios = [slow / fast for fast, slow in zip(rows["ours"], rows["rank_bm25"], strict=True)]
    figures |= {"ratio": spread(ratios), "greatest_difference": furthest}
    print(line("rank_bm25 / ours", figures["ratio"], "", 0), f"greatest difference {furthest:.1e}")
    return figures


def speed(args: argparse.Namespace, backbone: Backbone, bank: Bank) -> dict[str, Any]:
    """All figures of one synthetic text."""
    real = real_text(backbone, bank, args.real)
    text = drawn(real, args.tokens, args.seed)
    print(
        f"{len(text.codes):,} tokens, {len(text.passages):,} sentences of {len(real.codes):,} real"
    )
    begun = perf_counter()
    cells = text.cells
    making = perf_counter() - begun
    size = sum(own.means.nbytes + own.cell.nbytes for own in cells) / len(text.codes)
    print(f"cells: {making:.1f} s, {size:.0f} bytes a token in memory")
    asked = [question.question for part in builtin_sets() for question in part.questions]
    questions = asked[:: max(len(asked) // args.questions, 1)][: args.questions]
    reader = RememberingReader(backbone, bank, ScanConfig(), Memo())
    searcher = Searcher(text, fast_from=0)
    find(reader, searcher, questions[:1], FAST)  # what is made once
    return {
        "tokens": len(text.codes),
        "sentences": len(text.passages),
        "real_tokens": len(real.codes),
        "cells": {"seconds": making, "bytes_per_token": size},
        "search": times(searcher, reader, questions, args.exact),
        "bm25": lexical(text, questions[: args.exact]),
    }


def recall(args: argparse.Namespace, backbone: Backbone, bank: Bank) -> dict[str, Any]:
    """Evidence recall of both on real sets, with BM25 and without, each as a text of its own."""
    figures: dict[str, Any] = {}
    for folder in args.recall:
        labelled = load_set(folder)
        step = max(len(labelled.questions) // args.limit, 1)
        questions = [own for own in labelled.questions[::step] if own.evidence][: args.limit]
        codes = {
            own.id: rows for own, rows in scan(backbone, bank, labelled.documents, ScanConfig())
        }
        text = indexed_text(labelled.documents, [codes[own.id] for own in labelled.documents], bank)
        reader = RememberingReader(backbone, bank, ScanConfig(), Memo())
        searcher = Searcher(text, fast_from=0)
        found, seconds = {}, {}
        for kind, config in KINDS.items():
            rows, took = [], []
            for question in questions:
                (own,) = find(reader, searcher, [question.question], config)
                hits = [Hit(s.document_id, s.start, s.end, s.score) for s in own.spans]
                rows.append(100 * evidence_recall(hits, question.evidence, BUDGET))
                took.append(own.seconds.search)
            found[kind] = round(statistics.mean(rows), 2)
            seconds[kind] = round(statistics.median(took), 4)
        sizes = {"tokens": len(text.codes), "questions": len(questions)}
        figures[labelled.name] = {**sizes, **found, "median_seconds": seconds}
        print(labelled.name, figures[labelled.name], flush=True)
    means = {kind: statistics.mean(own[kind] for own in figures.values()) for kind in found}
    print({kind: round(value, 2) for kind, value in means.items()})
    return {"recall_at_2000": figures, "mean": means}


def main(args: argparse.Namespace) -> None:
    """Measure and write."""
    torch.set_num_threads(args.threads)
    backbone, bank = load("smollm2", "fp32", args.seed)
    measured = recall if args.recall else speed
    name = "search_recall" if args.recall else "search_speed"
    write(name, args, {"threads": args.threads, **measured(args, backbone, bank)}, backbone, bank)


if __name__ == "__main__":
    parser = arguments(__doc__ or "")
    parser.add_argument("--tokens", type=int, default=1_000_000, help="of the synthetic text")
    parser.add_argument("--real", type=int, default=60_000, help="tokens that are drawn from")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument(
        "--exact", type=int, default=10, help="questions that are asked exactly too"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--recall", nargs="+", type=Path, default=[], metavar="SET")
    parser.add_argument("--limit", type=int, default=40, help="questions of each set")
    main(parser.parse_args())
