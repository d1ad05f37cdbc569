"""``s3-retriever train``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from s3_retriever.cli import common
from s3_retriever.cli.sources import read_documents
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  s3-retriever train books/ notes/ -o my-bank
  s3-retriever train books/ --model ./my-model --calibration my-calibration -o my-bank
  then: s3-retriever index notes/ --model ./my-model --bank my-bank -o notes.s3"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("paths", nargs="+", metavar="TEXT", help="text file, folder, or - (stdin)")
    parser.add_argument("-o", "--output", required=True, metavar="BANK")
    parser.add_argument(
        "--calibration",
        metavar="FOLDER",
        help="made by calibrate; default: that of the shipped bank, or made now",
    )
    common.add_depth(parser)
    parser.add_argument("--latents", type=int, metavar="N", help="size of the dictionary")
    parser.add_argument("--k", type=int, metavar="N", help="latents kept per token")
    parser.add_argument("--steps", type=int, metavar="N")
    parser.add_argument(
        "--sites",
        choices=("joint", "layer"),
        default="joint",
        help="one autoencoder for all heads together, or one for each layer as in the paper",
    )
    parser.add_argument("--seed", type=int, metavar="N")
    common.add_model(parser)
    common.add_quiet(parser)
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Train a bank and save it."""
    from s3_retriever.codec.bank_files import load_calibration
    from s3_retriever.engine.resolve import resolve_backbone
    from s3_retriever.fitting import (
        CalibrateConfig,
        TrainConfig,
        builtin_bank,
        builtin_sets,
        calibrate,
        default_teacher,
        make_bank,
    )
    from s3_retriever.fitting.depth import SHARES, checked_depth

    common.check_output(args.output, new=True)
    if args.calibration is not None and args.depth is not None:
        raise InputError("a calibration has its depth; leave out --depth or --calibration")
    documents = read_documents(args.paths)
    config = TrainConfig().replace(
        n_latents=args.latents, k=args.k, steps=args.steps, seed=args.seed
    )
    progress = common.shows_progress(args)
    backbone, depth = resolve_backbone(args.model, None, not args.quiet), checked_depth(args.depth)
    shipped = None
    if args.calibration is not None:
        calibration = load_calibration(args.calibration, backbone.fingerprint)
    elif (shipped := builtin_bank(backbone, depth)) is not None:
        calibration = shipped.calibration
    else:
        reach = CalibrateConfig(depth=SHARES[depth])
        calibration = calibrate(backbone, builtin_sets(), reach, progress=progress)
    bank = make_bank(
        backbone,
        calibration,
        documents,
        config,
        sites=args.sites,
        teacher=None if shipped else default_teacher(progress),
        judged=() if shipped else builtin_sets(),
        progress=progress,
    )
    if shipped is not None:  # the keys are calibrated alike, so its heads read the new codes too
        bank = replace(bank, sentences=shipped.sentences, relevance=shipped.relevance)
    bank.save(args.output)
    if args.json:
        common.print_json({"bank": args.output, **bank.metadata})
    else:
        print(
            f"trained on {bank.metadata['training_tokens']:,} tokens: unexplained variance "
            f"{bank.metadata['fvu']:.1%}, with the residual "
            f"{bank.metadata['fvu_with_residual']:.1%}"
        )
        words = "index", "TEXT", "--bank", args.output, "-o", "INDEX"
        print("next:", common.command_line(*words, model=args.model))
    return 0
