"""The default model as a teacher: it ships with a sentence head, and other models learn from it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize

from s3_retriever.backbone import Backbone
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.errors import InputError
from s3_retriever.fitting.shipped import builtin_bank
from s3_retriever.reading.keys import key_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from s3_retriever.codec import Bank


class HeadTeacher:
    """Vectors of texts, each read alone, by the sentence head of a bank.

    Args:
        backbone: The model.
        bank: Of this model.
        scan: How text is read.
        progress: Show a bar on standard error.

    Raises:
        InputError: the bank has no sentence head.
    """

    def __init__(
        self,
        backbone: Backbone,
        bank: Bank,
        scan: ScanConfig | None = None,
        progress: bool = False,
    ) -> None:
        if bank.sentences is None:
            raise InputError("this bank has no sentence head to learn from")
        self._backbone, self._bank, self._head = backbone, bank, bank.sentences
        self._scan, self._progress = scan or ScanConfig(), progress

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return ``f32[n, E]`` of length 1; 0 where a text has no token."""
        documents = [Document(id=str(number), text=text) for number, text in enumerate(texts)]
        sums = torch.zeros(len(texts), self._head.size)
        blocks = key_blocks(
            self._backbone,
            self._bank.calibration.taps,
            documents,
            self._scan,
            progress=self._progress,
            label="Learning meaning",
        )
        for pieces, keys in blocks:
            sizes = torch.tensor([piece.stop - piece.start for piece in pieces])
            numbers = torch.tensor([int(piece.source.document.id) for piece in pieces])
            added = self._head.keys(self._bank.decode(self._bank.encode(keys)).flatten(1).cpu())
            sums.index_add_(0, numbers.repeat_interleave(sizes), added)
        return normalize(sums, dim=1)


def default_teacher(progress: bool = False) -> HeadTeacher | None:
    """The default model with the bank that ships for it; None, with a warning, where it is missing.

    Args:
        progress: Show bars on standard error.
    """
    try:
        backbone = Backbone.load(None)
    except InputError as error:
        warnings.warn(
            f"the new bank will not know what sentences mean in other words, as that is learnt "
            f"from the default model, which cannot be loaded: {error}",
            stacklevel=2,
        )
        return None
    bank = builtin_bank(backbone)
    return None if bank is None else HeadTeacher(backbone, bank, progress=progress)
