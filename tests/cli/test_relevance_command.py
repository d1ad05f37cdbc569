"""Relevance on the command line: printed, as a threshold, and fitted for a bank."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from judging import judging_bank
from s3_retriever.cli import main
from s3_retriever.codec import Bank
from small_corpus import NAMES, QUESTIONS, SOURCES

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.backbone import Backbone

KEEPER = QUESTIONS[0]
NOWHERE = "Which glacier did the expedition cross with huskies?"
EVIDENCE = ("The last keeper, Tomas Ferreira", "rest for eighteen hours", "finished in 1934")


@pytest.fixture
def judged(
    tiny_backbone: Backbone, tiny_options: list[str], tmp_path: Path, capsys: Any
) -> list[str]:
    """Arguments that name an index whose bank tells relevance, and its model."""
    bank, notes, path = tmp_path / "judging", tmp_path / "notes", str(tmp_path / "notes.s3")
    judging_bank(tiny_backbone).save(bank)
    notes.mkdir()
    for name, text in SOURCES.items():
        (notes / f"{name}.txt").write_text(text, encoding="utf-8")
    model = tiny_options[:2]
    assert main(["index", str(notes), "-o", path, "--bank", str(bank), *model]) == 0
    capsys.readouterr()
    return [path, *model]


def test_search_prints_it_and_leaves_out_below(judged: list[str], capsys: Any) -> None:
    assert main(["search", *judged, KEEPER, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["relevance"] == max(span["relevance"] for span in found["spans"])
    assert main(["search", *judged, KEEPER, "--min-relevance", "0.5"]) == 0
    out = capsys.readouterr().out
    best = max(found["spans"], key=lambda span: span["relevance"])
    assert f"   {best['relevance']:.0%}   " in out
    assert out.count("characters") == sum(s["relevance"] >= 0.5 for s in found["spans"])
    assert main(["search", *judged, NOWHERE, "--min-relevance", "0.5"]) == 0
    assert capsys.readouterr().out == "nothing found\n"
    assert main(["search", *judged, KEEPER, "--min-relevance", "50"]) == 1
    assert "min_relevance=50.0 is invalid" in capsys.readouterr().err


def test_calibrate_fits_it_for_a_bank(
    tiny_backbone: Backbone, tiny_options: list[str], tmp_path: Path, capsys: Any
) -> None:
    documents = [{"id": name, "text": text} for name, text in SOURCES.items()]
    questions = []
    for name, question, words in zip(NAMES[:3], QUESTIONS, EVIDENCE, strict=True):
        start = SOURCES[name].index(words)
        place = {"doc_id": name, "start": start, "end": start + len(words)}
        questions.append({"id": name, "question": question, "evidence": [place]})
    (tmp_path / "set").mkdir()
    for kind, rows in {"documents": documents, "questions": questions}.items():
        lines = "\n".join(map(json.dumps, rows))
        (tmp_path / "set" / f"{kind}.jsonl").write_text(lines, encoding="utf-8")

    out = str(tmp_path / "fitted")
    argv = ["calibrate", "--dataset", str(tmp_path / "set"), *tiny_options, "-o"]
    assert main([*argv, out, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    bank = Bank.load(out)
    assert bank.relevance is not None and bank.relevance.described() == told["relevance"]
    assert bank.digest() == Bank.load(tiny_options[-1]).digest()
    assert told["relevance"]["fitted_on"]["sets"] == ["set"]
    assert main([*argv, f"{out}-2"]) == 0
    assert f"--bank {out}-2" in capsys.readouterr().out
    assert main([*argv, f"{out}-3", "--heads", "2"]) == 1
    assert "leave out --depth and --heads" in capsys.readouterr().err
