"""An answer as it is written: its pieces and citations, told as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_retriever.answering.citations import Citing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3_retriever.answering.citations import Citation
    from s3_retriever.answering.stream import AnswerStream
    from s3_retriever.serve.turns import Turn


def write(stream: AnswerStream, turn: Turn) -> tuple[str, list[dict[str, Any]]]:
    """Take an answer piece by piece, and tell its pieces and citations.

    Args:
        stream: The answer.
        turn: Is told ``piece`` and ``citation``.

    Returns:
        The whole text, and all citations.
    """
    citing, found = Citing(stream.spans), []
    for piece in stream:
        turn.tell("piece", {"text": piece})
        found += _told(citing.add(piece), turn)
    found += _told(citing.rest(), turn)
    return citing.text, found


def _told(citations: Iterable[Citation], turn: Turn) -> list[dict[str, Any]]:
    told = [citation._asdict() for citation in citations]
    for citation in told:
        turn.tell("citation", citation)
    return told
