"""The relevance head of a bank: what it may be, and its place on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from judging import BY_SHARED_WORDS, judging_bank
from random_bank import make_bank
from s3_retriever.codec import Bank
from s3_retriever.codec.relevance import RelevanceHead
from s3_retriever.errors import BankError, InputError

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.backbone import Backbone


def test_a_bank_keeps_it(tiny_backbone: Backbone, tmp_path: Path) -> None:
    bank = judging_bank(tiny_backbone)
    bank.save(tmp_path / "bank")
    assert Bank.load(tmp_path / "bank").relevance == BY_SHARED_WORDS
    assert bank.digest() == make_bank(tiny_backbone).digest()  # codes do not depend on it
    make_bank(tiny_backbone).save(tmp_path / "plain")
    assert Bank.load(tmp_path / "plain").relevance is None


def test_a_bank_of_before_has_none(tiny_backbone: Backbone, tmp_path: Path) -> None:
    make_bank(tiny_backbone).save(tmp_path / "old")
    file = tmp_path / "old" / "bank.json"
    described = json.loads(file.read_text())
    del described["relevance"]
    file.write_text(json.dumps(described))
    assert Bank.load(tmp_path / "old").relevance is None


@pytest.mark.parametrize(
    "change", [{"bias": None}, {"bias": float("nan")}, {"weights": {"words": 1.0}}, {"weights": 1}]
)
def test_a_damaged_one_is_refused(
    change: dict[str, object], tiny_backbone: Backbone, tmp_path: Path
) -> None:
    judging_bank(tiny_backbone).save(tmp_path / "bank")
    file = tmp_path / "bank" / "bank.json"
    described = json.loads(file.read_text())
    described["relevance"] |= change
    file.write_text(json.dumps(described))
    with pytest.raises(BankError):
        Bank.load(tmp_path / "bank")


def test_probabilities_rise_with_every_feature() -> None:
    head = RelevanceHead(-1.0, dict.fromkeys(("words", "attention", "meaning", "whole"), 1.0))
    low, *others = head.probabilities(np.concatenate([np.zeros((1, 4)), np.eye(4)]))
    assert low == pytest.approx(1 / (1 + np.e))
    assert others == pytest.approx([0.5] * 4)
    with pytest.raises(InputError, match="must not be negative"):
        replace(head, weights={**head.weights, "words": -1.0})
