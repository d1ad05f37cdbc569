"""What the engine hands back: search results and the sizes of an index."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from s3_retriever.documents import Document, Span
    from s3_retriever.reading.clock import ScanReport

_CONTEXT = 80
_WORD = re.compile(r"^\S*\s*")
_LAST_WORD = re.compile(r"\s*\S*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSeconds:
    """Where the time of a search went, in wall-clock seconds.

    Attributes:
        read: All that goes through the model: the question and, for a second hop, the best spans
            behind it; for questions read together, an equal share each.
        candidates: Finding the sentences worth scoring; in a large text, with all evidence but the
            codes.
        scores: Scoring them, from the codes.
        hop: Choosing the spans that lead on, and scoring again with what they lead to.
        spans: Cutting the spans.
    """

    read: float = 0.0
    candidates: float = 0.0
    scores: float = 0.0
    hop: float = 0.0
    spans: float = 0.0

    @property
    def search(self) -> float:
        """All but reading."""
        return self.candidates + self.scores + self.hop + self.spans


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The spans found for one question; iterating and indexing give the spans.

    Attributes:
        question: The question as asked.
        spans: In the order asked for: best first, or reading order.
        seconds: Where the time went.
        sources: The documents the spans come from, by id.
        missing: Shards that did not answer, whose documents were not searched; see
            `s3_retriever.distributed.sharded_index.ShardedIndex`.
    """

    question: str
    spans: tuple[Span, ...]
    seconds: SearchSeconds = field(compare=False)
    sources: Mapping[str, Document] = field(repr=False, compare=False)
    missing: tuple[str, ...] = ()

    @property
    def relevance(self) -> float | None:
        """The highest of the spans' (`Span.relevance`), to tell found from not there.

        0 where no span is left; None where the bank cannot tell.
        """
        known = [span.relevance for span in self.spans if span.relevance is not None]
        return max(known) if known else (None if self.spans else 0.0)

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, position: int) -> Span:
        return self.spans[position]

    def __str__(self) -> str:
        lines = [self.question]
        for number, span in enumerate(self.spans, start=1):
            shown = [span.header, span.text] if span.header else [span.text]
            lines += [f"[{number}] {span.id}  {_parts(span)}", *(f"    {text}" for text in shown)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Show the spans in a notebook, highlighted in what stands around them."""
        items = "".join(f"<li>{self._span_html(span)}</li>" for span in self.spans)
        return f"<div><b>{escape(self.question)}</b><ol>{items}</ol></div>"

    def _span_html(self, span: Span) -> str:
        before, after = _around(self.sources[span.document_id].text, span)
        return (
            f"<small>{escape(span.document_id)}, characters {span.start:,}–{span.end:,}; "
            f"{escape(_parts(span))}</small>"
            '<div style="white-space: pre-wrap; margin: 0.2em 0 1em">'
            f'<span style="opacity: 0.6">{escape(before)}</span>'
            f"<mark>{escape(span.text)}</mark>"
            f'<span style="opacity: 0.6">{escape(after)}</span></div>'
        )


def _around(text: str, span: Span) -> tuple[str, str]:
    """Some whole words before and after a span, with dots where more is left out."""
    before = text[max(span.start - _CONTEXT, 0) : span.start]
    after = text[span.end : span.end + _CONTEXT]
    if span.start > _CONTEXT:
        before = f"… {_WORD.sub('', before, count=1)}"
    if span.end + _CONTEXT < len(text):
        after = f"{_LAST_WORD.sub('', after)} …"
    return before, after


def _parts(span: Span) -> str:
    parts = ", ".join(f"{name} {value:.3g}" for name, value in span.parts.items())
    shown = f"score {span.score:.3g} ({parts})" if parts else f"score {span.score:.3g}"
    return shown if span.relevance is None else f"relevance {span.relevance:.0%}, {shown}"


@dataclass(frozen=True, kw_only=True)
class IndexStats:
    """Sizes and costs of an index.

    Attributes:
        documents: Number of documents.
        characters: Characters in all documents.
        tokens: Tokens of the target model in all documents.
        index_bytes: Bytes of the codes and offsets of all tokens.
        bank_bytes: Bytes of the SAEs and the calibration, which do not grow with the text.
        kv_bytes_per_token: Bytes that a full KV cache of the model takes for a token, at two
            bytes a number.
        taps: Number of (layer, KV head) pairs read.
        deepest_layer: Last layer run by a scan, counted from 0.
        layers: Layers of the model.
        scan: What all scans of this index took, those of deleted documents included.
    """

    documents: int
    characters: int
    tokens: int
    index_bytes: int
    bank_bytes: int
    kv_bytes_per_token: int
    taps: int
    deepest_layer: int
    layers: int
    scan: ScanReport

    @property
    def bytes_per_token(self) -> float:
        """Bytes of the index for each token."""
        return self.index_bytes / self.tokens if self.tokens else 0.0

    @property
    def kv_bytes(self) -> int:
        """Bytes that the full KV cache of all tokens would take."""
        return self.tokens * self.kv_bytes_per_token

    @property
    def scan_seconds(self) -> float:
        """Wall-clock seconds of all scans."""
        return self.scan.seconds

    def __str__(self) -> str:
        ratio = f", {self.kv_bytes / self.index_bytes:,.0f} × the index" if self.tokens else ""
        return "\n".join(
            (
                f"documents    {self.documents:,} ({self.characters:,} characters, "
                f"{self.tokens:,} tokens)",
                f"index        {_size(self.index_bytes)} "
                f"({self.bytes_per_token:.0f} bytes a token), bank {_size(self.bank_bytes)}",
                f"full KV      {_size(self.kv_bytes)} "
                f"({self.kv_bytes_per_token:,} bytes a token){ratio}",
                f"model        {self.taps} taps in layers 0 to {self.deepest_layer} "
                f"of {self.layers}",
                f"scan         {self.scan}",
            )
        )


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
