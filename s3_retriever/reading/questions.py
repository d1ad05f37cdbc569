"""Questions through the model: the queries that their own tokens ask with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from s3_retriever.errors import InputError
from s3_retriever.reading.chunks import prefix_ids
from s3_retriever.text.languages import in_latin_letters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from s3_retriever.backbone import Backbone, Head, TokenizedText
    from s3_retriever.codec import Bank
    from s3_retriever.codec.places import PlaceHead
    from s3_retriever.config import ScanConfig


@dataclass(frozen=True, slots=True, eq=False)
class ReadWords:
    """Words of a question as the model read them.

    Attributes:
        text: The words.
        queries: ``f32[n, H, d]`` on the CPU, of their n tokens, before rotary embedding.
    """

    text: str
    queries: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A question as the model read it.

    Attributes:
        whole: All of it.
        what: What is asked; the whole where it names no document.
        where: The words that name a document (`s3_retriever.codec.places`), or None.
    """

    whole: ReadWords
    what: ReadWords
    where: ReadWords | None = None


def read_questions(
    backbone: Backbone, bank: Bank, questions: Sequence[str], config: ScanConfig
) -> list[Question]:
    """Read questions behind BOS and the preamble, in batches of `ScanConfig.batch_tokens`.

    Args:
        backbone: The model.
        bank: Says which heads to read, and finds the words that name a document.
        questions: Each of at least one token and at most the model's window.
        config: The preamble and the size of a batch.

    Returns:
        One entry for each question, in order.
    """
    calibration = bank.calibration
    rows = head_queries(backbone, calibration.heads, questions, config)
    read = [ReadWords(*pair) for pair in zip(questions, rows, strict=True)]
    if calibration.places is None:
        return [Question(whole, whole) for whole in read]
    tokens = backbone.text.encode_batch(questions)
    return [_parted(*pair, calibration.places) for pair in zip(read, tokens, strict=True)]


def _parted(whole: ReadWords, tokens: TokenizedText, places: PlaceHead) -> Question:
    """Take the words that name a document out of a question.

    The head that finds them has learnt from English: a question in other letters stays whole.
    """
    if not in_latin_letters(whole.text):
        return Question(whole, whole)
    clause = places.clause(whole.queries)
    if clause.start == clause.stop:
        return Question(whole, whole)
    if clause.start == 0:
        inside, rest = clause, slice(clause.stop, None)
        cut = int(tokens.ends[clause.stop - 1])
        texts = whole.text[:cut], whole.text[cut:]
    else:
        inside, rest = clause, slice(0, clause.start)
        cut = int(tokens.starts[clause.start])
        texts = whole.text[cut:], whole.text[:cut]
    where, what = zip(texts, (whole.queries[inside], whole.queries[rest]), strict=True)
    return Question(whole, ReadWords(*what), ReadWords(*where))


def head_queries(
    backbone: Backbone, heads: Sequence[Head], questions: Sequence[str], config: ScanConfig
) -> list[Tensor]:
    """Read questions at chosen heads, longest first; where memory runs out, fewer at a time.

    Args:
        backbone: The model.
        heads: H heads.
        questions: As for `read_questions`.
        config: Likewise.

    Returns:
        For each question, in order, ``f32[n, H, d]`` on the CPU: the queries of its own n tokens,
        before rotary embedding.

    Raises:
        InputError: a single question does not fit the accelerator's memory.
    """
    prefix, most_tokens = prefix_ids(backbone.text, config.preamble), config.batch_tokens
    rows = [text.ids.tolist() for text in backbone.text.encode_batch(questions)]
    waiting = sorted(range(len(rows)), key=lambda number: -len(rows[number]))
    found: dict[int, Tensor] = {}
    while waiting:
        size = max(most_tokens // (len(prefix) + len(rows[waiting[0]])), 1)
        batch = waiting[:size]
        try:
            queries = _read(backbone, heads, prefix, [rows[number] for number in batch])
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise InputError(
                    f"the accelerator's memory does not hold a question of {len(rows[batch[0]])} "
                    "tokens; shorten it, or load the model in fewer bits"
                ) from error
            most_tokens = len(batch) // 2 * (len(prefix) + len(rows[batch[0]]))
            continue
        found.update(zip(batch, queries, strict=True))
        waiting = waiting[size:]
    return [found[number] for number in range(len(rows))]


def _read(
    backbone: Backbone, heads: Sequence[Head], prefix: Sequence[int], rows: Sequence[list[int]]
) -> list[Tensor]:
    """One forward pass: ``f32[n, H, d]`` of each row's own tokens, on the CPU."""
    longest = max(map(len, rows))
    kept = prefix[: max(backbone.spec.max_positions - longest, 0)]
    ids = torch.zeros(len(rows), len(kept) + longest, dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(kept) + len(row)] = torch.tensor([*kept, *row])
    with backbone.tap((), heads) as reader:
        queries = reader.queries(ids.to(backbone.device)).float().cpu()
    return [part[len(kept) : len(kept) + len(row)] for part, row in zip(queries, rows, strict=True)]
