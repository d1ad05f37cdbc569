"""Fit the sentence head of a bank that ships for SmolLM2-135M-Instruct.

    python benchmarks/train_sentence_head.py CORPORA TEXTS TEACHER
    python benchmarks/train_sentence_head.py CORPORA TEXTS --depth fast

CORPORA is the folder that train_default_bank.py reads, TEXTS a folder of policies, terms and
contracts as Markdown, and TEACHER an embedding model as sentence-transformers saves it; without
one the head of the full bank teaches, as it does those of other models. The head goes into the
bank, and takes the place of the one that is there. What the model and the teacher make of the texts
is kept in a file, so that a second run with other sizes reads nothing again.
"""

from __future__ import annotations

import argparse
import random
import re
import shlex
import sys
import tempfile
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from default_corpus import corpus, pieces
from train_default_bank import OUT

from s3_retriever.backbone import Backbone
from s3_retriever.backbone.modes import best_dtype
from s3_retriever.codec import Bank
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.evaluate.rankers.sentence_embedder import SentenceEmbedder
from s3_retriever.fitting import HeadTeacher, SentenceConfig, builtin_sets
from s3_retriever.fitting.named_questions import named_questions
from s3_retriever.fitting.sentences import Pairs, fit_head, lessons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.fitting.sentences import Teacher

LONGEST_PIECE = 9000
"""Characters; tables and lists without line ends are cut."""


def plain(text: str) -> str:
    """Markdown without the targets of links and the marks of emphasis, lists and tables."""
    return re.sub(r"[*_`#>|]+", "", re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text))


def legal(folder: Path) -> list[str]:
    """Pieces of all Markdown files of a folder."""
    files = sorted(folder.rglob("*.md"))
    return [piece for file in files for piece in pieces(plain(file.read_text(encoding="utf-8")))]


def some(texts: list[str], characters: int, chance: random.Random) -> list[str]:
    """Texts at random, until they have so many characters."""
    chance.shuffle(texts)
    cut = [text[:LONGEST_PIECE] for text in texts]
    return [
        text
        for text, before in zip(cut, accumulate(map(len, cut), initial=0), strict=False)
        if before < characters
    ]


def teacher_of(folder: Path | None, backbone: Backbone) -> tuple[Teacher, str]:
    """What makes the vectors to learn from, and its name."""
    if folder is None:
        full = Bank.load(OUT["full"])
        return HeadTeacher(backbone, full, progress=True), "the sentence head of the full bank"
    model = SentenceEmbedder(folder, dtype=best_dtype(backbone.device))

    def vectors(texts: Sequence[str]) -> torch.Tensor:
        return torch.from_numpy(model.texts(texts, True)).float()

    return vectors, model.name


def main() -> None:
    """Choose texts, ask the teacher, fit, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("teacher", type=Path, nargs="?", help="default: the full bank")
    parser.add_argument("--depth", choices=tuple(OUT), default="full")
    parser.add_argument("--characters", type=int, default=3_400_000, help="of CORPORA")
    parser.add_argument("--legal", type=int, default=1_700_000, help="characters of TEXTS")
    parser.add_argument("--questions", type=int, default=1000, help="questions to make up")
    parser.add_argument("--lessons", type=Path, default=Path("lessons.pt"))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="the bank; default: the one that ships")
    args = parser.parse_args()
    if args.teacher is None and args.depth == "full":
        parser.error("the head of the full bank cannot teach itself: give a TEACHER")
    out = args.out or OUT[args.depth]
    chance = random.Random(args.seed)
    texts = some([own.text for own in corpus(args.corpora)], args.characters, chance)
    texts += some(legal(args.texts), args.legal, chance)
    documents = [Document(id=str(number), text=text) for number, text in enumerate(texts)]
    asked = [question.question for part in builtin_sets() for question in part.questions]
    asked += [made.text for made in named_questions(asked, args.questions, args.seed)]
    backbone, bank = Backbone.load(None), Bank.load(out)
    vectors, taught_by = teacher_of(args.teacher, backbone)
    config = SentenceConfig(size=args.size, width=args.width, epochs=args.epochs, seed=args.seed)
    if not args.lessons.exists():
        read = lessons(backbone, bank, documents, asked, vectors, config, ScanConfig(), True)
        torch.save([tuple(pairs) for pairs in read], args.lessons)
    pairs = [Pairs(*pair) for pair in torch.load(args.lessons)]
    head = fit_head(pairs[0], pairs[1], config, progress=True)
    options = f"--depth {args.depth} --characters {args.characters} --legal {args.legal} "
    options += f"--questions {args.questions} --size {args.size} --width {args.width} "
    options += f"--epochs {args.epochs} --seed {args.seed}"
    given = ["CORPORA", "TEXTS", *(["TEACHER"] if args.teacher else [])]
    script = shlex.join(["benchmarks/train_sentence_head.py", *given])
    notes = {
        "sentence_head": f"python {script} {options}; taught by {taught_by}; "
        f"{len(documents)} texts of {sum(map(len, texts))} characters",
    }
    bank = replace(bank, sentences=head, metadata=dict(bank.metadata) | notes)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        bank.save(Path(folder) / "bank")
        for file in sorted((Path(folder) / "bank").rglob("*")):
            if file.is_file():
                file.replace(out / file.relative_to(Path(folder) / "bank"))
    print(bank.metadata["sentence_head"], file=sys.stderr)


if __name__ == "__main__":
    main()
