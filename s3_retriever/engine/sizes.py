"""Sizes of an index, from what is in memory or from the catalogue alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.engine.results import IndexStats
from s3_retriever.storage import row_bytes

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.engine.corpus import Corpus
    from s3_retriever.engine.store import State
    from s3_retriever.reading.clock import ScanReport


def corpus_stats(corpus: Corpus, bank: Bank, backbone: Backbone, report: ScanReport) -> IndexStats:
    """Sizes of documents that are at hand."""
    return _stats(
        bank,
        backbone,
        report,
        documents=len(corpus.documents),
        characters=sum(len(document.text) for document in corpus.documents.values()),
        tokens=sum(len(codes) for codes in corpus.codes.values()),
        index_bytes=sum(codes.nbytes for codes in corpus.codes.values()),
    )


def outline_stats(state: State, backbone: Backbone) -> IndexStats:
    """Sizes of an index whose documents are not at hand.

    Args:
        state: What a folder holds, of `Store.outline` or `Store.extend`.
        backbone: The model.
    """
    entries = () if state.saved is None else state.saved.version.contents.entries
    tokens = sum(entry.rows for entry in entries)
    return _stats(
        state.bank,
        backbone,
        state.report,
        documents=len(entries),
        characters=sum(entry.characters for entry in entries),
        tokens=tokens,
        index_bytes=tokens * row_bytes(state.saved.folder, state.saved.version)
        if state.saved
        else 0,
    )


def _stats(bank: Bank, backbone: Backbone, report: ScanReport, **sizes: int) -> IndexStats:
    taps = bank.calibration.taps
    return IndexStats(
        bank_bytes=bank.nbytes,
        kv_bytes_per_token=backbone.spec.kv_bytes_per_token(),
        taps=len(taps),
        deepest_layer=max(tap.layer for tap in taps),
        layers=backbone.spec.layers,
        scan=report,
        **sizes,
    )
