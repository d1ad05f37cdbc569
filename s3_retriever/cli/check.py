"""``s3-retriever check``."""

from __future__ import annotations

from dataclasses import asdict
from time import perf_counter
from typing import TYPE_CHECKING, Any

from s3_retriever.cli import common

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone, Tap

EXAMPLES = """\
  s3-retriever check --model my-model
  s3-retriever check --model Qwen/Qwen3-0.6B --json"""

_TOPICS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    common.add_model(parser)
    common.add_quiet(parser)
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Say whether a model can serve, where it would be read, and what a token costs."""
    from s3_retriever.engine.resolve import resolve_backbone

    backbone = resolve_backbone(args.model, None, not args.quiet)
    figures = _figures(backbone)
    if args.json:
        common.print_json(figures)
        return 0
    spec = backbone.spec
    print(f"{backbone.name} ({spec.architecture}) can serve")
    print(f"keys can be read in {len(spec.readable)} of {spec.layers} layers")
    print(
        f"{spec.heads} query heads over {spec.kv_heads} key-value heads of {spec.head_dim} numbers "
        f"in each; a window of {spec.max_positions:,} tokens"
    )
    print(f"bank: {figures['bank']}")
    print(
        f"reading as far as layer {figures['deepest_layer']}: "
        f"{figures['tokens_per_second']:,.0f} tokens a second on {backbone.device}, "
        f"in {figures['dtype']}"
    )
    print(f"a full KV cache would take {figures['kv_bytes_per_token']:,} bytes a token")
    print("next:", common.command_line("index", "TEXT", "-o", "INDEX", model=args.model))
    return 0


def _figures(backbone: Backbone) -> dict[str, Any]:
    from s3_retriever.backbone import Tap
    from s3_retriever.fitting import CalibrateConfig, builtin_bank
    from s3_retriever.fitting.banks import cached_folder

    spec, shipped = backbone.spec, builtin_bank(backbone)
    made = (cached_folder(backbone) / "bank.json").is_file()
    if shipped is not None:
        bank, taps = "ships for this model", shipped.calibration.taps
    else:
        bank = "in the cache" if made else "none yet; the first index makes one, in minutes"
        third = int(spec.layers * CalibrateConfig().depth)
        deepest = max((n for n in spec.readable if n < third), default=spec.readable[0])
        taps = (Tap(deepest, 0),)
    return {
        "model": backbone.name,
        **asdict(spec),
        "bank": bank,
        "deepest_layer": max(tap.layer for tap in taps),
        "tokens_per_second": _speed(backbone, taps),
        "device": str(backbone.device),
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "kv_bytes_per_token": spec.kv_bytes_per_token(),
    }


def _speed(backbone: Backbone, taps: Sequence[Tap]) -> float:
    """Tokens a second of a scan of a few pages, codes left out."""
    from s3_retriever.cli.demo import topics
    from s3_retriever.config import ScanConfig
    from s3_retriever.reading.keys import key_blocks

    pages, tokens, seconds = topics()[:_TOPICS], 0, 0.0
    for documents in (pages[:1], pages):  # once to warm up
        start = perf_counter()
        blocks = key_blocks(backbone, taps, documents, ScanConfig())
        tokens = sum(len(keys.cpu()) for _, keys in blocks)
        seconds = perf_counter() - start
    return tokens / seconds
