"""A small labelled set, rankers with known answers, and embeddings that are cheap to make."""

from __future__ import annotations

import re
from time import sleep
from zlib import crc32

import numpy as np
from langchain_core.embeddings import Embeddings

from s3_retriever.documents import Document
from s3_retriever.evaluate import Contender, Hit, Variant
from s3_retriever.fitting import LabelledQuestion, LabelledSet
from s3_retriever.labelled.sets import Evidence
from small_corpus import BREAD, LIGHTHOUSE, RIVER

BEACON = "🗼🗼 " + LIGHTHOUSE
SET = LabelledSet(
    "small",
    (
        Document(id="beacon", text=BEACON),
        Document(id="bread", text=BREAD),
        Document(id="river", text=RIVER),
    ),
    (
        LabelledQuestion(
            "q0",
            "Who was the last keeper of the lighthouse?",
            ("Tomas Ferreira",),
            (Evidence("beacon", *re.search("The last keeper.*electric\\.", BEACON).span()),),  # type: ignore[union-attr]
            "person",
        ),
        LabelledQuestion(
            "q1",
            "How long does the dough of rye bread rest?",
            ("eighteen hours", "18 hours"),
            (Evidence("bread", *re.search("Bakers.*troughs\\.", BREAD).span()),),  # type: ignore[union-attr]
            "number",
        ),
        LabelledQuestion(
            "q2",
            "When was the dam on the river finished?",
            ("1934",),
            (Evidence("river", *re.search("A dam.*Halm\\.", RIVER).span()),),  # type: ignore[union-attr]
            "number",
        ),
        LabelledQuestion("q3", "What is stored in the museum?", ("charts",), (), ""),
    ),
)


class Oracle:
    """Returns the evidence itself, or, `wrong`, what stands first in the first document."""

    nbytes = 10

    def __init__(self, wrong: bool = False) -> None:
        self._wrong = wrong

    def rank(self, question: str) -> list[Hit]:
        asked = next(q for q in SET.questions if q.question == question)
        if self._wrong or not asked.evidence:
            return [Hit("beacon", 0, 40, 1.0)]
        return [Hit(e.document_id, e.start, e.end, 1.0) for e in asked.evidence]


def oracle(name: str, *, wrong: bool = False, role: str = "baseline") -> Contender:
    build = Variant("", lambda bench: Oracle(wrong))
    return Contender(name, name.capitalize(), role, (build,))  # type: ignore[arg-type]


class HashedWords(Embeddings):
    """A vector that counts hashed words; those of documents take `seconds` at least."""

    seconds = 0.02

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        sleep(self.seconds)
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        vector = np.zeros(64)
        for word in re.findall(r"\w+", text.lower()):
            vector[crc32(word.encode()) % 64] += 1
        return vector.tolist()
