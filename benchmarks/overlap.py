"""How much of the sets stands in the texts that the sentence head was trained on.

    python benchmarks/overlap.py CORPORA TEXTS SET...

What counts is the share of a set's runs of 13 words, as BM25 has them, that stand in CORPORA or
TEXTS, the arguments of train_sentence_head.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from default_corpus import corpus
from train_sentence_head import legal

from s3_retriever.fitting import load_set
from s3_retriever.text.words import words

if TYPE_CHECKING:
    from collections.abc import Iterable

RUN = 13


def runs(texts: Iterable[str]) -> set[int]:
    """Hashes of all runs of words."""
    found: set[int] = set()
    for text in texts:
        own = words(text)
        found |= {hash(tuple(own[at : at + RUN])) for at in range(len(own) - RUN + 1)}
    return found


def main() -> None:
    """Print a line for each set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("sets", nargs="+", metavar="SET")
    args = parser.parse_args()
    seen = runs([*(own.text for own in corpus(args.corpora)), *legal(args.texts)])
    for folder in args.sets:
        labelled = load_set(folder)
        own = runs(document.text for document in labelled.documents)
        print(f"{labelled.name}: {len(own & seen) / max(len(own), 1):.4%} of {len(own):,} runs")


if __name__ == "__main__":
    main()
