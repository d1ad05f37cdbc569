"""``s3-retriever check``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from s3_retriever.cli import common
from s3_retriever.errors import ModelMismatchError, UnsupportedModelError

if TYPE_CHECKING:
    import argparse

    from s3_retriever.backbone import Backbone

EXAMPLES = """\
  s3-retriever check
  s3-retriever check --depth fast
  s3-retriever check ./my-model --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="folder, .gguf file or hub name; default: the embedded SmolLM2-135M-Instruct",
    )
    common.add_depth(parser)
    common.add_quiet(parser)
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Load the model, read a few tokens, and print what was found."""
    from s3_retriever.engine.resolve import resolve_backbone

    try:
        backbone = resolve_backbone(args.model, None, not args.quiet)
    except (UnsupportedModelError, ModelMismatchError) as error:
        if not args.json:
            raise
        common.print_json({"serves": False, "reason": str(error)})
        return 1
    found = _found(backbone, args.depth)
    if args.json:
        common.print_json(found)
    else:
        _print(found)
    return 0


def _found(backbone: Backbone, depth: str | None) -> dict[str, Any]:
    from s3_retriever.backbone import FAMILIES
    from s3_retriever.fitting.banks import taps_at_hand
    from s3_retriever.fitting.depth import checked_depth
    from s3_retriever.reading.cost import reading_cost

    spec = backbone.spec
    word = checked_depth(depth)
    taps, known = taps_at_hand(backbone, word)
    return {
        "serves": True,
        "model": backbone.name,
        "known": "tested" if spec.architecture in FAMILIES else "recognised",
        **asdict(spec),
        "refused": dict(backbone.anatomy.refused),
        "depth": word,
        "taps": [asdict(tap) for tap in taps],
        "taps_from": "its bank" if known else "calibration",
        "device": str(backbone.device),
        "dtype": str(backbone.dtype).removeprefix("torch."),
        **asdict(reading_cost(backbone, taps)),
    }


_KNOWN = {
    "tested": "a tested architecture",
    "recognised": "recognised: its keys and queries give its own attention weights",
}


def _print(found: dict[str, Any]) -> None:
    layers = sorted({tap["layer"] for tap in found["taps"]})
    print(f"model       {found['model']} ({found['architecture']}) can serve")
    print(f"known as    {_KNOWN[found['known']]}")
    print(f"layers      {found['layers']}, of which {len(found['readable'])} can be read")
    for layer, why in found["refused"].items():
        print(f"            layer {layer} cannot: {why}")
    print(
        f"heads       {found['heads']} of queries, {found['kv_heads']} of keys, each of size "
        f"{found['head_dim']}; hidden size {found['hidden']}"
    )
    print(f"window      {found['max_positions']:,} tokens")
    if found["taps_from"] == "its bank":
        places = ", ".join(f"{tap['layer']}.{tap['kv_head']}" for tap in found["taps"])
        print(f"taps        {places} (layer.head), by its bank")
    else:
        print(f"taps        to be chosen in layers {layers[0]} to {layers[-1]}: no bank yet")
    print(f"weights     {found['weight_bytes'] / 1e6:,.0f} MB, {found['dtype']}, {found['device']}")
    milliseconds = 1e3 * found["seconds"] / found["tokens"]
    print(
        f"a token     {milliseconds:.2f} ms to read as far as layer {layers[-1]}, "
        f"{found['key_bytes']:,} bytes of keys before coding"
    )
    print(f"            {found['cache_bytes']:,} bytes of cache while the model answers")
