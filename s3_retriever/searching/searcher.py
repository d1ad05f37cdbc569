"""`Searcher`: scores, second hop and spans of one text that does not change."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from s3_retriever.fork import renew_after_fork
from s3_retriever.searching.candidates import AllSentences
from s3_retriever.searching.fusion import Scores
from s3_retriever.searching.scorer import Asked
from s3_retriever.searching.scorers import SCORERS, document_parts_of, parts_of
from s3_retriever.searching.second_hop import hop_sources, with_hop
from s3_retriever.searching.spans import cut_spans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from s3_retriever.config import SearchConfig
    from s3_retriever.documents import Span
    from s3_retriever.searching.candidates import CandidateGenerator
    from s3_retriever.searching.scorer import IndexedText, Scorer
    from s3_retriever.searching.second_hop import HopSource


class Searcher:
    """Ranks the spans of a text, in steps between which the model may read.

    Args:
        text: What is searched.
        candidates: Names the sentences worth scoring; all of them by default.
        scorers: Scorers by name, before those of `s3_retriever.searching.scorers.SCORERS`, which
            are made when they are first asked for.
    """

    def __init__(
        self,
        text: IndexedText,
        *,
        candidates: CandidateGenerator | None = None,
        scorers: Mapping[str, Scorer] | None = None,
    ) -> None:
        self.text = text
        self._candidates = candidates or AllSentences(text)
        self._scorers = dict(scorers or {})
        self._renew_lock()
        renew_after_fork(self, Searcher._renew_lock)

    def _renew_lock(self) -> None:
        self._making = Lock()

    def score(self, asked: Sequence[Asked], config: SearchConfig) -> list[Scores]:
        """Score the sentences worth it for several questions, which share one pass over the text.

        Args:
            asked: Q questions; what is held at a time grows with their tokens together.
            config: Names the scorers and weighs them.

        Returns:
            Q entries. Where there are several documents, every sentence also has a part in the
            best one of its document.
        """
        if not asked:
            return []
        candidates, weighing = self._candidates.candidates(asked), config.weighing
        rows = {
            part: self._scorer(name).scores(asked, candidates, weighing)
            for part, name in self._parts(config).items()
        }
        found = []
        for number, question in enumerate(asked):
            parts = {part: scores[number] for part, scores in rows.items()}
            if question.place is None:
                parts.pop("place", None)
            found.append(self._with_document(Scores(candidates, parts, weighing)))
        return found

    def _parts(self, config: SearchConfig) -> dict[str, str]:
        parts = parts_of(config)
        if config.weighing.meaning and self.text.bank.sentences is not None:
            parts["meaning"] = "meaning"
        if len(self.text.documents) > 1:
            parts |= document_parts_of(config, {*SCORERS, *self._scorers})
        return parts

    def tells_places(self, config: SearchConfig) -> bool:
        """Whether words that name a document should be asked apart (`Asked.place`)."""
        return "place" in self._parts(config)

    def _with_document(self, scores: Scores) -> Scores:
        if len(self.text.documents) < 2:
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
        """Score again, with what the spans lead to.

        Args:
            scores: Of the question.
            sources: Spans that may lead on, of `hop_sources`.
            leads: What each of them asks; None where it names nothing.
            config: As for `score`.
        """
        both = zip(sources, leads, strict=True)
        kept = [(source, lead) for source, lead in both if lead is not None]
        asked = [Asked(lead.text, lead.queries, source.home) for source, lead in kept]
        found = self.score(asked, config)
        return with_hop(self.text, scores, [source for source, _ in kept], found)

    def spans(self, scores: Scores, config: SearchConfig) -> tuple[Span, ...]:
        """Cut the best spans; see `s3_retriever.searching.spans.cut_spans`."""
        return cut_spans(self.text, scores, config)
