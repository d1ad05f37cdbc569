"""`Searcher`: from a question's queries to spans, over a corpus that does not change."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch

from s3_retriever.codec.codes import join, split
from s3_retriever.documents import Span
from s3_retriever.fork import renew_after_fork
from s3_retriever.searching.attention import NOTHING, attention
from s3_retriever.searching.coactivation import coactivation
from s3_retriever.searching.fusion import fuse
from s3_retriever.searching.lexical import Lexicon
from s3_retriever.searching.passages import cut_passages
from s3_retriever.searching.postings import Postings
from s3_retriever.searching.spans import pick
from s3_retriever.text.sentences import trim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from s3_retriever.codec import Bank
    from s3_retriever.codec.codes import TokenCodes
    from s3_retriever.config import SearchConfig
    from s3_retriever.documents import Document
    from s3_retriever.reading.leads import Lead
    from s3_retriever.searching.spans import Peak

    Follow = Callable[[Sequence[str]], Sequence[Lead]]

_SUBSETS_KEPT = 4

LEADS = 3
"""The best spans of so many documents are followed by the second hop; chosen on data, by
benchmarks/choose_constants.py."""

DOUBT = 3.0
"""A lead that scores by so much less than the best counts by 1/e of it; chosen as `LEADS` was."""


class Searcher:
    """Ranks the spans of a corpus.

    Args:
        documents: In order; at least one.
        codes: Of each document.
        bank: The codec of the codes.
        postings: Their inverted index, one entry for each SAE; None to make it when it is needed.

    Attributes:
        codes: As given, in views of one array of each kind: whoever keeps these instead of those
            given does not hold them twice.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        codes: Sequence[TokenCodes],
        bank: Bank,
        postings: Sequence[Postings] | None = None,
    ) -> None:
        self._documents = tuple(documents)
        self._joined = join(codes)
        self.codes = split(self._joined, codes)
        self._bank = bank
        self._given = postings
        self._subsets: OrderedDict[bytes, Searcher] = OrderedDict()
        self._renew_lock()
        renew_after_fork(self, Searcher._renew_lock)
        self._passages = cut_passages(self._documents, self.codes)

    def _renew_lock(self) -> None:
        self._lock = Lock()

    @cached_property
    def _postings(self) -> Sequence[Postings]:
        """The inverted index of the whole corpus."""
        return self._given or Postings.of(self._bank, self._joined)

    @cached_property
    def _first_token(self) -> np.ndarray:
        """``int64[D]``: where each document's tokens begin in the concatenated corpus."""
        return np.concatenate([[0], np.cumsum([len(codes) for codes in self.codes])[:-1]])

    @cached_property
    def _lexicon(self) -> Lexicon:
        passages = self._passages
        places = zip(passages.document, passages.start, passages.end, strict=True)
        texts = [self._documents[d].text[start:end] for d, start, end in places]
        return Lexicon(texts, passages)

    def search(
        self,
        question: str,
        queries: Tensor,
        keep: np.ndarray | None,
        config: SearchConfig,
        follow: Follow | None = None,
    ) -> tuple[Span, ...]:
        """Find spans.

        Args:
            question: For BM25.
            queries: ``f32[n, H, d]``, see `s3_retriever.reading.questions.read_questions`.
            keep: ``bool[D]``, the documents to search, or None for all. The result is that of a
                corpus of these alone.
            config: What to do.
            follow: Reads the best spans' texts for a second hop; None for no such hop.
        """
        if keep is not None and not keep.all():
            if not keep.any():
                return ()
            return self._subset(keep).search(question, queries, None, config, follow)
        (parts,) = self._parts([question], [queries], config)
        if config.second_hop and follow is not None:
            parts |= self._second_hop(fuse(parts), config, follow)
        scores = fuse(parts).numpy()
        spans = self._cut_to(config.token_budget, self._spans(scores, parts, config))
        if config.bias_tokens:
            left = None if config.token_budget is None else config.token_budget - _tokens(spans)
            spans += self._cut_to(left, self._bias(spans, config.bias_tokens))
        if config.order == "document":
            place = {document.id: n for n, document in enumerate(self._documents)}
            spans.sort(key=lambda span: (place[span.document_id], span.start))
        return tuple(spans)

    def _parts(
        self,
        texts: Sequence[str],
        queries: Sequence[Tensor],
        config: SearchConfig,
        skips: Sequence[slice] | None = None,
    ) -> list[dict[str, Tensor]]:
        """Component scores of the sentences, ``f32[A]`` each, for each question."""
        skips = skips or [NOTHING] * len(texts)
        found = [{"s3": scores} for scores in self._attended(queries, config, skips)]
        for text, parts in zip(texts, found, strict=True):
            if config.bm25:
                parts["bm25"] = self._lexicon_once().scores(text)
            if len(self._documents) > 1:
                parts["document"] = self._passages.best_of_document(fuse(parts))
        return found

    def _attended(
        self, queries: Sequence[Tensor], config: SearchConfig, skips: Sequence[slice]
    ) -> Tensor:
        """What the model makes of the sentences: ``f32[Q, A]``."""
        if config.scoring == "coactivation":
            with self._lock:  # what is made on first use is made once
                postings = self._postings
            return coactivation(queries, self._bank, postings, self._passages, skips)
        return attention(queries, self._bank, self._joined, self._passages, skips)

    def _lexicon_once(self) -> Lexicon:
        with self._lock:
            return self._lexicon

    def _second_hop(
        self, scores: Tensor, config: SearchConfig, follow: Follow
    ) -> dict[str, Tensor]:
        """What other documents say of the names in the best spans; nothing where these have none.

        A document that leads on gets nothing from its own lead, but for the span itself, which
        gets as much as any other: what leads on should not fall behind what it leads to.
        """
        peaks = self._leading(scores)
        leads = follow([self._text(peak) for peak in peaks]) if len(peaks) > 1 else ()
        kept = [(peak, lead) for peak, lead in zip(peaks, leads, strict=False) if lead.names]
        if not kept:
            return {}
        names = [" ".join(lead.names) for _, lead in kept]
        homes = [self._home(peak) for peak, _ in kept]
        found = self._parts(names, [lead.queries for _, lead in kept], config, homes)
        highest = scores.max()
        hops = [
            torch.exp((scores[peak.top] - highest) / DOUBT) * self._away(peak, fuse(parts))
            for (peak, _), parts in zip(kept, found, strict=True)
        ]
        return {"hop": torch.stack(hops).amax(0)}

    def _leading(self, scores: Tensor) -> list[Peak]:
        """The best spans of the best documents."""
        left, passages = scores.clone(), self._passages
        peaks: list[Peak] = []
        while len(peaks) < min(LEADS, len(self._documents)):
            peaks += pick(left.numpy(), passages, 1)
            left[self._home(peaks[-1])] = -torch.inf
        return peaks

    def _home(self, peak: Peak) -> slice:
        """The sentences of the document that a span is in."""
        return self._passages.of(int(self._passages.document[peak.top]))

    def _text(self, peak: Peak) -> str:
        passages = self._passages
        document = self._documents[int(passages.document[peak.top])]
        return document.text[int(passages.start[peak.first]) : int(passages.end[peak.last - 1])]

    def _away(self, peak: Peak, scores: Tensor) -> Tensor:
        """Scores of what a span leads to, outside its document."""
        scores[self._home(peak)] = 0
        scores[peak.first : peak.last] = scores.max()
        return scores

    def _spans(
        self, scores: np.ndarray, parts: dict[str, Tensor], config: SearchConfig
    ) -> Iterator[Span]:
        passages = self._passages
        for peak in pick(scores, passages, config.k):
            number = int(passages.document[peak.top])
            base = self._first_token[number]
            tokens = passages.bounds[[peak.first, peak.last]] - base
            characters = passages.start[peak.first], passages.end[peak.last - 1]
            span = self._span(number, characters, tokens)
            if span is not None:
                top = {name: float(values[peak.top]) for name, values in parts.items()}
                yield replace(span, score=float(scores[peak.top]), parts=top)

    def _span(self, number: int, characters: Sequence[int], tokens: Sequence[int]) -> Span | None:
        """A span without scores, white space at its ends left out; None where nothing is left."""
        document = self._documents[number]
        start, end = trim(document.text, int(characters[0]), int(characters[1]))
        if start >= end:
            return None
        count = int(tokens[1] - tokens[0])
        text = document.text[start:end]
        return Span(document.id, start, end, text, 0.0, {}, count, document.metadata)

    def _cut_to(self, budget: int | None, spans: Iterator[Span]) -> list[Span]:
        """Take spans until the budget is spent; the last is cut at the end of a token."""
        kept: list[Span] = []
        left = budget
        for span in spans:
            if left is not None and span.tokens > left:
                cut = self._shortened(span, left)
                return [*kept, cut] if cut is not None else kept
            kept.append(span)
            left = None if left is None else left - span.tokens
        return kept

    def _shortened(self, span: Span, tokens: int) -> Span | None:
        number = self._number[span.document_id]
        codes = self.codes[number]
        first = int(np.searchsorted(codes.ends, span.start, side="right"))
        if tokens <= 0 or first >= len(codes):
            return None
        last = min(first + tokens, len(codes))
        end = min(int(codes.ends[last - 1]), span.end)
        cut = self._span(number, (span.start, end), (first, last))
        return None if cut is None else replace(cut, score=span.score, parts=span.parts)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {document.id: number for number, document in enumerate(self._documents)}

    def _bias(self, spans: Sequence[Span], tokens: int) -> Iterator[Span]:
        """Lead and tail of the documents that the spans come from (the paper's M_bias)."""
        for id in dict.fromkeys(span.document_id for span in spans):
            number = self._number[id]
            codes = self.codes[number]
            length = len(self._documents[number].text)
            size = min(tokens, len(codes))
            if not size:
                continue
            taken = [(s.start, s.end) for s in spans if s.document_id == id]
            lead = (0, int(codes.ends[size - 1])), (0, size)
            tail = (int(codes.starts[len(codes) - size]), length), (len(codes) - size, len(codes))
            for characters, rows in (lead, tail):
                if any(a < characters[1] and characters[0] < b for a, b in taken):
                    continue
                span = self._span(number, characters, rows)
                if span is not None:
                    taken.append((span.start, span.end))
                    yield replace(span, parts={"bias": 1.0})

    def _subset(self, keep: np.ndarray) -> Searcher:
        """The searcher of some of the documents; the last few are kept."""
        key = np.packbits(keep).tobytes()
        with self._lock:
            if key not in self._subsets:
                numbers = np.flatnonzero(keep)
                documents = [self._documents[n] for n in numbers]
                codes = [self.codes[n] for n in numbers]
                self._subsets[key] = Searcher(documents, codes, self._bank)
                if len(self._subsets) > _SUBSETS_KEPT:
                    self._subsets.popitem(last=False)
            self._subsets.move_to_end(key)
            return self._subsets[key]


def _tokens(spans: Sequence[Span]) -> int:
    return sum(span.tokens for span in spans)
