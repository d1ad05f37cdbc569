"""`Searcher`: from a question's queries to spans, over a corpus that does not change."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch

from s3_retriever.codec import Codes
from s3_retriever.documents import Span
from s3_retriever.fusion import fuse
from s3_retriever.lexical import Lexicon
from s3_retriever.passages import cut_passages
from s3_retriever.scoring import NOTHING, attention, coactivation
from s3_retriever.sentences import trim
from s3_retriever.spans import pick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from s3_retriever.codec import Bank
    from s3_retriever.config import SearchConfig
    from s3_retriever.documents import Document
    from s3_retriever.hop import Lead
    from s3_retriever.scan import TokenCodes

    Follow = Callable[[str], Lead | None]

_SCORINGS = {"attention": attention, "coactivation": coactivation}
_SUBSETS_KEPT = 4


class Searcher:
    """Ranks the spans of a corpus.

    Args:
        documents: In order; at least one.
        codes: Of each document.
        bank: The codec of the codes.
    """

    def __init__(
        self, documents: Sequence[Document], codes: Sequence[TokenCodes], bank: Bank
    ) -> None:
        self._documents = tuple(documents)
        self._codes = tuple(codes)
        self._bank = bank
        self._subsets: OrderedDict[bytes, Searcher] = OrderedDict()
        self._lock = Lock()
        self._passages = cut_passages(self._documents, self._codes)

    @cached_property
    def _joined(self) -> Codes:
        """The codes of the whole corpus, each kind in one array."""
        latents, values, residual = (
            torch.from_numpy(np.concatenate([getattr(codes, name) for codes in self._codes]))
            for name in ("latents", "values", "residual")
        )
        return Codes(latents, values, residual, torch.tensor(True))

    @cached_property
    def _first_token(self) -> np.ndarray:
        """``int64[D]``: where each document's tokens begin in the concatenated corpus."""
        return np.concatenate([[0], np.cumsum([len(codes) for codes in self._codes])[:-1]])

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
            queries: ``f32[n, H, d]``, see `s3_retriever.question.read_questions`.
            keep: ``bool[D]``, the documents to search, or None for all. The result is that of a
                corpus of these alone.
            config: What to do.
            follow: Reads the text of the best span for a second hop; None for no such hop.
        """
        if keep is not None and not keep.all():
            if not keep.any():
                return ()
            return self._subset(keep).search(question, queries, None, config, follow)
        parts = self._parts(question, queries, config)
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
        self, question: str, queries: Tensor, config: SearchConfig, skip: slice = NOTHING
    ) -> dict[str, Tensor]:
        """Component scores of the sentences, ``f32[A]`` each."""
        with self._lock:  # what is made on first use is made once
            codes = self._joined
            lexicon = self._lexicon if config.bm25 else None
        score = _SCORINGS[config.scoring]
        parts = {"s3": score(queries, self._bank, codes, self._passages, skip)}
        if lexicon is not None:
            parts["bm25"] = lexicon.scores(question)
        return parts

    def _second_hop(
        self, scores: Tensor, config: SearchConfig, follow: Follow
    ) -> dict[str, Tensor]:
        """What the other documents say of the names in the best span; nothing where it has none.

        The rest of the best span's document gets 0, and the span itself as much as any other, for
        what leads on should not fall behind what it leads to.
        """
        if len(self._documents) < 2:
            return {}
        passages = self._passages
        (best,) = pick(scores.numpy(), passages, 1)
        document = int(passages.document[best.top])
        start, end = int(passages.start[best.first]), int(passages.end[best.last - 1])
        lead = follow(self._documents[document].text[start:end])
        if lead is None:
            return {}
        home = passages.of(document)
        hop = fuse(self._parts(" ".join(lead.names), lead.queries, config, home))
        hop[home] = 0
        hop[best.first : best.last] = hop.max()
        return {"hop": hop}

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
        codes = self._codes[number]
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
            codes = self._codes[number]
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
                codes = [self._codes[n] for n in numbers]
                self._subsets[key] = Searcher(documents, codes, self._bank)
                if len(self._subsets) > _SUBSETS_KEPT:
                    self._subsets.popitem(last=False)
            self._subsets.move_to_end(key)
            return self._subsets[key]


def _tokens(spans: Sequence[Span]) -> int:
    return sum(span.tokens for span in spans)
