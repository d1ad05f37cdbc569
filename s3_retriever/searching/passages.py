"""The sentences of a corpus as arrays: the units that are scored and that spans are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.searching.bm25 import smallest
from s3_retriever.searching.headers import PROSE, headers_of, kinds_of, no_places
from s3_retriever.text.sentences import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from s3_retriever.documents import Document

MIN_NEIGHBOUR_WEIGHT = 0.02
"""`Passages.smooth` leaves out neighbours whose weight is below this."""

MOST_NEIGHBOURS = 64
"""On each side."""

_FARTHEST = 4000  # characters
_REACHES_KEPT = 4


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Some documents of a corpus.

    Attributes:
        sentences: ``bool[A]``, which sentences are theirs.
        tokens: ``bool[T]``, which tokens are.
    """

    sentences: np.ndarray
    tokens: np.ndarray


@dataclass(frozen=True)
class Passages:
    """The A sentences of a corpus of T tokens, in the order of the text.

    Attributes:
        document: ``int64[A]``, number of the document.
        start: ``int64[A]``, first character in the document.
        end: ``int64[A]``, one past the last; the sentences of a document tile it.
        bounds: ``int64[A + 1]``; sentence a owns tokens ``bounds[a]`` to ``bounds[a + 1]`` of the
            concatenated corpus, possibly none.
        header: ``int64[A]``, the sentence that names the columns of a row of a table; `RECORD` for
            a record that needs none, `PROSE` for all others, headers themselves among them.
    """

    document: np.ndarray
    start: np.ndarray
    end: np.ndarray
    bounds: np.ndarray
    header: np.ndarray

    def __len__(self) -> int:
        return len(self.document)

    def of_document(self, document: int) -> slice:
        """Return the sentences of the document of that number."""
        first, last = np.searchsorted(self.document, (document, document + 1))
        return slice(int(first), int(last))

    def document_tokens(self) -> np.ndarray:
        """``int64[D]``: the tokens of each document."""
        tokens = np.bincount(self.document, np.diff(self.bounds))
        return tokens.astype(np.int64)

    @cached_property
    def centre(self) -> np.ndarray:
        """``f64[A]``: the middle of each sentence in its document."""
        centre: np.ndarray = (self.start + self.end) / 2
        return centre

    @cached_property
    def alone(self) -> np.ndarray:
        """``bool[A]``: which are rows or records, and share nothing with those beside them."""
        alone: np.ndarray = self.header != PROSE
        return alone

    @cached_property
    def _shifts(self) -> list[tuple[int, float, Tensor]]:
        """Shifts r, the least characters between centres, and ``f32[A - r]``, those of each pair.

        Infinity where two are not of one document, or one is a row or a record.
        """
        centre, rows = self.centre, self.alone
        shifts: list[tuple[int, float, Tensor]] = []
        for r in range(1, min(len(self), MOST_NEIGHBOURS + 1)):
            same = self.document[r:] == self.document[:-r]
            apart = np.where(same, centre[r:] - centre[:-r], np.inf)
            least = float(apart.min())
            if least > _FARTHEST:
                break
            apart[rows[r:] | rows[:-r]] = np.inf
            shifts.append((r, least, torch.from_numpy(apart.astype(np.float32))))
        return shifts

    @cached_property
    def _rows(self) -> tuple[Tensor, Tensor]:
        """``int64[R]`` twice: rows, and the header of each."""
        rows = np.flatnonzero(self.header >= 0)
        return torch.from_numpy(rows), torch.from_numpy(self.header[rows])

    @cached_property
    def _known_weights(self) -> dict[float, list[tuple[int, Tensor]]]:
        return {}

    def _weights(self, reach: float) -> list[tuple[int, Tensor]]:
        """For each shift r, ``f32[A - r]``: what neighbours count; the last are kept."""
        known = self._known_weights.get(reach)
        if known is None:
            known = []
            for r, least, apart in self._shifts:
                if math.exp(-least / reach) < MIN_NEIGHBOUR_WEIGHT:
                    break
                weight = torch.exp(-apart / reach)
                known.append((r, torch.where(weight < MIN_NEIGHBOUR_WEIGHT, 0.0, weight)))
            if len(self._known_weights) >= _REACHES_KEPT:
                self._known_weights.clear()
            self._known_weights[reach] = known
        return known

    def choose(self, documents: np.ndarray) -> Chosen:
        """What belongs to some documents.

        Args:
            documents: ``int64[D']``, numbers of documents.
        """
        wanted = np.zeros(int(self.document[-1]) + 1, dtype=bool)
        wanted[documents] = True
        sentences = wanted[self.document]
        return Chosen(sentences, np.repeat(sentences, np.diff(self.bounds)))

    def of(self, chosen: Chosen) -> Passages:
        """The sentences of some documents, renumbered as if there were no others."""
        kept = chosen.sentences
        document = np.cumsum(np.diff(self.document[kept], prepend=-1) > 0) - 1
        sizes = np.diff(self.bounds)[kept]
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        return Passages(document, self.start[kept], self.end[kept], bounds, self.header_among(kept))

    def header_among(self, kept: np.ndarray) -> np.ndarray:
        """The `header` of some sentences among themselves, ``int64[A']``.

        A row whose header is not among them counts as prose.

        Args:
            kept: ``bool[A]``.
        """
        place = no_places(len(self))
        place[np.flatnonzero(kept)] = np.arange(int(kept.sum()))
        header: np.ndarray = place[self.header[kept]]
        return header

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays, each of the smallest type that holds it."""
        return {
            "counts": smallest(np.bincount(self.document)),
            "ends": smallest(self.end),
            "tokens": smallest(np.diff(self.bounds)),
            "kinds": kinds_of(self.header),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Passages:
        """Undo `arrays`.

        Raises:
            ValueError: they do not fit each other.
        """
        counts, end = arrays["counts"].astype(np.int64), arrays["ends"].astype(np.int64)
        lengths = {len(arrays[name]) for name in ("ends", "tokens", "kinds")}
        if lengths != {counts.sum()} or not counts.all():
            raise ValueError("the table of sentences is cut short")
        document = np.repeat(np.arange(len(counts)), counts)
        first = np.diff(document, prepend=-1) > 0
        start = np.where(first, 0, np.concatenate([[0], end[:-1]]))
        bounds = np.concatenate([[0], np.cumsum(arrays["tokens"], dtype=np.int64)])
        return cls(document, start, end, bounds, headers_of(arrays["kinds"], first))

    def rows_of(self, numbers: np.ndarray) -> np.ndarray:
        """The rows of some sentences that are headers: ``int64[R]``, ascending.

        Args:
            numbers: ``int64[C]``.
        """
        asked = np.zeros(len(self), dtype=bool)
        asked[numbers] = True
        rows, headers = (some.numpy() for some in self._rows)
        own: np.ndarray = rows[asked[headers]]
        return own

    def best_of_document(self, candidates: np.ndarray, scores: Tensor) -> Tensor:
        """Give every candidate ``int64[C]`` the highest score ``f32[C]`` in its document."""
        document = torch.from_numpy(self.document[candidates])
        best = torch.full((int(self.document[-1]) + 1,), -torch.inf)
        return best.scatter_reduce(0, document, scores, "amax")[document]

    def smooth(self, scores: Tensor, reach: float, power: float) -> Tensor:
        """Let sentences share in what stands near them, in the same document.

        The result is ``(Σ_b scores_b^power · exp(-|a - b| / reach))^(1/power)``, with |a - b| the
        distance between the centres in characters. Power 1 adds neighbours up; a large power
        takes the best of them. Rows and records have no neighbours; a row has the score of its
        header added to its own.

        Args:
            scores: ``f32[A, …]``, at least 0.
            reach: In characters.
            power: At least 1.
        """
        positive = scores.clamp_min(0)
        shared = self._with_neighbours(positive**power, reach) ** (1 / power)
        return self._with_headers(shared, positive)

    def spread(self, values: Tensor, reach: float) -> Tensor:
        """Add to the values of sentences those of their neighbours, ``exp(-|a - b| / reach)`` each.

        Args:
            values: ``f32[A, …]``.
            reach: In characters; see `smooth`, also for rows and records.
        """
        return self._with_headers(self._with_neighbours(values, reach), values)

    def _with_neighbours(self, values: Tensor, reach: float) -> Tensor:
        total = values.clone()
        for r, weight in self._weights(reach):
            weight = weight.view(-1, *[1] * (values.ndim - 1))
            total[r:] += values[:-r] * weight
            total[:-r] += values[r:] * weight
        return total

    def _with_headers(self, total: Tensor, values: Tensor) -> Tensor:
        rows, headers = self._rows
        if len(rows):
            total[rows] += values[headers]
        return total


def joined_passages(parts: Sequence[Passages]) -> Passages:
    """The sentences of several corpora, end to end."""
    if len(parts) == 1:
        return parts[0]
    documents = np.cumsum([0, *(int(part.document[-1]) + 1 for part in parts)]).tolist()
    tokens = np.cumsum([0, *(int(part.bounds[-1]) for part in parts)]).tolist()
    sentences = np.cumsum([0, *map(len, parts)]).tolist()
    numbered = zip(parts, documents[:-1], strict=True)
    headed = zip(parts, sentences[:-1], strict=True)
    placed = zip(parts, tokens[:-1], strict=True)
    return Passages(
        np.concatenate([part.document + first for part, first in numbered]),
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.end for part in parts]),
        np.concatenate([[0], *(part.bounds[1:] + first for part, first in placed)]),
        np.concatenate(
            [np.where(part.header < 0, part.header, part.header + first) for part, first in headed]
        ),
    )


def cut_passages(documents: Sequence[Document], ends: Sequence[np.ndarray]) -> Passages:
    """Cut documents into sentences and say which tokens belong to each.

    A token belongs to the sentence in which its last character stands.

    Args:
        documents: In order.
        ends: For each document, ``int32[T]``: one past the last character of each token.
    """
    found, owned = [], []
    for place, (document, own) in enumerate(zip(documents, ends, strict=True)):
        cut = np.array(pieces(document.text), dtype=np.int64)
        found.append(np.insert(cut, 0, place, axis=1))
        last = np.maximum(own.astype(np.int64) - 1, 0)
        home = np.searchsorted(cut[:, 1], np.maximum.accumulate(last), side="right")
        owned.append(np.bincount(home, minlength=len(cut))[: len(cut)])
    number, start, end, kinds = np.concatenate(found).T.copy()
    bounds = np.concatenate([[0], np.cumsum(np.concatenate(owned))])
    return Passages(number, start, end, bounds, headers_of(kinds, start == 0))


def blocks(bounds: np.ndarray, block_tokens: int) -> Iterator[tuple[int, int]]:
    """Ranges of whole sentences that hold about `block_tokens` each, none without tokens.

    Args:
        bounds: ``int64[A + 1]``, of `Passages`.
        block_tokens: Most tokens of a block of more than one sentence.
    """
    first, count = 0, len(bounds) - 1
    while first < count:
        last = int(np.searchsorted(bounds, bounds[first] + block_tokens, side="right")) - 1
        last = min(max(last, first + 1), count)
        if bounds[last] > bounds[first]:
            yield first, last
        first = last
