"""`Searcher`: scores, second hop and spans of one text that does not change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch

from s3_retriever.fork import renew_after_fork
from s3_retriever.searching.candidates import AllSentences
from s3_retriever.searching.first_look import CANDIDATES, CellAttention
from s3_retriever.searching.fusion import Scores
from s3_retriever.searching.scorer import Asked
from s3_retriever.searching.scorers import SCORERS, document_parts_of, lead_parts_of, parts_of
from s3_retriever.searching.second_hop import hop_sources, with_hop
from s3_retriever.searching.sharing import sharing
from s3_retriever.searching.spans import cut_spans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from s3_retriever.config import SearchConfig, Weighing
    from s3_retriever.documents import Span
    from s3_retriever.searching.candidates import CandidateGenerator
    from s3_retriever.searching.first_look import FirstLook
    from s3_retriever.searching.scorer import IndexedText, Scorer
    from s3_retriever.searching.second_hop import HopSource

FAST_FROM = 50_000
"""Tokens of a text from which on attention looks at cells first. A smaller one is read whole about
as fast (``benchmarks/milvus_candidates.py`` has both), and needs no cells, which cost about as much
as a handful of questions that read all codes."""

LEAD_SENTENCES = 200
"""Sentences whose codes are read for what a span leads to."""


@dataclass(frozen=True, slots=True, eq=False)
class First:
    """What is known of a question before codes are read.

    Attributes:
        look: Of its attention.
        rows: ``f32[A]`` for each part of the score, the model's attention as cells tell it.
        best: ``int64[C]``, the sentences whose codes are worth reading, ascending.
    """

    look: FirstLook
    rows: Mapping[str, Tensor]
    best: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What a look at a text has found.

    Attributes:
        asked: Q questions.
        candidates: ``int64[C]``, the sentences that are scored, ascending.
        firsts: Of each question, in a large text; None where candidates are scored straight away.
    """

    asked: Sequence[Asked]
    candidates: np.ndarray
    firsts: Sequence[First] | None = None


