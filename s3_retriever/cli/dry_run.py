"""What indexing would read, and how long that would take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_retriever.cli import common
from s3_retriever.cli.sources import documents_of, say_what_is_missing
from s3_retriever.storage import is_index, load_index

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.cli.sources import Sources
    from s3_retriever.documents import Document


def say(args: argparse.Namespace, sources: Sources) -> None:
    """Print what is new or changed, its tokens, and the time that a brief measurement promises."""
    from s3_retriever.engine.resolve import resolve_backbone

    backbone = resolve_backbone(args.model, None, not args.quiet)
    documents = _new(args.output, sources)
    tokens = [len(backbone.text.encode(document.text)) for document in documents]
    seconds = sum(tokens) * _seconds_per_token(backbone)
    if args.json:
        common.print_json(_json(documents, tokens, seconds, sources))
        return
    say_what_is_missing(sources)
    for document, count in zip(documents, tokens, strict=True):
        print(f"{count:10,} tokens  {document.id}")
    print(
        f"{sum(tokens):10,} tokens  in {len(documents):,} documents to be read, some "
        f"{common.duration(seconds)} on {backbone.device}; nothing was written"
    )
    for line in common.reading_lines(sources.reading):
        print(line)


def _json(
    documents: Sequence[Document], tokens: Sequence[int], seconds: float, sources: Sources
) -> dict[str, Any]:
    reading = sources.reading
    return {
        "documents": {it.id: count for it, count in zip(documents, tokens, strict=True)},
        "tokens": sum(tokens),
        "seconds": seconds,
        "left_out": dict(reading.failed),
        "empty": [str(path) for path in reading.empty],
        "other_kinds": reading.others,
        "ignored": reading.ignored,
        "assumed": reading.assumed(),
    }


def _new(output: str, sources: Sources) -> list[Document]:
    """Documents that an index has not, or has with another text."""
    old = {}
    if is_index(output):
        old = {stored.document.id: stored.document for stored in load_index(output).documents}
    found = documents_of(sources, old)
    return [it for it in found if it.id not in old or old[it.id].text != it.text]


def _seconds_per_token(backbone: Backbone) -> float:
    from s3_retriever.fitting.banks import taps_at_hand
    from s3_retriever.reading.cost import reading_cost

    cost = reading_cost(backbone, taps_at_hand(backbone)[0])
    return cost.seconds / cost.tokens
