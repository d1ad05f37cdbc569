"""Evidence recall in languages that the default model knows little, beside BM25.

    python benchmarks/languages.py
    python benchmarks/languages.py --languages german hindi

The sets in data/languages say the same in five languages: four documents and eight questions each,
three that use the text's words, four that use others, and one whose answer takes two documents. All
rankers rank the same sentences, so that scripts compare: what is counted is the share of the
evidence in the best three, in percent, and the mean reciprocal rank of the first that holds any.
*Alone*, the documents of one language are searched; *together*, those of all. BM25 ranks by plain
words (runs of letters and digits) and by this package's. The result goes to
results/languages-cpu.json.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from common import arguments, load, write
from rank_bm25 import BM25Okapi

from s3_retriever import EndogenousIndex
from s3_retriever.evaluate.metrics import evidence_recall, reciprocal_rank
from s3_retriever.evaluate.rankers.hits import Hit
from s3_retriever.fitting import load_set
from s3_retriever.text.languages import language_of
from s3_retriever.text.sentences import sentences, trim
from s3_retriever.text.words import asked_words, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from s3_retriever import Document
    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.fitting import LabelledSet

    Rank = Callable[[str], list[Hit]]

DATA = Path(__file__).parent / "data/languages"
LANGUAGES = ("english", "german", "russian", "chinese", "hindi")
BEST = 3
ALONE = {"span_characters": 1}
"""Spans of one sentence each."""


class Sentences(NamedTuple):
    """Sentences of some documents: where they stand, and what they say."""

    places: list[Hit]
    texts: list[str]
    languages: list[str]

    @classmethod
    def of(cls, documents: Sequence[Document]) -> Sentences:
        """Cut documents as the index does."""
        found = cls([], [], [])
        for document in documents:
            for start, end in sentences(document.text):
                place = Hit(document.id, *trim(document.text, start, end), 0.0)
                found.places.append(place)
                found.texts.append(document.text[place.start : place.end])
                found.languages.append(language_of(document.text))
        return found


def lexical(
    own: Sentences, of_texts: Sequence[list[str]], asked: Callable[[str], list[str]]
) -> Rank:
    """BM25 of sentences; those without a word of the question are not found."""
    ranker = BM25Okapi(of_texts)

    def rank(question: str) -> list[Hit]:
        scores = ranker.get_scores(asked(question))
        found = [number for number in (-scores).argsort(kind="stable") if scores[number] > 0]
        return [own.places[number] for number in found]

    return rank


def searched(index: EndogenousIndex, bm25: bool) -> Rank:
    """The index, a sentence a span."""

    def rank(question: str) -> list[Hit]:
        spans = index.search(question, k=50, bm25=bm25, weighing=ALONE).spans
        return [Hit(span.document_id, span.start, span.end, span.score) for span in spans]

    return rank


def plain(text: str) -> list[str]:
    """Runs of letters and digits in lower case."""
    return re.findall(r"\w+", text.lower())


def rankers(documents: Sequence[Document], backbone: Backbone, bank: Bank) -> dict[str, Rank]:
    """All of them, over some documents."""
    own = Sentences.of(documents)
    index = EndogenousIndex.build(documents, model=backbone, bank=bank, progress=False)
    spoken = sorted(set(own.languages))
    ours = [words(text, said) for text, said in zip(own.texts, own.languages, strict=True)]
    return {
        "S3 + BM25": searched(index, bm25=True),
        "S3": searched(index, bm25=False),
        "BM25, our words": lexical(own, ours, lambda question: asked_words(question, spoken)),
        "BM25, plain words": lexical(own, [plain(text) for text in own.texts], plain),
    }


def measured(rank: Rank, asked: LabelledSet) -> dict[str, float]:
    """Recall in the best sentences, of each kind of question too, and the reciprocal rank."""
    kinds: dict[str, list[float]] = {"recall": []}
    ranks = []
    for question in asked.questions:
        found = rank(question.question)
        best = found[:BEST]
        recall = evidence_recall(best, question.evidence, sum(hit.length for hit in best))
        kinds["recall"].append(recall)
        kinds.setdefault(question.kind, []).append(recall)
        ranks.append(reciprocal_rank(found, question.evidence))
    figures = {kind: round(100 * sum(own) / len(own), 1) for kind, own in kinds.items()}
    return {**figures, "mrr": round(sum(ranks) / len(ranks), 3)}


def compared(
    name: str, by_name: Mapping[str, Rank], asked: LabelledSet
) -> dict[str, dict[str, float]]:
    """All rankers on one set, printed."""
    found = {ranker: measured(rank, asked) for ranker, rank in by_name.items()}
    for ranker, figures in found.items():
        shown = "  ".join(f"{key} {value:g}" for key, value in figures.items())
        print(f"{name:<20} {ranker:<20} {shown}", flush=True)
    return found


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--languages", nargs="+", choices=LANGUAGES, default=list(LANGUAGES))
    args = parser.parse_args()
    sets = [load_set(DATA / language) for language in args.languages]
    backbone, bank = load("smollm2", "fp32")
    figures = {}
    for one in sets:
        figures[one.name] = compared(one.name, rankers(one.documents, backbone, bank), one)
    documents = [document for one in sets for document in one.documents]
    together = rankers(documents, backbone, bank)
    for one in sets:
        name = f"{one.name}, together"
        figures[name] = compared(name, together, one)
    write("languages", args, {"best": BEST, "figures": figures}, backbone, bank)


if __name__ == "__main__":
    main()