class Searcher:
    """Ranks the spans of a text, in steps between which the model may read.

    Args:
        text: What is searched.
        candidates: Names the sentences worth scoring; all of them by default.
        scorers: Scorers by name, before those of `s3_retriever.searching.scorers.SCORERS`, which
            are made when they are first asked for.
        fast_from: Tokens of a text from which on attention looks at cells first; see `FAST_FROM`.
    """

    def __init__(
        self,
        text: IndexedText,
        *,
        candidates: CandidateGenerator | None = None,
        scorers: Mapping[str, Scorer] | None = None,
        fast_from: int | None = None,
    ) -> None:
        self.text = text
        self._candidates = candidates or AllSentences(text)
        self._scorers = dict(scorers or {})
        self._named = candidates is not None
        self._given = self._named or "attention" in self._scorers
        self._fast_from = FAST_FROM if fast_from is None else fast_from
        self._renew_lock()
        renew_after_fork(self, Searcher._renew_lock)

    def _renew_lock(self) -> None:
        self._making = Lock()

    def score(self, asked: Sequence[Asked], config: SearchConfig) -> list[Scores]:
        """Score the sentences worth it for several questions: `look`, then `refine`.

        Args:
            asked: Q questions; what is held at a time grows with their number.
            config: Names the scorers and weighs them.

        Returns:
            Q entries. Where there are several documents, every sentence also has a part in the
            best one of its document.
        """
        return self.refine(self.look(asked, config), config)

    def look(self, asked: Sequence[Asked], config: SearchConfig) -> Looked:
        """Find the sentences worth scoring.

        A small text is read whole. In a large one, unless `config` wants it exact, attention looks
        at cells first (`s3_retriever.searching.first_look`), and the sentences that are best by all
        evidence together are worth reading their codes.

        Args:
            asked: Q questions.
            config: As for `score`.
        """
        parts = self._parts(config)
        if self._fast and not config.exact and "attention" in parts.values() and asked:
            everything = np.arange(len(self.text.passages))
            firsts = self.text.group.together(
                [partial(self._first, question, parts, config.weighing) for question in asked]
            )
            return Looked(asked, everything, firsts)
        return Looked(asked, self._candidates.candidates(asked) if asked else np.arange(0))

    @property
    def _fast(self) -> bool:
        return not self._given and self.text.all_tokens >= self._fast_from

    def _first(self, asked: Asked, parts: Mapping[str, str], weighing: Weighing) -> First:
        look, everything = self._attention.look(asked), np.arange(len(self.text.passages))

        def row(name: str) -> Tensor:
            if name == "attention":
                return look.scores(weighing)
            return self._scorer(name).scores([asked], everything, weighing)[0]

        found = self.text.group.together([partial(row, name) for name in parts.values()])
        rows = dict(zip(parts, found, strict=True))
        best = self._scores(asked, everything, rows, weighing).best(CANDIDATES, self.text.group)
        return First(look, rows, best)

    def refine(self, looked: Looked, config: SearchConfig) -> list[Scores]:
        """Score what a look has found; in a large text, attention reads the codes of the best.

        Args:
            looked: Of `look`.
            config: As there.
        """
        parts, weighing = self._parts(config), config.weighing
        asked, candidates = looked.asked, looked.candidates
        together = self.text.group.together
        if looked.firsts is not None:
            rows = together(
                [partial(self._refined, first, parts, weighing) for first in looked.firsts]
            )
        elif asked:
            scorers = [self._scorer(name) for name in parts.values()]
            found = together([partial(it.scores, asked, candidates, weighing) for it in scorers])
            rows = [
                dict(zip(parts, of_question, strict=True))
                for of_question in zip(*found, strict=True)
            ]
        else:
            rows = []
        both = zip(asked, rows, strict=True)
        return [self._scores(question, candidates, row, weighing) for question, row in both]

    def _refined(
        self, first: First, parts: Mapping[str, str], weighing: Weighing
    ) -> dict[str, Tensor]:
        refined, places = first.look.refined(first.best, weighing), torch.from_numpy(first.best)
        return {
            part: row.index_copy(0, places, refined) if parts[part] == "attention" else row
            for part, row in first.rows.items()
        }

    @cached_property
    def _attention(self) -> CellAttention:
        with self._making:
            return CellAttention(self.text, self.text.cells)

    def _scores(
        self,
        asked: Asked,
        candidates: np.ndarray,
        parts: Mapping[str, Tensor],
        weighing: Weighing,
    ) -> Scores:
        kept = {k: v for k, v in parts.items() if k != "place" or asked.place is not None}
        return self._with_document(Scores(candidates, kept, weighing))

    def _parts(self, config: SearchConfig) -> dict[str, str]:
        parts = parts_of(config)
        if config.weighing.meaning and self.text.bank.sentences is not None:
            parts["meaning"] = "meaning"
        if self.text.all_documents > 1:
            parts |= document_parts_of(config, self._known)
        return parts

    @property
    def _known(self) -> set[str]:
        return {*SCORERS, *self._scorers}

    def tells_places(self, config: SearchConfig) -> bool:
        """Whether words that name a document should be asked apart (`Asked.place`)."""
        return "place" in self._parts(config)

    def _with_document(self, scores: Scores) -> Scores:
        if self.text.all_documents < 2:
            return scores
        best = self.text.passages.best_of_document(scores.candidates, scores.total)
        return Scores(scores.candidates, {**scores.parts, "document": best}, scores.weighing)

    def _scorer(self, name: str) -> Scorer:
        with self._making:  # what is made on first use is made once
            if name not in self._scorers:
                self._scorers[name] = SCORERS[name](self.text)
            return self._scorers[name]

    def hop_sources(self, scores: Scores) -> list[HopSource]:
        """The spans whose names a second hop asks for; see `s3_retriever.searching.second_hop`."""
        return hop_sources(self.text, scores)

    def hop(
        self,
        scores: Scores,
        sources: Sequence[HopSource],
        leads: Sequence[Asked | None],
        config: SearchConfig,
    ) -> Scores:
        """Score again, with what the spans lead to: sentences that share words with a lead.

        Where a generator names the candidates, it names those of leads too.

        Args:
            scores: Of the question.
            sources: Spans that may lead on, of `hop_sources`.
            leads: What each of them asks; None where it names nothing.
            config: As for `score`.
        """
        both = zip(sources, leads, strict=True)
        kept = [(source, lead) for source, lead in both if lead is not None]
        asked = [Asked(lead.text, lead.queries, source.home) for source, lead in kept]
        found = self.text.group.together([partial(self._led_to, one, config) for one in asked])
        return with_hop(self.text, scores, [source for source, _ in kept], found)

    def _led_to(self, lead: Asked, config: SearchConfig) -> Scores:
        """Scores of the sentences that are worth it for a lead."""
        if self._named:
            candidates = self._candidates.candidates([lead])
        else:
            candidates = sharing(self.text, lead, LEAD_SENTENCES)
        rows = {
            part: self._scorer(name).scores([lead], candidates, config.weighing)[0]
            for part, name in lead_parts_of(config, self._known).items()
        }
        return self._scores(lead, candidates, rows, config.weighing)

    def spans(
        self, scores: Scores, config: SearchConfig, asked: Asked | None = None
    ) -> tuple[Span, ...]:
        """Cut the best spans; see `s3_retriever.searching.spans.cut_spans`."""
        return cut_spans(self.text, scores, config, asked)
