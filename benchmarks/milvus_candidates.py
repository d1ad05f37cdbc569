"""Candidates from Milvus against the search's own: evidence recall and time, over labelled sets.

::

    python benchmarks/milvus_candidates.py SET...

Spans are pooled to sparse vectors and written to the embedded Milvus (milvus-lite), once with the
greatest activation of a latent and once with the sum. Of each question, the codes of what Milvus
names are scored, and of the search's own candidates, and of all sentences; recall is that of the
best 2000 characters, seconds are those of a search without the model's reading. What `named` tells
is the share of evidence that stands in what Milvus names, and of the text that it names.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from common import arguments, load, spread, test_split, write

from s3_retriever.config import ScanConfig, SearchConfig
from s3_retriever.distributed.milvus import MilvusSpans
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.engine.flow import find
from s3_retriever.evaluate.metrics import evidence_recall
from s3_retriever.evaluate.rankers.bench import RememberingReader
from s3_retriever.evaluate.rankers.hits import Hit
from s3_retriever.evaluate.rankers.memo import Memo
from s3_retriever.labelled.sets import load_set
from s3_retriever.reading.scan import scan
from s3_retriever.searching.candidate_attention import CandidateAttention
from s3_retriever.searching.pooled import Pooling
from s3_retriever.searching.scorer import Asked
from s3_retriever.searching.searcher import Searcher

if TYPE_CHECKING:
    import argparse

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.labelled.sets import LabelledQuestion
    from s3_retriever.reading.question_reader import QuestionReader
    from s3_retriever.searching.scorer import IndexedText

BUDGET = 2000
"""Characters of the best spans that evidence is looked for in."""

DEEP = SearchConfig(k=40)
NO_BOUND = 10**9


def asked(
    searcher: Searcher,
    reader: QuestionReader,
    questions: list[LabelledQuestion],
    config: SearchConfig = DEEP,
) -> dict[str, Any]:
    """Recall in percent, and seconds of the search."""
    recalls, took = [], []
    for question in questions:
        find(reader, searcher, [question.question], config)  # the model reads what it has to
        (own,) = find(reader, searcher, [question.question], config)
        hits = [Hit(s.document_id, s.start, s.end, s.score) for s in own.spans]
        recalls.append(100 * evidence_recall(hits, question.evidence, BUDGET))
        took.append(own.seconds.search)
    return {"recall": statistics.mean(recalls), "search": spread(took)}


def named(
    text: IndexedText,
    spans: MilvusSpans,
    reader: QuestionReader,
    questions: list[LabelledQuestion],
) -> dict[str, Any]:
    """What Milvus names: the share of evidence in it, of the text, and the seconds it takes."""
    generator, passages, found, share, took = spans.candidates_of(text), text.passages, [], [], []
    for question in questions:
        (read,) = reader.questions([question.question])
        begun = perf_counter()
        own = generator.candidates([Asked(read.what.text, read.what.queries)])
        took.append(perf_counter() - begun)
        rows = zip(passages.document[own], passages.start[own], passages.end[own], strict=True)
        hits = [Hit(text.documents[d].id, int(a), int(b), 0.0) for d, a, b in rows]
        found.append(100 * evidence_recall(hits, question.evidence, NO_BOUND))
        share.append(100 * len(own) / len(passages))
    figures = {"evidence": statistics.mean(found), "sentences": statistics.mean(share)}
    return figures | {"seconds": spread(took)}


def of_set(
    folder: Path, args: argparse.Namespace, backbone: Backbone, bank: Bank, home: Path
) -> dict[str, Any]:
    """All figures of one set, which is a text of its own."""
    labelled = test_split(load_set(folder))
    step = max(len(labelled.questions) // args.limit, 1)
    questions = [own for own in labelled.questions[::step] if own.evidence][: args.limit]
    codes = {own.id: rows for own, rows in scan(backbone, bank, labelled.documents, ScanConfig())}
    text = indexed_text(labelled.documents, [codes[own.id] for own in labelled.documents], bank)
    reader = RememberingReader(backbone, bank, ScanConfig(), Memo())
    figures: dict[str, Any] = {"tokens": len(text.codes), "sentences": len(text.passages)}
    ways = {"own": asked(Searcher(text, fast_from=0), reader, questions)}
    ways["all"] = asked(Searcher(text), reader, questions, DEEP.replace(exact=True))
    for pooling in get_args(Pooling):
        spans = MilvusSpans(str(home / f"{labelled.name}-{pooling}.db"))
        begun = perf_counter()
        figures["spans"] = spans.write(text, pooling)
        figures[f"write {pooling}"] = perf_counter() - begun
        scorers = {"attention": CandidateAttention(text)}
        for most in args.most:
            spans.most = most
            searcher = Searcher(text, candidates=spans.candidates_of(text), scorers=scorers)
            told = named(text, spans, reader, questions)
            ways[f"{pooling} {most}"] = {"named": told, **asked(searcher, reader, questions)}
        spans.close()
    for name, found in ways.items():
        median, told = found["search"]["median"], found.get("named", {})
        shown = f"recall {found['recall']:6.2f}, {1000 * median:6.1f} ms"
        if told:
            shown += (
                f", named {told['evidence']:.1f}% of evidence, {told['sentences']:.1f}% of text"
            )
        print(f"{labelled.name} ({figures['tokens']:,} tokens), {name:<8} {shown}", flush=True)
    return {**figures, "ways": ways}


def main(args: argparse.Namespace) -> None:
    """Measure and write."""
    torch.set_num_threads(args.threads)
    backbone, bank = load("smollm2", "fp32", args.seed)
    with tempfile.TemporaryDirectory() as home:
        sets = {
            folder.name: of_set(folder, args, backbone, bank, Path(home)) for folder in args.sets
        }
    ways = [own["ways"] for own in sets.values()]
    means = {name: float(np.mean([own[name]["recall"] for own in ways])) for name in ways[0]}
    print({name: round(value, 2) for name, value in means.items()})
    figures = {"threads": args.threads, "most": args.most, "sets": sets, "mean_recall": means}
    write("milvus_candidates", args, figures, backbone, bank)


if __name__ == "__main__":
    parser = arguments(__doc__ or "")
    parser.add_argument("sets", nargs="+", type=Path, metavar="SET")
    parser.add_argument("--limit", type=int, default=40, help="questions of each set")
    parser.add_argument("--most", type=int, nargs="+", default=[50, 200], help="spans it names")
    parser.add_argument("--threads", type=int, default=1)
    main(parser.parse_args())
