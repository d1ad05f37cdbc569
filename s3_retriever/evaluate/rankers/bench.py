"""What the rankers of one corpus share: the model's codes and keys, chunks, BM25 and vectors."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.codec.codes import TokenCodes
from s3_retriever.config import ScanConfig
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.parts import parts_of
from s3_retriever.engine.resolve import resolve_bank
from s3_retriever.engine.store import State
from s3_retriever.evaluate.rankers.chunk_scorers import Lexical, Vectors
from s3_retriever.evaluate.rankers.chunks import Chunks, pack
from s3_retriever.evaluate.rankers.dense import read_keys
from s3_retriever.evaluate.rankers.memo import Memo
from s3_retriever.reading.clock import ScanClock, ScanReport
from s3_retriever.reading.question_reader import QuestionReader
from s3_retriever.reading.scan import scan as scan_documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.documents import Document
    from s3_retriever.evaluate.rankers.embedders import Embedder
    from s3_retriever.fitting.depth import Depth
    from s3_retriever.reading.leads import Lead
    from s3_retriever.reading.questions import Question
    from s3_retriever.text.names import Naming


class Bench:
    """One corpus, and everything made from it that more than one ranker needs.

    Nothing is made before it is asked for, nothing twice, and nothing is written to disk.

    Args:
        documents: The corpus.
        backbone: The model that ranks.
        bank: As for `EndogenousIndex.build`.
        scan: How the model reads.
        progress: Show bars on standard error.
        depth: As for `EndogenousIndex.build`.

    Attributes:
        memo: Holds what was made; its clock charges every user the full price.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        backbone: Backbone,
        bank: Any = None,
        scan: ScanConfig | None = None,
        progress: bool = False,
        depth: Depth | None = None,
    ) -> None:
        self.documents = tuple(documents)
        self.backbone = backbone
        self.scan = scan or ScanConfig()
        self.memo = Memo()
        self._bank, self._depth = bank, depth
        self._progress = progress

    @cached_property
    def bank(self) -> Bank:
        """The autoencoders of the model."""
        return resolve_bank(self._bank, self.backbone, self.documents, self._progress, self._depth)

    @cached_property
    def places(self) -> tuple[TokenCodes, ...]:
        """Where the tokens of every document stand: codes without latents."""
        encoded = self.backbone.text.encode_batch([document.text for document in self.documents])
        none = (np.empty((len(text.ids), 0), dtype=np.uint8) for text in encoded)
        return tuple(
            TokenCodes(latents=no, values=no, residual=no, starts=text.starts, ends=text.ends)
            for no, text in zip(none, encoded, strict=True)
        )

    @property
    def tokens(self) -> int:
        """Tokens of the model in the corpus."""
        return sum(len(text) for text in self.places)

    def codes(self) -> tuple[TokenCodes, ...]:
        """The sparse codes of every document."""
        return self._scanned()[0]

    def index(self) -> EndogenousIndex:
        """The index that a user gets."""
        codes, report = self._scanned()
        return self.memo.get("index", lambda: self._index(codes, report))

    def keys(self) -> Tensor:
        """Calibrated keys ``f16[T, N, d]`` of the tokens that `codes` describes."""
        return self.memo.get(
            "keys",
            lambda: read_keys(
                self.backbone, self.bank.calibration, self.documents, self.scan, self._progress
            ),
        )

    @property
    def reader(self) -> QuestionReader:
        """Reads questions, and what spans name beyond them; nothing twice."""
        return RememberingReader(self.backbone, self.bank, self.scan, self.memo)

    def chunks(self, size: int) -> Chunks:
        """Sentence-packed chunks of a size in characters."""
        return self.memo.get(("chunks", size), lambda: pack(self.documents, size))

    def bm25(self, size: int) -> Lexical:
        """BM25 over the chunks of a size."""
        return self.memo.get(("bm25", size), lambda: Lexical(self.memo, self.chunks(size)))

    def vectors(self, size: int, embedder: Embedder) -> Vectors:
        """The chunks of a size as vectors."""
        return self.memo.get(
            ("vectors", size, id(embedder)),
            lambda: Vectors(self.memo, self.chunks(size), embedder, self._progress),
        )

    def _scanned(self) -> tuple[tuple[TokenCodes, ...], ScanReport]:
        bank = self.bank
        return self.memo.get("codes", lambda: self._scan(bank))

    def _scan(self, bank: Bank) -> tuple[tuple[TokenCodes, ...], ScanReport]:
        clock = ScanClock(self.backbone.device)
        entries = scan_documents(
            self.backbone, bank, self.documents, self.scan, self._progress, clock=clock
        )
        return tuple(codes for _, codes in entries), clock.report()

    def _index(self, codes: Sequence[TokenCodes], report: ScanReport) -> EndogenousIndex:
        entries = zip(self.documents, codes, strict=True)
        state = State(parts_of(entries, self.bank), self.bank, self.scan, report=report)
        return EndogenousIndex(self.backbone, state)


class RememberingReader(QuestionReader):
    """Reads nothing twice."""

    def __init__(self, backbone: Backbone, bank: Bank, config: ScanConfig, memo: Memo) -> None:
        super().__init__(backbone, bank, config)
        self._memo = memo

    def questions(self, questions: Sequence[str]) -> list[Question]:
        """Read as `QuestionReader.questions` does, or remember."""
        asked, read = tuple(questions), super().questions
        return self._memo.get(("queries", asked), lambda: read(asked))

    def leads(self, spans: Sequence[tuple[str, str, Naming]]) -> list[Lead]:
        """Read as `QuestionReader.leads` does, or remember."""
        asked, read = tuple(spans), super().leads
        return self._memo.get(("leads", asked), lambda: read(asked))
