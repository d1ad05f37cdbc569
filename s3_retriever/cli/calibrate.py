"""``s3-retriever calibrate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.cli import common

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  s3-retriever calibrate --model ./my-model -o my-calibration
  s3-retriever calibrate --model ./my-model --depth 0.6 --heads 10 -o deeper
  s3-retriever calibrate --dataset my-questions/ -o mine
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
    parser.add_argument("--depth", type=float, metavar="SHARE", help="of the layers, 0 to 1")
    parser.add_argument("--heads", type=int, metavar="N", help="at most so many heads")
    common.add_model(parser)
    common.add_quiet(parser)
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Choose heads and write a calibration."""
    from s3_retriever.codec.bank_files import save_calibration
    from s3_retriever.engine.resolve import resolve_backbone
    from s3_retriever.fitting import CalibrateConfig, builtin_sets, calibrate, load_set

    common.check_output(args.output, new=True)
    sets = tuple(map(load_set, args.dataset)) if args.dataset else builtin_sets()
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
