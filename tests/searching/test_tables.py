"""Tables of documents: joined, chosen from and read back, they are as if made of these alone."""

from __future__ import annotations

from dataclasses import replace
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from random_bank import make_bank
from random_head import make_head
from s3_retriever.codec import JoinedCodes
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.errors import InputError
from s3_retriever.reading.scan import scan
from s3_retriever.searching import tables as module
from s3_retriever.searching.byte_rows import ByteRows
from s3_retriever.searching.tables import (
    JoinedTables,
    OwnTables,
    Tables,
    known_tables,
    table_arrays,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank, TokenCodes
    from s3_retriever.searching.bm25 import WordPostings

SCAN = ScanConfig(batch_tokens=4096)
NAMES = ("assert", "break", "debugger", "with", "yield")
DOCUMENTS = tuple(Document(name, topics[name][:3000]) for name in NAMES)


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    plain = make_bank(tiny_backbone)
    return replace(plain, sentences=make_head(plain.calibration))


@pytest.fixture(scope="module")
def codes(tiny_backbone: Backbone, bank: Bank) -> list[TokenCodes]:
    return [rows for _, rows in scan(tiny_backbone, bank, DOCUMENTS, SCAN)]


def of(numbers: Sequence[int], codes: list[TokenCodes], bank: Bank) -> OwnTables:
    own = JoinedCodes([codes[number] for number in numbers])
    return OwnTables([DOCUMENTS[number] for number in numbers], own, bank)


def occurrences(postings: WordPostings) -> dict[str, list[tuple[int, int]]]:
    pairs = zip(postings.texts.tolist(), postings.counts.tolist(), strict=True)
    flat, bounds = list(pairs), postings.starts.tolist()
    return {word: flat[bounds[n] : bounds[n + 1]] for word, n in postings.vocabulary.items()}


def check_same(one: Tables, other: Tables, cells: bool = False) -> None:
    for name in ("document", "start", "end", "bounds"):
        found, expected = getattr(one.passages, name), getattr(other.passages, name)
        np.testing.assert_array_equal(found, expected)
    assert occurrences(one.words) == occurrences(other.words)
    np.testing.assert_array_equal(one.words.lengths, other.words.lengths)
    torch.testing.assert_close(one.sums.tensor(), other.sums.tensor(), rtol=0.02, atol=0.5)
    if cells:
        for own, same in zip(one.cells, other.cells, strict=True):
            np.testing.assert_array_equal(own.cell, same.cell)
            assert torch.equal(own.means, same.means) and torch.equal(own.spread, same.spread)


def test_joined_and_chosen_they_are_those_of_the_documents_alone(
    bank: Bank, codes: list[TokenCodes]
) -> None:
    parts = [of([0, 1, 2], codes, bank), of([3], codes, bank), of([4], codes, bank)]
    check_same(JoinedTables([(part, None) for part in parts]), of(range(5), codes, bank))
    some = JoinedTables([(parts[0], np.array([0, 2])), (parts[2], None)])
    check_same(some, of([0, 2, 4], codes, bank))
    check_same(JoinedTables([(parts[0], np.array([1]))]), of([1], codes, bank))
    again = JoinedTables([(some, np.array([1, 2])), (parts[1], None)])
    check_same(again, of([2, 4, 3], codes, bank))


def test_cells_keep_their_tokens_when_joined_and_chosen(
    bank: Bank, codes: list[TokenCodes]
) -> None:
    parts = [of([0, 1, 2], codes, bank), of([3, 4], codes, bank)]
    joined = JoinedTables([(parts[0], np.array([0, 2])), (parts[1], None)])
    bounds = np.cumsum([0, *(len(codes[n]) for n in (0, 1, 2))])
    kept = np.r_[0 : bounds[1], bounds[2] : bounds[3]]
    for tap, own in enumerate(joined.cells):
        first, second = parts[0].cells[tap], parts[1].cells[tap]
        means = own.means[own.cell.astype(np.int64)]
        expected = [first.means[first.cell[kept].astype(np.int64)]]
        expected += [second.means[second.cell.astype(np.int64)]]
        assert torch.equal(means, torch.cat(expected))
        weights = len(kept), len(second.cell)
        spread = first.spread * weights[0] + second.spread * weights[1]
        torch.testing.assert_close(own.spread, spread / sum(weights))


def test_what_is_read_back_is_what_was_made(bank: Bank, codes: list[TokenCodes]) -> None:
    own = of(range(5), codes, bank)
    arrays = table_arrays(own, bank, cells=True)
    again = OwnTables((), JoinedCodes(codes), bank, **known_tables(arrays, bank))
    check_same(again, own, cells=True)
    assert torch.equal(again.sums.tensor(), own.sums.tensor())
    without = table_arrays(own, bank, cells=False)
    assert {name for name in arrays if name not in without} == {
        f"cells.{name}" for name in ("cell", "counts", "means", "scales", "spread")
    }
    nbytes = sum(array.nbytes for array in without.values())
    assert nbytes < sum(len(document.text) for document in DOCUMENTS)


def test_codes_are_read_once_for_sums_and_cells(
    bank: Bank, codes: list[TokenCodes], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    decode = type(bank).decode

    def spy(self: Bank, some: object) -> torch.Tensor:
        keys = decode(self, some)  # type: ignore[arg-type]
        rows.append(len(keys))
        return keys

    monkeypatch.setattr(type(bank), "decode", spy)
    tokens = sum(map(len, codes))
    both = of(range(5), codes, bank)
    table_arrays(both, bank, cells=True)
    assert sum(rows) == tokens
    JoinedTables([(both, np.array([1, 3]))]).cells[0].means.sum()
    assert sum(rows) == tokens
    alone = of(range(5), codes, bank)
    assert torch.equal(alone.sums.tensor(), both.sums.tensor())
    assert sum(rows) == 2 * tokens and "cells" not in alone._kept


def test_no_sentence_is_cut_and_no_word_stemmed_twice(
    bank: Bank, codes: list[TokenCodes], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [of([0, 1], codes, bank), of([2, 3, 4], codes, bank)]
    arrays = [table_arrays(part, bank, cells=False) for part in parts]
    monkeypatch.setattr(module, "cut_passages", None)
    monkeypatch.setattr(module, "words", None)
    monkeypatch.setattr(type(bank), "decode", None)
    numbers = ([0, 1], [2, 3, 4])
    known = [
        OwnTables((), JoinedCodes([codes[n] for n in own]), bank, **known_tables(kept, bank))
        for own, kept in zip(numbers, arrays, strict=True)
    ]
    joined = JoinedTables([(known[0], np.array([1])), (known[1], np.array([0, 2]))])
    assert len(joined.passages) == len(joined.words.lengths) == len(joined.sums)


@pytest.mark.parametrize(
    "name",
    [
        "sentences.counts",
        "sentences.ends",
        "sentences.tokens",
        "words.words",
        "words.starts",
        "words.texts",
        "words.counts",
        "words.lengths",
        "sums.values",
        "sums.scales",
        "cells.cell",
        "cells.counts",
        "cells.means",
        "cells.scales",
        "cells.spread",
    ],
)
@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_arrays_that_do_not_fit_are_refused(
    name: str, damage: str, bank: Bank, codes: list[TokenCodes]
) -> None:
    arrays = dict(table_arrays(of([1, 3], codes, bank), bank, cells=True))
    if damage == "missing":
        del arrays[name]
    elif name == "words.words":
        arrays[name] = arrays[name][: arrays[name].tobytes().rindex(b"\n")]
    else:
        arrays[name] = arrays[name][:-1]
    with pytest.raises((ValueError, KeyError)):
        known_tables(arrays, bank)


def test_tables_of_another_bank_are_refused(
    tiny_backbone: Backbone, bank: Bank, codes: list[TokenCodes]
) -> None:
    arrays = table_arrays(of([1, 3], codes, bank), bank, cells=True)
    fewer = {name: own for name, own in arrays.items() if not name.startswith("sums")}
    with pytest.raises(KeyError):
        known_tables(fewer, bank)
    assert "sums" not in known_tables(fewer, make_bank(tiny_backbone))


def test_a_bank_without_a_head_has_no_sums(tiny_backbone: Backbone) -> None:
    plain = make_bank(tiny_backbone)
    own = [rows for _, rows in scan(tiny_backbone, plain, DOCUMENTS[:1], SCAN)]
    with pytest.raises(InputError, match="cannot score meaning"):
        _ = OwnTables(DOCUMENTS[:1], JoinedCodes(own), plain).sums


def test_rows_of_bytes_are_near_what_they_stand_for() -> None:
    x = torch.randn(50, 16, generator=torch.Generator().manual_seed(0)) * 1e4
    x[3] = 0
    rows = ByteRows.of(x)
    error = (rows.tensor() - x).abs().amax(1)
    assert (error <= x.abs().amax(1) / 254 + 1e-3).all()
    assert torch.equal(rows.tensor()[3], torch.zeros(16))
    assert torch.equal(rows.some(np.array([4, 2])).tensor(), rows.tensor()[[4, 2]])
