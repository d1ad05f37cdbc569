"""What a search asks of the model: its queries for questions, and for names in spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.reading.leads import read_leads
from s3_retriever.reading.questions import read_questions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.config import ScanConfig
    from s3_retriever.reading.leads import Lead
    from s3_retriever.reading.questions import Question


class QuestionReader:
    """Reads through one model, for one bank, as its documents were read."""

    def __init__(self, backbone: Backbone, bank: Bank, config: ScanConfig) -> None:
        self.backbone, self.bank, self.config = backbone, bank, config

    def questions(self, questions: Sequence[str]) -> list[Question]:
        """What each question asks; see `s3_retriever.reading.questions.read_questions`."""
        return read_questions(self.backbone, self.bank, questions, self.config)

    def leads(self, spans: Sequence[tuple[str, str]]) -> list[Lead]:
        """What each span names beyond its question; see `s3_retriever.reading.leads.read_leads`."""
        return read_leads(self.backbone, self.bank, spans, self.config)
