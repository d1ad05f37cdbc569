"""``s3-retriever eval``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.cli import common
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from s3_retriever.evaluate.rankers.contenders import Contender
    from s3_retriever.labelled.sets import LabelledSet

EXAMPLES = """\
  s3-retriever eval squad/ wiki/ --html report.html
  s3-retriever eval squad/ --rankers attention+bm25,bm25+embedding --limit 50
  s3-retriever eval squad/ --answers --json results.json
  s3-retriever eval squad/ --embedding models/embeddinggemma-300m
  s3-retriever eval --self my-notes/ --html report.html
      my-notes/ holds files and questions.jsonl, with lines such as
      {"question": "Who keeps the key?", "evidence": ["the caretaker keeps the key"]}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument(
        "datasets", nargs="+", metavar="DATASET", help="documents.jsonl and questions.jsonl"
    )
    parser.add_argument(
        "--self",
        action="store_true",
        dest="own",
        help="the folders hold files, and questions.jsonl with quotations as evidence",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="folder, .gguf file or hub name of the model; default: the embedded "
        "SmolLM2-135M-Instruct",
    )
    parser.add_argument("--bank", metavar="FOLDER", help="of autoencoders for the model")
    common.add_depth(parser)
    parser.add_argument(
        "--budgets",
        metavar="N,N",
        default="1000,2000,4000",
        help="characters of retrieved text; default: %(default)s",
    )
    parser.add_argument("--rankers", metavar="NAME,NAME", help="to compare, or all; see below")
    parser.add_argument(
        "--embedding",
        action="append",
        default=[],
        metavar="FOLDER",
        help="of a sentence-transformers model, for two more rankers, called as the folder: its "
        "vectors, alone and with BM25; may be given again for another model",
    )
    parser.add_argument(
        "--prompts",
        nargs=2,
        metavar=("QUERY", "PASSAGE"),
        help="put before questions and passages for models whose folders name no prompts; of E5: "
        '"query: " "passage: "',
    )
    parser.add_argument(
        "--answers", action="store_true", help="let the model answer from what each found; slow"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="at most N questions of each set")
    parser.add_argument("--seed", type=int, default=0, help="of the confidence intervals")
    parser.add_argument("--variants", action="store_true", help="show every setting of a baseline")
    parser.add_argument("--json", metavar="FILE", help="write all values; - for standard output")
    parser.add_argument("--html", metavar="FILE", help="write a report that opens in a browser")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    from s3_retriever.evaluate.rankers.contenders import DEFAULT, contenders

    names = "\n".join(
        f"  {name:18} {contender.title}{'' if name in DEFAULT else '  (only where named)'}"
        for name, contender in contenders().items()
    )
    parser.epilog = f"{parser.epilog or ''}\n\nrankers:\n{names}"


def run(args: argparse.Namespace) -> int:
    """Evaluate, print tables, and write what was asked for."""
    from s3_retriever.evaluate.rankers.contenders import DEFAULT, contenders
    from s3_retriever.evaluate.report.export import to_json
    from s3_retriever.evaluate.report.page import QUESTIONS, to_html
    from s3_retriever.evaluate.report.table import every_variant, tables
    from s3_retriever.evaluate.run import evaluate

    for name, kind in ((args.json, "json"), (args.html, "html")):
        _writable(name, kind)
    named = list(contenders()) if args.rankers == "all" else _split(args.rankers)
    added = _embeddings(args.embedding, args.prompts)
    rankers = [added.pop(name, name) for name in (DEFAULT if named is None else named)]
    found = evaluate(
        [_load(folder, args.own) for folder in args.datasets],
        [*rankers, *added.values()],
        budgets=_numbers(args.budgets),
        model=args.model,
        bank=args.bank,
        depth=args.depth,
        answers=args.answers,
        limit=args.limit,
        heat=QUESTIONS if args.html else 0,
        seed=args.seed,
        progress=not args.quiet and sys.stderr.isatty(),
    )
    command = ["s3-retriever", *sys.argv[1:]]
    if args.json != "-":
        sys.stdout.write(f"{tables(found)}\n")
        if args.variants:
            sys.stdout.write(f"\n{every_variant(found)}\n")
    _write(args.json, lambda: to_json(found, command))
    _write(args.html, lambda: to_html(found, command))
    return 0


def _load(folder: str, own: bool) -> LabelledSet:
    from s3_retriever.labelled.folder import load_folder
    from s3_retriever.labelled.sets import load_set

    if own:
        return load_folder(folder)
    if Path(folder).is_dir() and not (Path(folder) / "documents.jsonl").exists():
        raise InputError(
            f"{folder} has no documents.jsonl; if it holds files, ask for eval --self {folder}"
        )
    return load_set(folder)


def _embeddings(folders: Sequence[str], prompts: Sequence[str] | None) -> dict[str, Contender]:
    """The rankers of sentence-transformers folders by name."""
    from s3_retriever.evaluate.rankers.contenders import contenders, embedding
    from s3_retriever.evaluate.rankers.sentence_embedder import SentenceEmbedder

    if prompts and not folders:
        raise InputError("--prompts goes with --embedding FOLDER, whose model it is for")
    taken, added = contenders(), {}
    for folder in folders:
        model = SentenceEmbedder(folder)
        if prompts and not any(model.prompts):
            model.prompts = (prompts[0], prompts[1])
        for contender in embedding(model):
            if contender.name in taken or contender.name in added:
                raise InputError(
                    f"--embedding {folder}: there is a ranker {contender.name!r} already; "
                    "give the folder another name"
                )
            added[contender.name] = contender
    return added


def _split(names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]


def _numbers(sizes: str) -> list[int]:
    try:
        return [int(size) for size in sizes.split(",")]
    except ValueError as error:
        raise InputError(f"--budgets {sizes} is invalid: characters, such as 1000,2000") from error


def _writable(name: str | None, kind: str) -> None:
    """Refuse a file that cannot be written, or is of another kind, before the long work."""
    if name is None or name == "-":
        return
    if Path(name).is_dir():
        raise InputError(f"{name} cannot be written: it is a folder")
    if not Path(name).absolute().parent.is_dir():
        raise InputError(f"{name} cannot be written: make its folder first")
    if Path(name).is_file() and Path(name).suffix != f".{kind}":
        raise InputError(f"{name} is there already and is no .{kind} file; choose another name")


def _write(name: str | None, text: Callable[[], str]) -> None:
    if name == "-":
        sys.stdout.write(f"{text()}\n")
    elif name is not None:
        try:
            Path(name).write_text(text(), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{name} cannot be written: {error.strerror or error}") from error
