"""Vectors of texts as sums over their tokens, and the head in a bank's folder."""

from __future__ import annotations

import json
from dataclasses import replace
from math import erf, exp, sqrt
from typing import TYPE_CHECKING

import pytest
import torch

from random_bank import make_bank
from random_head import SIZE, make_head, make_network
from s3_retriever.codec import Bank
from s3_retriever.codec.sentences import SentenceHead, TokenNetwork
from s3_retriever.errors import BankError, InputError

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.backbone import Backbone


@pytest.fixture
def bank(tiny_backbone: Backbone) -> Bank:
    plain = make_bank(tiny_backbone)
    return replace(plain, sentences=make_head(plain.calibration))


def by_hand(network: TokenNetwork, x: list[float]) -> list[float]:
    """What one token adds, number by number."""
    width = len(network.gate)
    h = []
    for w in range(width):
        a = float(network.hidden_bias[w])
        a += sum(value * float(network.hidden[i, w]) for i, value in enumerate(x))
        h.append(a * 0.5 * (1 + erf(a / sqrt(2))))
    weight = exp(min(max(sum(h[w] * float(network.gate[w]) for w in range(width)), -8), 8))
    added = []
    for e in range(len(network.bias)):
        total = float(network.bias[e])
        total += sum(value * float(network.skip[i, e]) for i, value in enumerate(x))
        total += sum(h[w] * float(network.out[w, e]) for w in range(width))
        added.append(weight * total)
    return added


def test_a_token_adds_what_the_definition_says() -> None:
    network = make_network(5)
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(3))
    expected = torch.tensor([by_hand(network, row) for row in x.tolist()])
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)


def test_no_token_outweighs_all_others_without_bound() -> None:
    network = make_network(5)
    loud = replace(network, gate=1000 * network.gate.abs(), hidden_bias=network.hidden_bias + 9)
    x = torch.zeros(1, 5)
    assert torch.isfinite(loud(x)).all()
    h = torch.nn.functional.gelu(x @ loud.hidden + loud.hidden_bias)
    torch.testing.assert_close(loud(x), exp(8) * (h @ loud.out + x @ loud.skip + loud.bias))


def test_a_question_has_a_direction(bank: Bank) -> None:
    head = bank.sentences
    assert head is not None and head.size == SIZE
    queries = torch.randn(7, len(bank.calibration.heads), bank.calibration.head_dim)
    vector = head.question(queries)
    added = head.queries(queries.flatten(1))
    torch.testing.assert_close(vector, added.sum(0) / added.sum(0).norm())


@pytest.mark.parametrize("name", ["hidden_bias", "out", "skip", "gate"])
def test_weights_must_fit_each_other(name: str) -> None:
    network = make_network(5)
    cut = getattr(network, name)[:-1]
    with pytest.raises(InputError, match=f"sentence head: {name} is"):
        replace(network, **{name: cut})


def test_both_networks_lead_into_one_space() -> None:
    network = make_network(5)
    smaller = {name: getattr(network, name)[..., :-1] for name in ("out", "skip", "bias")}
    with pytest.raises(InputError, match="spaces"):
        SentenceHead(network, replace(network, **smaller))


def test_a_head_of_another_size_is_refused_by_the_bank(bank: Bank) -> None:
    assert bank.sentences is not None
    for wrong in (
        SentenceHead(make_network(5), bank.sentences.queries),
        SentenceHead(bank.sentences.keys, make_network(5)),
    ):
        with pytest.raises(InputError, match="the sentence head reads"):
            replace(bank, sentences=wrong)


def test_a_bank_keeps_its_head(bank: Bank, tmp_path: Path) -> None:
    bank.save(tmp_path / "bank")
    loaded = Bank.load(tmp_path / "bank").sentences
    assert bank.sentences is not None and loaded is not None
    before, after = bank.sentences.tensors(), loaded.tensors()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_bank_without_a_head_says_so(bank: Bank, tmp_path: Path) -> None:
    replace(bank, sentences=None).save(tmp_path / "bank")
    assert not (tmp_path / "bank" / "sentences.safetensors").exists()
    assert Bank.load(tmp_path / "bank").sentences is None


def test_a_bank_of_before_there_were_heads_is_read(bank: Bank, tmp_path: Path) -> None:
    folder = tmp_path / "bank"
    replace(bank, sentences=None).save(folder)
    description = json.loads((folder / "bank.json").read_text())
    del description["sentences"]
    (folder / "bank.json").write_text(json.dumps(description))
    assert Bank.load(folder).sentences is None


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_damaged_head_is_named(bank: Bank, tmp_path: Path, damage: str) -> None:
    bank.save(tmp_path / "bank")
    file = tmp_path / "bank" / "sentences.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-4])
    else:
        file.unlink()
    with pytest.raises(BankError, match=r"sentences\.safetensors"):
        Bank.load(tmp_path / "bank")


def test_codes_do_not_depend_on_the_head(bank: Bank) -> None:
    assert replace(bank, sentences=None).digest() == bank.digest()
