"""What indexing would read, and how long that would take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_retriever.cli import common
from s3_retriever.cli.sources import known_in, nothing_there, say_what_is_missing
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from s3_retriever.backbone import Backbone
    from s3_retriever.cli.sources import Sources
    from s3_retriever.documents import Document


def say(args: argparse.Namespace, sources: Sources) -> None:
    """Print what is new or changed, its tokens, and the time that a brief measurement promises."""
    from s3_retriever.engine.resolve import resolve_backbone
    from s3_retriever.storage import is_index

    backbone = resolve_backbone(args.model, None, not args.quiet)
    found = _new(args.output, sources)
    tokens = {document.id: len(backbone.text.encode(document.text)) for document in found}
    if not tokens and not is_index(args.output):
        raise InputError(nothing_there([*args.paths, *args.sync], sources.reading))
    total = sum(tokens.values())
    seconds = total * _seconds_per_token(backbone, args)
    if args.json:
        common.print_json(_json(tokens, seconds, sources))
        return
    say_what_is_missing(sources)
    for id, count in tokens.items():
        print(f"{count:10,} tokens  {id}")
    print(
        f"{total:10,} tokens  in {len(tokens):,} documents to be read, some "
        f"{common.duration(seconds)} on {backbone.device}; nothing was written"
    )
    for line in common.reading_lines(sources.reading):
        print(line)


def _json(tokens: Mapping[str, int], seconds: float, sources: Sources) -> dict[str, Any]:
    reading = sources.reading
    return {
        "documents": tokens,
        "tokens": sum(tokens.values()),
        "seconds": seconds,
        "left_out": dict(reading.failed),
        "empty": [str(path) for path in reading.empty],
        "other_kinds": reading.others,
        "ignored": reading.ignored,
        "assumed": reading.assumed(),
    }


def _new(output: str, sources: Sources) -> Iterator[Document]:
    """Documents that an index has not, or has with another text."""
    from s3_retriever.engine.stores import store_at
    from s3_retriever.engine.streaming import digest_of, known_documents

    known = known_in(known_documents(store_at(output).outline()).values())
    for document in sources.documents(known):
        if document.id not in known or known[document.id].digest != digest_of(document.text):
            yield document


def _seconds_per_token(backbone: Backbone, args: argparse.Namespace) -> float:
    from s3_retriever.engine.stores import store_at
    from s3_retriever.fitting.banks import taps_at_hand
    from s3_retriever.fitting.depth import checked_depth
    from s3_retriever.reading.cost import reading_cost

    there = store_at(args.output).outline()
    if there is None:
        taps, _ = taps_at_hand(backbone, checked_depth(args.depth, args.bank))
    else:
        taps = list(there.bank.calibration.taps)
    cost = reading_cost(backbone, taps)
    return cost.seconds / cost.tokens
