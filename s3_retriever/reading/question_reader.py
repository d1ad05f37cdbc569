"""What a search asks of the model: its queries for questions, and for names in spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.reading.leads import read_leads
from s3_retriever.reading.questions import read_questions
from s3_retriever.reading.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.config import ScanConfig
    from s3_retriever.reading.leads import Lead
    from s3_retriever.reading.questions import Question
    from s3_retriever.text.names import Naming

KEPT = 256
"""Questions, and spans behind them, that are not read again when they are asked again; each takes
its tokens times heads times their size, about 30 KB for twenty words to the default model."""


class QuestionReader:
    """Reads through one model, for one bank, as its documents were read; nothing recent twice."""

    def __init__(self, backbone: Backbone, bank: Bank, config: ScanConfig) -> None:
        self.backbone, self.bank, self.config = backbone, bank, config
        self._questions: Recent[str, Question] = Recent(KEPT, self._read_questions)
        self._leads: Recent[tuple[str, str, Naming], Lead] = Recent(KEPT, self._read_leads)

    def questions(self, questions: Sequence[str]) -> list[Question]:
        """What each question asks; see `s3_retriever.reading.questions.read_questions`."""
        return self._questions.get(questions)

    def leads(self, spans: Sequence[tuple[str, str, Naming]]) -> list[Lead]:
        """What each span names beyond its question; see `s3_retriever.reading.leads.read_leads`."""
        return self._leads.get(spans)

    def _read_questions(self, questions: Sequence[str]) -> list[Question]:
        return read_questions(self.backbone, self.bank, questions, self.config)

    def _read_leads(self, spans: Sequence[tuple[str, str, Naming]]) -> list[Lead]:
        return read_leads(self.backbone, self.bank, spans, self.config)

    def serves(self, backbone: Backbone, bank: Bank, config: ScanConfig) -> bool:
        """Whether it reads by these very things."""
        return (self.backbone, self.bank, self.config) == (backbone, bank, config)
