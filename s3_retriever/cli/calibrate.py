"""``s3-retriever calibrate``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from s3_retriever.cli import common
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.labelled import LabelledSet

EXAMPLES = """\
  s3-retriever calibrate --model ./my-model -o my-calibration
  s3-retriever calibrate --model ./my-model --depth 0.6 --heads 10 -o deeper
  s3-retriever calibrate --model ./my-model --depth fast -o shallow
  s3-retriever calibrate --dataset my-questions/ -o mine
  s3-retriever calibrate --bank my-bank --dataset my-questions/ -o judged-bank
      fits the relevance of spans to your questions, and leaves all else of the bank as it is
  then: s3-retriever train notes/ --model ./my-model --calibration my-calibration -o my-bank"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER")
    parser.add_argument(
        "--dataset",
        action="append",
        metavar="FOLDER",
        help="documents.jsonl and questions.jsonl; may be repeated; default: the package's own",
    )
    parser.add_argument("--bank", metavar="FOLDER", help="only fit the relevance of this bank anew")
    parser.add_argument(
        "--depth",
        type=share_of,
        metavar="SHARE",
        help="of the layers, 0 to 1; or fast, the first sixth, or full, the first third",
    )
    parser.add_argument("--heads", type=int, metavar="N", help="at most so many heads")
    common.add_model(parser)
    common.add_quiet(parser)
    common.add_json(parser)


def share_of(depth: str) -> float:
    """The share of the layers that a word or a number says."""
    from s3_retriever.fitting.depth import SHARES

    words = {str(word): share for word, share in SHARES.items()}
    try:
        return words[depth] if depth in words else float(depth)
    except ValueError as error:
        why = f"{depth!r} is no share of the layers: give one such as 0.25, or fast, or full"
        raise argparse.ArgumentTypeError(why) from error


def run(args: argparse.Namespace) -> int:
    """Choose heads and write a calibration."""
    from s3_retriever.codec.bank_files import save_calibration
    from s3_retriever.engine.resolve import resolve_backbone
    from s3_retriever.fitting import CalibrateConfig, builtin_sets, calibrate, load_set

    common.check_output(args.output, new=True)
    sets = tuple(map(load_set, args.dataset)) if args.dataset else builtin_sets()
    if args.bank is not None:
        return _judge(args, sets)
    config = CalibrateConfig().replace(depth=args.depth, heads=args.heads)
    backbone = resolve_backbone(args.model, None, not args.quiet)
    calibration = calibrate(backbone, sets, config, progress=common.shows_progress(args))
    save_calibration(calibration, args.output, backbone.fingerprint(calibration.taps))
    heads = list(zip(calibration.heads, calibration.head_weights.tolist(), strict=True))
    if args.json:
        chosen = [{"layer": h.layer, "head": h.head, "weight": w} for h, w in heads]
        common.print_json({"calibration": args.output, "heads": chosen})
    else:
        for head, weight in heads:
            print(f"layer {head.layer:2}  head {head.head:2}  weight {weight:.3f}")
        words = "train", "TEXT", "--calibration", args.output, "-o", "BANK"
        print("next:", common.command_line(*words, model=args.model))
    return 0


def _judge(args: argparse.Namespace, sets: Sequence[LabelledSet]) -> int:
    """Fit the relevance of a bank and write it anew."""
    from s3_retriever.engine.resolve import resolve_backbone, resolve_bank
    from s3_retriever.fitting import fit_relevance

    if args.depth is not None or args.heads is not None:
        raise InputError("--bank fits relevance alone; leave out --depth and --heads")
    progress = common.shows_progress(args)
    backbone = resolve_backbone(args.model, None, not args.quiet)
    bank = resolve_bank(args.bank, backbone, (), progress)
    head = fit_relevance(backbone, bank, sets, progress=progress)
    replace(bank, relevance=head).save(args.output)
    if args.json:
        common.print_json({"bank": args.output, "relevance": head.described()})
    else:
        weights = "  ".join(f"{name} {weight:.2f}" for name, weight in head.weights.items())
        print(f"bias {head.bias:.2f}  {weights}")
        words = "index", "TEXT", "--bank", args.output, "-o", "INDEX"
        print("next:", common.command_line(*words, model=args.model))
    return 0
